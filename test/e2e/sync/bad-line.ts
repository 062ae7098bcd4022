// Copies an image between two agents over a bad line: distant, slow, cut every two seconds, with a bit flipped in every 100 MB. The argument is
// the length in MiB; 2048 takes three minutes.
//
//   bun test/e2e/sync/bad-line.ts 2048
//
// bad-line.test.ts calls `syncOverBadLine`. SLIPWAY_SEED repeats the bytes and the flipped bits.

import { syncResultSchema } from '../../../protocol/sync/sync.ts'
import { agentCommand } from '../../support/agents/agent-command.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { uploadFile } from '../../support/agents/uploaded-file.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import type { LinkFaults } from '../../support/clients/cutting-proxy.ts'
import { digestOfImage } from '../../support/images/image-digest.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { runSeed } from '../../support/properties.ts'

const MIB = 1024 * 1024
/** The line of the full size. Its rate is that of all connections together. */
export const BAD_LINE: LinkFaults = { delayMs: 50, bytesPerSecond: 20e6, isShared: true, cutEveryMs: 2000, flipEvery: 100e6 }
/** Most batches in flight of a pull. */
const CONCURRENCY = 16
const LOOK_MS = 200

export interface BadLineReport {
  readonly length: number
  readonly seconds: number
  readonly cuts: number
  readonly flips: number
  /** Bytes that the proxy sent to the target, and those of them that were slices that the target stored. */
  readonly sentBytes: number
  readonly movedBytes: number
  /** Digests of the file, and of the image that was read back from the target. */
  readonly digests: { readonly sent: string; readonly read: string }
  /** Exit code of a scrub of the target, which reads every stored byte. */
  readonly scrub: number | string
}

/** Copies an image of noise and reads it back. Throws if the sync fails. */
export async function syncOverBadLine(length: number, seed: number, faults: LinkFaults): Promise<BadLineReport> {
  await using sourceFolder = await createTemporaryFolder()
  await using targetFolder = await createTemporaryFolder()
  const file = sourceFolder.file('noise.raw')
  const sent = await makeNoiseFile(file, length, seed)
  const config = `[transfer]\ndownload-concurrency = ${CONCURRENCY}\n`
  await using source = await startAgent(sourceFolder.path, { config })
  await using target = await startAgent(targetFolder.path, { config })
  const { id } = await uploadFile(source, file, 'noise')
  await using proxy = await createCuttingProxy(Number(new URL(source.url).port), faults)
  const startedMs = performance.now()
  const task = await target.client.sync({ source: { url: proxy.url, token: TEST_ADMIN_TOKEN }, images: [id] })
  for (;;) {
    const { state, error, result } = await target.client.tasks.get(task.id)
    if (state === 'failed' || state === 'cancelled') throw new Error(`the sync ${state} after ${proxy.cuts} cuts: ${JSON.stringify(error)}`)
    if (state !== 'succeeded') {
      await Bun.sleep(LOOK_MS)
      continue
    }
    const seconds = (performance.now() - startedMs) / 1000
    const read = await digestOfImage(target, id)
    await target.kill()
    const { exitCode } = await agentCommand(targetFolder.path, ['scrub'])
    const movedBytes = syncResultSchema.parse(result).bytesMoved
    return { length, seconds, cuts: proxy.cuts, flips: proxy.flips, sentBytes: proxy.bytes.down, movedBytes, digests: { sent, read }, scrub: exitCode }
  }
}

if (import.meta.main) {
  const seed = runSeed()
  console.log(`SLIPWAY_SEED=${seed}`)
  console.log(JSON.stringify(await syncOverBadLine(Number(process.argv[2] ?? 2048) * MIB, seed, BAD_LINE)))
}
