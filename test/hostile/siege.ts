// Runs one attack against a real agent with eight clients at once, beside an honest client, and tells what it cost:
// memory, disk, the latency of health, and whether the honest client got its work done.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import type { AgentProcess } from '../support/agents/agent-process.ts'
import { startAgent } from '../support/agents/agent-process.ts'
import { residentBytesMax, resetResidentBytesMax } from '../support/agents/resident-memory.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { HEALTH_ANSWERS_PER_LINE, IMAGE_BYTES } from './observer.ts'
import type { Observation } from './observer.ts'

/** Clients that attack at the same time. */
export const ATTACKERS = 8
/** An attack lasts until the honest client has done so many round trips and asked for health so often, within these times in milliseconds. */
const ROUND_TRIPS_MIN = 3
const HEALTH_ANSWERS_MIN = 100
const SIEGE_MS_MIN = 2500
const SIEGE_MS_MAX = 30_000

/** Nice values: the honest client measures the agent and not how busy the machine is. */
const ATTACKERS_NICE = 10
const HONEST_NICE = -10

const MIB = 1024 * 1024
/** Memory of an agent that serves nobody, and what the honest client's two transfers may take (DESIGN, "Workers"). */
export const BASE_BYTES_MAX = 256 * MIB
export const HONEST_BYTES_MAX = 2 * 64 * MIB

/** One client of an attack. */
export interface Attacker {
  readonly url: string
  /** 0 to ATTACKERS - 1. */
  readonly index: number
  /** Authorization header of a token of this role, which belongs to the attackers. */
  headers(role: 'viewer' | 'uploader' | 'operator' | 'admin', more?: Readonly<Record<string, string>>): Record<string, string>
  /** Aborted when the attack is over. */
  readonly signal: AbortSignal
}

export interface SiegeReport extends Observation {
  readonly healthP99Ms: number
  /** How many times longer the event loop took than its CPU time, because it waited for a core: 1 on a machine with nothing else to do. */
  readonly waitFactor: number
  readonly memoryBytesMax: number
  /** Bytes that files grew by, without the images of the honest client. */
  readonly diskBytes: number
}

export interface Castle extends AsyncDisposable {
  readonly agent: AgentProcess
  /** Lets every attacker do the same again and again until the honest client has done its work. */
  besiege(attack: (attacker: Attacker) => Promise<void>): Promise<SiegeReport>
}

/** Starts an agent with its own store and makes tokens for the attackers and for the honest client. */
export async function openCastle(config = ''): Promise<Castle> {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const agent = stack.use(await startAgent(folder.path, { config }))
  const tokens: Record<string, string> = {}
  for (const role of ['viewer', 'uploader', 'operator', 'admin'] as const)
    tokens[role] = (await agent.client.tokens.create({ name: `hostile-${role}`, role })).token
  const honest = (await agent.client.tokens.create({ name: 'honest', role: 'operator' })).token

  const besiege: Castle['besiege'] = async (attack) => {
    resetResidentBytesMax(agent.pid)
    const diskBefore = bytesBelow(folder.path)
    const scheduledBefore = schedulingOf(agent.pid)
    const observer = Bun.spawn([process.execPath, join(import.meta.dir, 'observer.ts'), agent.url, honest], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    })
    setPriorityOf(observer.pid, HONEST_NICE)
    // Attackers are on other machines: they must not take the agent's share of this one.
    setPriorityOf(process.pid, ATTACKERS_NICE)
    setPriorityOf(agent.pid, 0)
    const honestWork = listen(observer.stdout)
    const over = new AbortController()
    const startMs = performance.now()
    let isEachDone = false
    const attackers = Array.from({ length: ATTACKERS }, async (_, index) => {
      const headers: Attacker['headers'] = (role, more = {}) => ({ authorization: `Bearer ${tokens[role]}`, ...more })
      do await attack({ url: agent.url, index, headers, signal: over.signal })
      while (!over.signal.aborted)
    })
    void Promise.allSettled(attackers).then(() => (isEachDone = true))
    const isOver = (): boolean => {
      const elapsedMs = performance.now() - startMs
      return isEachDone || elapsedMs > SIEGE_MS_MAX || (elapsedMs > SIEGE_MS_MIN && honestWork.isEnough())
    }
    while (!isOver()) await Bun.sleep(50)
    over.abort()
    await Promise.all(attackers)
    setPriorityOf(process.pid, 0)
    await observer.stdin.end()
    const observation = await honestWork.observation
    return {
      ...observation,
      healthP99Ms: quantile(observation.healthMs, 0.99),
      waitFactor: waitFactorBetween(scheduledBefore, schedulingOf(agent.pid)),
      memoryBytesMax: residentBytesMax(agent.pid),
      // The last round trip may have been cut short.
      diskBytes: bytesBelow(folder.path) - diskBefore - (observation.roundTrips + 1) * IMAGE_BYTES,
    }
  }
  return { agent, besiege, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** Follows what the honest client prints. */
function listen(stdout: ReadableStream<Uint8Array<ArrayBuffer>>): { isEnough(): boolean; readonly observation: Promise<Observation> } {
  let roundTrips = 0
  let healthAnswers = 0
  const observation = (async () => {
    let rest = ''
    for await (const piece of stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line === 'round trip') roundTrips++
        else if (line === 'health') healthAnswers += HEALTH_ANSWERS_PER_LINE
        else return JSON.parse(line) as Observation
      }
    }
    throw new Error('the honest client ended without a report')
  })()
  // A siege that fails for another reason does not wait for the report.
  observation.catch(() => {})
  return { isEnough: () => roundTrips >= ROUND_TRIPS_MIN && healthAnswers >= HEALTH_ANSWERS_MIN, observation }
}

/** Value below which this part of the numbers lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.POSITIVE_INFINITY
}

/** Whether enough honest work was done for the figures to mean something. */
export function isConclusive({ roundTrips, healthMs }: SiegeReport): boolean {
  return roundTrips >= ROUND_TRIPS_MIN && healthMs.length >= HEALTH_ANSWERS_MIN
}

interface Scheduling {
  readonly runNs: number
  readonly waitNs: number
}

/** Time that the main thread of a process ran, and waited for a core (Linux, schedstat). */
function schedulingOf(pid: number): Scheduling {
  const [runNs = 0, waitNs = 0] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ').map(Number)
  return { runNs, waitNs }
}

function waitFactorBetween(before: Scheduling, after: Scheduling): number {
  const runNs = after.runNs - before.runNs
  return runNs === 0 ? 1 : (runNs + after.waitNs - before.waitNs) / runNs
}

/** Sets the nice value of a process. Only root may lower it; without that right the figures are a little worse. */
function setPriorityOf(pid: number, nice: number): void {
  try {
    setPriority(pid, nice)
  } catch {
    // Not allowed, or the process has ended: nothing depends on it but the figures.
  }
}

/** Length of all files below a folder. */
export function bytesBelow(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    try {
      bytes += statSync(join(entry.parentPath, entry.name)).size
    } catch {
      // Removed between the two calls.
    }
  }
  return bytes
}
