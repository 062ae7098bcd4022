// Uploads a file of this machine to an agent in one request, for tests that need an image and are not about uploads.

import { statSync } from 'node:fs'
import type { Image } from '../../../protocol/images/image.ts'
import { until } from '../until.ts'
import type { AgentProcess } from './agent-process.ts'

/** Time for inspecting an image, in milliseconds. */
const WAIT_MS = 300_000

/** Uploads a file; returns its image when it is available. */
export async function uploadFile(agent: AgentProcess, file: string, name: string): Promise<Image> {
  const tus = { 'tus-resumable': '1.0.0' }
  const created = await fetch(`${agent.url}/v1/uploads`, {
    method: 'POST',
    headers: agent.headers({ ...tus, 'upload-length': String(statSync(file).size), 'upload-metadata': `name ${btoa(name)}` }),
  })
  const location = created.headers.get('location')
  if (location === null) throw new Error(`the upload of ${name} was answered with ${created.status}: ${await created.text()}`)
  const sent = await fetch(new URL(location, agent.url), {
    method: 'PATCH',
    headers: agent.headers({ ...tus, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' }),
    body: Bun.file(file),
  })
  const id = sent.headers.get('content-location')?.split('/').at(-1)
  if (id === undefined) throw new Error(`the upload of ${name} ended with ${sent.status}: ${await sent.text()}`)
  return until(
    `${name} is available`,
    async () => {
      const image = await agent.client.images.get(id)
      return image.status === 'available' ? image : undefined
    },
    WAIT_MS,
  )
}
