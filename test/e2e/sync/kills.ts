// Kills both agents of a sync repeatedly at different moments. After every start the sync goes on, and the proxy between both counts what moves
// twice. The argument is the number of kills of each side.
//
//   bun test/e2e/sync/kills.ts 50
//
// kills.test.ts calls `killDuringSync`. SLIPWAY_SEED repeats the bytes between the kills, but not their timing.

import { BATCH_BYTES_MAX } from '../../../agent/sync/plan.ts'
import type { Task } from '../../../protocol/task.ts'
import { agentCommand } from '../../support/agents/agent-command.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { PromiseBroken } from '../../support/agents/ledger.ts'
import { uploadFile } from '../../support/agents/uploaded-file.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { digestOfImage } from '../../support/images/image-digest.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createRandom, runSeed } from '../../support/properties.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
const BYTES_PER_SECOND = 16 * MIB
/** Most bytes that pass between a start and the next kill. */
const BYTES_BETWEEN_MAX = 3 * MIB
/** Batches in flight. */
const CONCURRENCY = 2
/** Most bytes that sockets and the proxy hold and that a kill loses, and the headers of the requests that follow. */
const SOCKET_BYTES_MAX = 4 * MIB
const WAIT_MS = 120_000

export interface SyncKillsReport {
  readonly kills: number
  readonly length: number
  /** Bytes that the proxy sent to the target in addition to the length of the image: what moved twice, and headers. */
  readonly twiceBytes: number
  /** The bytes of all batches that were in flight when the target was killed, at most, and what sockets and headers add. */
  readonly allowedBytes: number
  readonly seconds: number
}

/** Runs the kills, in turn of the source and of the target. Throws PromiseBroken when the sync fails or the copy differs. */
export async function killDuringSync(killsEach: number, seed: number, say: (line: string) => void): Promise<SyncKillsReport> {
  const random = createRandom(seed)
  await using sourceFolder = await createTemporaryFolder()
  await using targetFolder = await createTemporaryFolder()
  const file = sourceFolder.file('noise.raw')
  // Longer than all that passes before the last kill, so that the sync cannot end before it.
  const length = (2 * killsEach + 1) * BYTES_BETWEEN_MAX + 8 * MIB
  const sent = await makeNoiseFile(file, length, seed)
  const config = `[transfer]\ndownload-concurrency = ${CONCURRENCY}\n`
  await using source = await startAgent(sourceFolder.path, { config })
  await using target = await startAgent(targetFolder.path, { config })
  const { id } = await uploadFile(source, file, 'noise')
  const portOf = (): number => Number(new URL(source.url).port)
  await using proxy = await createCuttingProxy(portOf(), { bytesPerSecond: BYTES_PER_SECOND, isShared: true })
  const startedMs = performance.now()
  const start = (): Promise<Task> => target.client.sync({ source: { url: proxy.url, token: TEST_ADMIN_TOKEN }, images: [id] })
  let task = await start()
  /** Returns whether the sync has ended. A task during which the agent crashed five times is not run again, so an operator starts another one. */
  const hasEnded = async (): Promise<boolean> => {
    const { state, error } = await target.client.tasks.get(task.id)
    if (state === 'failed' && error?.type.endsWith(':interrupted')) {
      task = await start()
      return false
    }
    return state === 'failed' || state === 'succeeded' || state === 'cancelled'
  }

  for (let kill = 1; kill <= 2 * killsEach; kill++) {
    const end = proxy.bytes.down + random.below(BYTES_BETWEEN_MAX) + 1
    // On a busy machine more bytes would pass until the kill.
    proxy.holdAt(end, 'down')
    await until('enough bytes have passed', async () => proxy.bytes.down >= end || (await hasEnded()), WAIT_MS)
    if (proxy.bytes.down < end) throw new PromiseBroken(`the sync ended before kill ${kill}: ${JSON.stringify(await target.client.tasks.get(task.id))}`)
    if (kill % 2 === 1) {
      await source.restart()
      proxy.setTarget(portOf())
    } else await target.restart()
    if (kill % 10 === 0) say(`${kill} kills, ${proxy.bytes.down} bytes of ${length}`)
  }
  proxy.holdAt(Number.POSITIVE_INFINITY)
  await until('the sync has ended', hasEnded, WAIT_MS)
  const ended = await target.client.tasks.get(task.id)
  if (ended.state !== 'succeeded') throw new PromiseBroken(`the sync failed: ${JSON.stringify(ended.error)}`)
  const seconds = (performance.now() - startedMs) / 1000
  const read = await digestOfImage(target, id)
  if (read !== sent) throw new PromiseBroken(`the copy is read as ${read}, not ${sent}`)
  await target.kill()
  const scrub = await agentCommand(targetFolder.path, ['scrub'])
  if (scrub.exitCode !== 0) throw new PromiseBroken(`scrub is not clean: ${scrub.stdout}${scrub.stderr}`)
  const allowedBytes = killsEach * CONCURRENCY * BATCH_BYTES_MAX + 2 * killsEach * SOCKET_BYTES_MAX
  return { kills: 2 * killsEach, length, twiceBytes: proxy.bytes.down - length, allowedBytes, seconds }
}

if (import.meta.main) {
  const seed = runSeed()
  console.log(`SLIPWAY_SEED=${seed}`)
  console.log(JSON.stringify(await killDuringSync(Number(process.argv[2] ?? 50), seed, (line) => console.log(line))))
}
