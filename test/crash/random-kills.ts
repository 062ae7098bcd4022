// Kills an agent at random moments under a mixed load, as often as the argument says, and checks everything it acknowledged.
//
//   bun test/crash/random-kills.ts 1000
//
// SLIPWAY_SEED repeats the choices of a run, but not its timing. The test in this folder calls `killAtRandom`.

import { errorText } from '../../protocol/errors.ts'
import { agentCommand } from '../support/agents/agent-command.ts'
import { startAgent } from '../support/agents/agent-process.ts'
import type { AgentProcess } from '../support/agents/agent-process.ts'
import { Ledger, PromiseBroken } from '../support/agents/ledger.ts'
import type { LedgerImage } from '../support/agents/ledger.ts'
import { createMixedLoad } from '../support/agents/mixed-load.ts'
import { createRandom, runSeed } from '../support/properties.ts'
import type { Random } from '../support/properties.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { until } from '../support/until.ts'

/** Longest time between a start and a kill in milliseconds. */
const LIFE_MS_MAX = 500
/** Probability that a start is killed too, and the longest time after which, in milliseconds. */
const DOOMED_CHANCE = 0.3
const START_MS_MAX = 150
/** Images whose bytes are read after each kill. All images are read after every FULL_EVERY kills, and at the end. */
const IMAGES_READ = 3
const FULL_EVERY = 25
/** Images stay in the recycle bin for a second, so that cleanup has something to purge. */
const CONFIG = '[images]\nretention = "1s"\n[transfer]\nupload-concurrency = 4\ndownload-concurrency = 4\n'

export interface KillsReport {
  readonly kills: number
  /** Choices of the clients by kind. */
  readonly counts: Readonly<Record<string, number>>
  readonly images: number
  readonly slices: number
}

/**
 * Kills an agent a number of times, or until a time has passed since the start. Reports progress to `say`. Throws PromiseBroken, with the
 * seed in its message.
 */
export async function killAtRandom(kills: number, seed: number, say: (line: string) => void, msMax = Number.POSITIVE_INFINITY): Promise<KillsReport> {
  const endMs = performance.now() + msMax
  const random = createRandom(seed)
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path, { config: CONFIG })
  const ledger = new Ledger(agent, { prunes: true })
  const load = createMixedLoad(agent, ledger, random)
  let kill = 0
  try {
    for (; kill < kills && performance.now() < endMs; kill++) {
      const life = Bun.sleep(random.below(LIFE_MS_MAX)).then(() => agent.kill())
      await load.run(life)
      if (random.chance(DOOMED_CHANCE)) {
        // A start, or a rebuild of the index database, may be killed too.
        const command = random.chance(0.5) ? 'serve' : 'recover'
        await agentCommand(folder.path, [command], { config: CONFIG, kill: Bun.sleep(random.below(START_MS_MAX)) })
      }
      await agent.restart()
      await ledger.verify(kill % FULL_EVERY === FULL_EVERY - 1 ? undefined : someImages(ledger, random))
      if (kill % FULL_EVERY === FULL_EVERY - 1) say(`${kill + 1} kills, ${ledger.images.size} images, ${ledger.uploads.size} uploads`)
    }
    return { kills: kill, counts: load.counts, ...(await settle(agent, ledger, folder.path)) }
  } catch (error) {
    const why = errorText(error)
    throw new PromiseBroken(`after ${kill} kills, SLIPWAY_SEED=${seed}: ${why}\n${agent.log().slice(-8000)}`, { cause: error })
  }
}

/** Returns a few images that must exist, and all whose state is unknown. */
function someImages(ledger: Ledger, random: Random): LedgerImage[] {
  const kept = [...ledger.images.values()].filter(({ state }) => state === 'kept')
  const unsure = [...ledger.images.values()].filter(({ state }) => state !== 'kept')
  return [...unsure, ...Array.from({ length: Math.min(IMAGES_READ, kept.length) }, () => random.pick(kept))]
}

/** Ends a run: finishes all uploads, reads everything, and checks that gc leaves no unreferenced slice and that scrub is clean. */
async function settle(agent: AgentProcess, ledger: Ledger, folder: string): Promise<{ images: number; slices: number }> {
  for (const upload of [...ledger.uploads.values()]) await ledger.finish(upload)
  if (ledger.uploads.size > 0) throw new PromiseBroken(`${ledger.uploads.size} uploads could not be finished`)
  await ledger.verify()
  await idle(agent)
  const before = await cleanup(agent, false)
  // An image may expire after the cleanup, and a dry run counts it as purged. Only a dry run that finds none is conclusive.
  const after = await until('nothing has expired since the last cleanup', async () => {
    const report = await cleanup(agent, true)
    if (report['purgedCount'] === 0 && report['expiredCount'] === 0) return report
    await cleanup(agent, false)
    return undefined
  })
  if (after['slicesDead'] !== 0)
    throw new PromiseBroken(`gc left ${String(after['slicesDead'])} of ${String(before['slicesLive'])} slices that no image references`)
  await ledger.verify()
  await agent.kill()
  const scrub = await agentCommand(folder, ['scrub'], { config: CONFIG })
  if (scrub.exitCode !== 0) throw new PromiseBroken(`scrub is not clean: ${scrub.stdout}${scrub.stderr}`)
  const check = await agentCommand(folder, ['check'], { config: CONFIG })
  if (check.exitCode !== 0) throw new PromiseBroken(`check is not clean: ${check.stdout}${check.stderr}`)
  return { images: ledger.images.size, slices: Number(after['slicesLive']) }
}

/** Tasks that show live work. An upload whose creation was never answered stays until it expires. */
const LIVE_KINDS = new Set(['upload', 'inspect', 'digest'])

async function idle(agent: AgentProcess): Promise<void> {
  await until('all tasks have ended', async () =>
    (await agent.client.tasks.list({ limit: 500 })).items.every(({ kind, endedAt }) => endedAt !== null || LIVE_KINDS.has(kind)),
  )
}

async function cleanup(agent: AgentProcess, dryRun: boolean): Promise<Record<string, unknown>> {
  const { id } = await agent.client.store.cleanup(dryRun)
  const task = await until('cleanup has ended', async () => {
    const found = await agent.client.tasks.get(id)
    return found.endedAt === null ? undefined : found
  })
  if (task.state !== 'succeeded') throw new PromiseBroken(`cleanup ${task.state}: ${task.error?.detail}`)
  return task.result ?? {}
}

if (import.meta.main) {
  const kills = Number(process.argv[2] ?? 50)
  const seed = runSeed()
  console.log(`SLIPWAY_SEED=${seed}`)
  console.log(JSON.stringify(await killAtRandom(kills, seed, (line) => console.log(line))))
}
