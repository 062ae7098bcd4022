// Runs one health check at a time of each name, and bounds how long an answer waits for it.

import type { Check } from '../../protocol/health.ts'
import { formatDuration } from '../../protocol/units.ts'
import type { Finding, HealthCheck } from '../contract/health.ts'
import type { Clock, Log } from '../contract/runtime.ts'

/** A check that takes longer counts as failed, in milliseconds. */
const CHECK_MS_MAX = 2000

export interface CheckRunnerDeps {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  readonly log: Log
}

/** Returns a function that measures a check. A check that is still running is not started a second time. */
export function createCheckRunner({ clock, log }: CheckRunnerDeps): (check: HealthCheck) => Promise<Check> {
  const running = new Map<string, { readonly sinceMs: number; readonly result: Promise<Finding> }>()
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

  const start = (check: HealthCheck): { readonly sinceMs: number; readonly result: Promise<Finding> } => {
    const result = attempt(check).finally(() => running.delete(check.name))
    const entry = { sinceMs: clock.monotonicMs(), result }
    running.set(check.name, entry)
    return entry
  }

  return async (check) => {
    const started = running.get(check.name) ?? start(check)
    const waitedMs = clock.monotonicMs() - started.sinceMs
    const patience = new AbortController()
    const late = clock.sleep(Math.max(0, CHECK_MS_MAX - waitedMs), patience.signal).then(
      () => lateFinding(clock.monotonicMs() - started.sinceMs),
      // The check ended first, and its result counts.
      () => started.result,
    )
    const finding = await Promise.race([started.result, late])
    patience.abort()
    return { name: check.name, ...finding }
  }
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
