// The digest of an image as a client reads it, to be held against the digest of what was sent.

import type { AgentProcess } from '../agents/agent-process.ts'
import { until } from '../until.ts'

/** Waits until an image is available and reads all of it; `location` is the path that a finished upload tells. */
export async function digestOfImage(agent: AgentProcess, location: string): Promise<string> {
  const id = location.split('/').at(-1) ?? ''
  await until('the image is available', async () => (await agent.client.images.get(id)).status === 'available')
  const { body } = await fetch(`${agent.url}/v1/images/${id}/content`, { headers: agent.headers() })
  const hasher = new Bun.CryptoHasher('sha256')
  for await (const piece of body ?? []) hasher.update(piece)
  return `sha256:${hasher.digest('hex')}`
}
