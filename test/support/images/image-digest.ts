// Computes the digest of an image as a client reads it, for comparison with the digest of the sent bytes.

import type { AgentProcess } from '../agents/agent-process.ts'
import { until } from '../until.ts'

/** Waits until an image is available, reads it and returns its digest. `location` is the path returned by the finished upload. */
export async function digestOfImage(agent: AgentProcess, location: string): Promise<string> {
  const id = location.split('/').at(-1) ?? ''
  await until('the image is available', async () => (await agent.client.images.get(id)).status === 'available')
  const { body } = await fetch(`${agent.url}/v1/images/${id}/content`, { headers: agent.headers() })
  const hasher = new Bun.CryptoHasher('sha256')
  for await (const piece of body ?? []) hasher.update(piece)
  return `sha256:${hasher.digest('hex')}`
}
