// What is wrong with a store whose health is `error`, read together with an answer about its images: an agent answers those
// from memory, so that without this the answer would show the last good state of files that cannot be read.

import type { AgentClient } from '../../protocol/client/agent-client.ts'
import type { Check } from '../../protocol/health.ts'
import { ProblemError } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import { formatAt } from '../../protocol/views/phrases.ts'
import { MOUNT_CHECK } from './judge.ts'
import type { StoreRecord } from './registry.ts'

/** Newest events that are searched for the moment at which the check failed. */
const EVENTS_READ = 500

export interface StoreFailure {
  readonly store: string
  /** When the check failed, in milliseconds since 1970; null when the newest events do not say. */
  readonly sinceMs: number | null
  readonly finding: string
  readonly impact: string
  readonly action: string
  /** Whether the mount path is what fails, so that no file can be read. */
  readonly isUnreadable: boolean
}

/** Asks an agent for its health; undefined unless it is `error`. */
export async function failureOf(agent: AgentClient, { name }: Pick<StoreRecord, 'name'>): Promise<StoreFailure | undefined> {
  const health = await answerOrNone(agent.health())
  if (health?.state !== 'error') return undefined
  const failed = health.checks.filter(({ state }) => state === 'failed').toSorted((a, b) => Number(b.name === MOUNT_CHECK) - Number(a.name === MOUNT_CHECK))
  const [worst] = failed
  return {
    store: name,
    sinceMs: worst ? await failedSince(agent, worst) : null,
    finding: failed.map((check) => `${check.name}: ${check.measured}`).join('; '),
    impact: worst?.impact ?? '',
    action: worst?.action ?? `Look at store health ${name}.`,
    isUnreadable: worst?.name === MOUNT_CHECK,
  }
}

/** The state of the store, since when, impact and next step, in one line. */
export function failureText({ sinceMs, finding, impact, action }: StoreFailure): string {
  return [`Error${sinceMs === null ? '' : ` since ${formatAt(sinceMs)}`}: ${finding}.`, impact, action].filter((text) => text !== '').join(' ')
}

/** A failure for `--json`. */
export function failureJson({ store, sinceMs, finding, impact, action }: StoreFailure): Record<string, unknown> {
  return { store, state: 'error', since: sinceMs === null ? null : formatTime(sinceMs), finding, impact, action }
}

async function failedSince(agent: AgentClient, check: Check): Promise<number | null> {
  const events = await answerOrNone(agent.events.list({ limit: EVENTS_READ }))
  const change = events?.items.find(({ type, subject }) => type === 'health.changed' && subject === check.name)
  return change?.details['state'] === 'failed' ? Date.parse(change.time) : null
}

/** The answer, or undefined when it is refused: the answer that it comes with then says why. */
async function answerOrNone<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof ProblemError) return undefined
    throw error
  }
}
