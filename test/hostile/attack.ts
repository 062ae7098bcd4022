// Runs one attack against a real agent with eight concurrent clients, in parallel with an honest client, and measures its cost:
// memory, disk, the latency of health, and the completed work of the honest client.

import { readFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import type { AgentProcess } from '../support/agents/agent-process.ts'
import { startAgent } from '../support/agents/agent-process.ts'
import { residentBytesMax, resetResidentBytesMax } from '../support/agents/resident-memory.ts'
import { bytesBelow } from '../support/machine/folder-stats.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { HEALTH_ANSWERS_PER_LINE, IMAGE_BYTES } from './observer.ts'
import type { Observation } from './observer.ts'

/** Clients that attack at the same time. */
export const ATTACKERS = 8
/** An attack lasts until the honest client has completed this many round trips and health requests, within these times in milliseconds. */
const ROUND_TRIPS_MIN = 2
const HEALTH_ANSWERS_MIN = 100
const ATTACK_MS_MIN = 1500
const ATTACK_MS_MAX = 30_000

/** Nice values, so that the honest client measures the agent and not the load of the machine. */
const ATTACKERS_NICE = 10
const HONEST_NICE = -10

const MIB = 1024 * 1024
/** Memory of an idle agent, and of the honest client's two transfers (DESIGN, "Workers"). */
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

export interface AttackReport extends Observation {
  readonly healthP99Ms: number
  /** Elapsed time of the event loop divided by its CPU time: 1 on an idle machine, more when it had to wait for a core. */
  readonly waitFactor: number
  readonly memoryBytesMax: number
  /** Growth of all files in bytes, without the images of the honest client. */
  readonly diskBytes: number
}

export interface AttackTarget extends AsyncDisposable {
  readonly agent: AgentProcess
  /** Repeats the attack in every attacker until the honest client has completed its work. */
  run(attack: (attacker: Attacker) => Promise<void>): Promise<AttackReport>
}

/** Starts an agent with its own store and creates tokens for the attackers and for the honest client. */
export async function openTarget(config = ''): Promise<AttackTarget> {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const agent = stack.use(await startAgent(folder.path, { config }))
  const tokens: Record<string, string> = {}
  for (const role of ['viewer', 'uploader', 'operator', 'admin'] as const)
    tokens[role] = (await agent.client.tokens.create({ name: `hostile-${role}`, role })).token
  const honest = (await agent.client.tokens.create({ name: 'honest', role: 'operator' })).token

  const run: AttackTarget['run'] = async (attack) => {
    resetResidentBytesMax(agent.pid)
    const diskBefore = bytesBelow(folder.path)
    const scheduledBefore = schedulingOf(agent.pid)
    const observer = Bun.spawn([process.execPath, join(import.meta.dir, 'observer.ts'), agent.url, honest], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    })
    setPriorityOf(observer.pid, HONEST_NICE)
    // Real attackers run on other machines, so these must not compete with the agent for the CPU.
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
      return isEachDone || elapsedMs > ATTACK_MS_MAX || (elapsedMs > ATTACK_MS_MIN && honestWork.isEnough())
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
      // The last round trip may be incomplete.
      diskBytes: bytesBelow(folder.path) - diskBefore - (observation.roundTrips + 1) * IMAGE_BYTES,
    }
  }
  return { agent, run, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** Reads the output of the honest client. */
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
  // After another failure nothing waits for the report.
  observation.catch(() => {})
  return { isEnough: () => roundTrips >= ROUND_TRIPS_MIN && healthAnswers >= HEALTH_ANSWERS_MIN, observation }
}

/** Returns the value below which this fraction of the numbers is. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.POSITIVE_INFINITY
}

/** Returns whether the honest client completed enough work for the figures to be meaningful. */
export function isConclusive({ roundTrips, healthMs }: AttackReport): boolean {
  return roundTrips >= ROUND_TRIPS_MIN && healthMs.length >= HEALTH_ANSWERS_MIN
}

interface Scheduling {
  readonly runNs: number
  readonly waitNs: number
}

/** Returns the time that the main thread of a process ran, and that it waited for a core (Linux, schedstat). */
function schedulingOf(pid: number): Scheduling {
  const [runNs = 0, waitNs = 0] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'latin1').split(' ').map(Number)
  return { runNs, waitNs }
}

function waitFactorBetween(before: Scheduling, after: Scheduling): number {
  const runNs = after.runNs - before.runNs
  return runNs === 0 ? 1 : (runNs + after.waitNs - before.waitNs) / runNs
}

/** Sets the nice value of a process. Only root may lower it; for other users the figures are slightly worse. */
function setPriorityOf(pid: number, nice: number): void {
  try {
    setPriority(pid, nice)
  } catch {
    // Not permitted, or the process has ended. Only the precision of the figures depends on it.
  }
}
