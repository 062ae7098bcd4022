// Runs one health check at a time of each name, and bounds how long an answer waits for it.

import type { Check } from '../../protocol/health.ts'
import { formatDuration } from '../../protocol/units.ts'
import type { Finding, HealthCheck } from '../contract/health.ts'
import type { Clock, Log } from '../contract/runtime.ts'

/** A check that takes longer counts as failed, in milliseconds. */
const CHECK_MS_MAX = 2000
/** The time of a check is counted in turns of the event loop of this length: a process that got no core for 2 s says nothing about the mount path. */
const TURN_MS = 100

export interface CheckRunnerDeps {
  readonly clock: Pick<Clock, 'monotonicMs' | 'every'>
  readonly log: Log
}

/** Returns a function that measures a check. A check that is still running is not started a second time. */
export function createCheckRunner({ clock, log }: CheckRunnerDeps): (check: HealthCheck) => Promise<Check> {
  const running = new Map<string, RunningCheck>()
  /** Checks whose last measurement threw: each is logged once and not every second. */
  const broken = new Set<string>()

  const attempt = async (check: HealthCheck): Promise<Finding> => {
    try {
      const finding = await check.measure()
      broken.delete(check.name)
      return finding
    } catch (error) {
      if (!broken.has(check.name)) log.error('a health check threw', { check: check.name, error })
      broken.add(check.name)
      return BROKEN
    }
  }

  const start = (check: HealthCheck): RunningCheck => {
    const late = Promise.withResolvers<void>()
    let turnsLeft = CHECK_MS_MAX / TURN_MS
    const turns = clock.every(TURN_MS, () => {
      if (--turnsLeft > 0) return
      turns[Symbol.dispose]()
      late.resolve()
    })
    const result = attempt(check).finally(() => {
      running.delete(check.name)
      turns[Symbol.dispose]()
    })
    const entry = { sinceMs: clock.monotonicMs(), result, late: late.promise }
    running.set(check.name, entry)
    return entry
  }

  return async (check) => {
    const { sinceMs, result, late } = running.get(check.name) ?? start(check)
    const finding = await Promise.race([result, late.then(() => lateFinding(clock.monotonicMs() - sinceMs))])
    return { name: check.name, ...finding }
  }
}

interface RunningCheck {
  readonly sinceMs: number
  readonly result: Promise<Finding>
  /** Resolves when the check takes too long. */
  readonly late: Promise<void>
}

const BROKEN: Finding = {
  state: 'failed',
  measured: 'the check itself failed',
  limit: null,
  impact: 'It is not known whether this part of the store works.',
  action: 'Search the log of the agent for "a health check threw".',
}

function lateFinding(waitedMs: number): Finding {
  return {
    state: 'failed',
    measured: `no answer for ${formatDuration(Math.ceil(waitedMs / 1000) * 1000)}`,
    limit: formatDuration(CHECK_MS_MAX),
    impact: 'What this check measures hangs, and so do requests that need it.',
    action: 'Check the disk or the NFS server behind the mount path (dmesg, mount, nfsstat). The agent recovers by itself when it answers again.',
  }
}
