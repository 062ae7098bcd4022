// Uploads a small image to an agent.

import { seededBytes } from '../images/image-store.ts'
import { until } from '../until.ts'
import type { AgentProcess } from './agent-process.ts'

/** Uploads bytes of a seed as a template and returns its id once it is available and its digest is known. */
export async function uploadedImage(agent: Pick<AgentProcess, 'url' | 'headers' | 'client'>, name: string, seed: number, length = 100_000): Promise<string> {
  const created = await fetch(`${agent.url}/v1/uploads`, {
    method: 'POST',
    headers: agent.headers({
      'tus-resumable': '1.0.0',
      'upload-length': String(length),
      'upload-metadata': `name ${btoa(name)},kind ${btoa('template')}`,
      'content-type': 'application/offset+octet-stream',
    }),
    body: seededBytes(length, seed),
  })
  const id = (created.headers.get('content-location') ?? '').slice('/v1/images/'.length)
  await until(`${name} is available`, async () => {
    const { status, digest } = await agent.client.images.get(id)
    return status === 'available' && digest !== null
  })
  return id
}
