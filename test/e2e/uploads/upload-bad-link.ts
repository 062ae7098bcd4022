// Uploads with tus-js-client in Node over a bad link: slow, distant, cut every three seconds and reset at random moments. The argument is
// the length in MiB; 1024 takes a quarter of an hour.
//
//   bun test/e2e/uploads/upload-bad-link.ts 1024
//
// upload-bad-link.test.ts calls `uploadOverBadLink`. SLIPWAY_SEED repeats the bytes and the moments of the resets.

import { startAgent } from '../../support/agents/agent-process.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import type { CuttingProxy, LinkFaults } from '../../support/clients/cutting-proxy.ts'
import { digestOfImage } from '../../support/images/image-digest.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { runSeed } from '../../support/properties.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { startTusUpload } from '../../support/clients/tus-upload.ts'

const MIB = 1024 * 1024
export const BAD_LINK = { delayMs: 200, bytesPerSecond: 2_000_000, cutEveryMs: 3000, resetWithinMs: 10_000 } satisfies LinkFaults
const SAY_EVERY_MS = 15_000

export interface BadLinkReport {
  readonly length: number
  readonly seconds: number
  readonly connections: number
  readonly cuts: number
  /** The cuts that were resets at a random moment. */
  readonly resets: number
  /** Bytes that the client sent, including headers. */
  readonly sentBytes: number
  /** Sent bytes that were in flight when a connection was cut, so that they could not be acknowledged. */
  readonly windowBytes: number
  /** Bytes that reached the agent in addition to the length of the file: bytes sent twice, and headers. */
  readonly twiceBytes: number
  /** Offsets that HEAD returned, in order. */
  readonly heads: readonly number[]
  /** Digests of the file, and of the image that was read back. */
  readonly digests: { readonly sent: string; readonly read: string }
}

/** Uploads a file and reads its image back. Throws when the client gave up. */
export async function uploadOverBadLink(length: number, seed: number, say: (line: string) => void): Promise<BadLinkReport> {
  await using folder = await createTemporaryFolder()
  const path = folder.file('noise.raw')
  const sent = await makeNoiseFile(path, length, seed)
  await using agent = await startAgent(folder.path)
  await using proxy = await createCuttingProxy(Number(new URL(agent.url).port), BAD_LINK)
  const startMs = performance.now()
  const saying = setInterval(() => say(JSON.stringify(figures(proxy, length, startMs))), SAY_EVERY_MS)
  try {
    await using upload = startTusUpload({ url: proxy.url, file: path, metadata: { name: 'far' } })
    const location = await upload.image()
    const report = figures(proxy, length, startMs)
    const read = await digestOfImage(agent, location)
    const heads = upload.answers.flatMap(({ method, status, offset }) => (method === 'HEAD' && status === 200 && offset !== null ? [offset] : []))
    return { ...report, heads, digests: { sent, read } }
  } finally {
    clearInterval(saying)
  }
}

function figures({ taken, bytes, connections, cuts, resets }: CuttingProxy, length: number, startMs: number): Omit<BadLinkReport, 'heads' | 'digests'> {
  return {
    length,
    seconds: Math.round((performance.now() - startMs) / 1000),
    connections,
    cuts,
    resets,
    sentBytes: taken.up,
    windowBytes: taken.up - bytes.up,
    twiceBytes: bytes.up - length,
  }
}

if (import.meta.main) {
  const seed = runSeed()
  console.log(`SLIPWAY_SEED=${seed}`)
  const { heads, ...report } = await uploadOverBadLink(Number(process.argv[2] ?? 1024) * MIB, seed, (line) => console.log(line))
  console.log(JSON.stringify({ ...report, heads: heads.length }, undefined, 2))
  if (report.digests.sent !== report.digests.read || report.twiceBytes >= report.length / 100) process.exitCode = 1
}
