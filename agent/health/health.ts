// Runs the checks of a store and keeps what they found, so that the answer is there when it is asked for.

import type { Check, CheckState, Health, HealthState } from '../../protocol/health.ts'
import { formatTime } from '../../protocol/time.ts'
import { formatDuration } from '../../protocol/units.ts'
import type { Finding, HealthBoard, HealthCheck } from '../contract/health.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { EmitEvent } from '../contract/work.ts'

/** A check that takes longer counts as failed, in milliseconds. */
const CHECK_MS_MAX = 2000
/** Results younger than this are given without measuring anew, in milliseconds. */
const FRESH_MS = 2000
/** How long an answer waits for new results, where the last ones are old, before it gives the old ones, in milliseconds. */
const PATIENCE_MS = 25
/** While somebody asks, the checks run by themselves this often in milliseconds, so that no answer waits for them. */
const WATCH_MS = 1500
/** While nobody asks, they run this often in milliseconds, so that a change becomes an event. */
const WATCH_IDLE_MS = 9000
/** For so long after a question in milliseconds the next one is expected. */
const ASKED_MS = 10_000

export interface HealthDeps {
  readonly checks: readonly HealthCheck[]
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
}

/** Makes the board. Disposing ends the watch. */
export function createHealth(deps: HealthDeps): HealthBoard & Disposable {
  const { clock, log, emit } = deps
  const running = new Map<string, { readonly sinceMs: number; readonly result: Promise<Finding> }>()
  let last: { readonly health: Health; readonly atMs: number } | undefined
  let refreshing: Promise<Health> | undefined
  let askedMs = clock.monotonicMs()

  const measure = async (check: HealthCheck): Promise<Check> => {
    const started = running.get(check.name) ?? start(check)
    const waitedMs = clock.monotonicMs() - started.sinceMs
    const patience = new AbortController()
    const late = clock.sleep(Math.max(0, CHECK_MS_MAX - waitedMs), patience.signal).then(
      () => lateFinding(clock.monotonicMs() - started.sinceMs),
      // The check was faster; its result is the one that counts.
      () => started.result,
    )
    const finding = await Promise.race([started.result, late])
    patience.abort()
    return { name: check.name, ...finding }
  }

  /** Checks that threw when they were measured last: each is logged once and not every second. */
  const broken = new Set<string>()
  const attempt = async (check: HealthCheck): Promise<Finding> => {
    try {
      const finding = await check.measure()
      broken.delete(check.name)
      return finding
    } catch (error) {
      if (!broken.has(check.name)) log.error('a health check broke', { check: check.name, error })
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

  const refresh = async (): Promise<Health> => {
    const checks = await Promise.all(deps.checks.map(measure))
    const health: Health = { state: stateOf(deps.checks, checks), checks, asOf: formatTime(clock.nowMs()) }
    tellChanges(emit, last?.health, health)
    last = { health, atMs: clock.monotonicMs() }
    return health
  }
  const refreshOnce = (): Promise<Health> => (refreshing ??= refresh().finally(() => (refreshing = undefined)))

  const watch = clock.every(WATCH_MS, () => {
    const nowMs = clock.monotonicMs()
    if (!last || nowMs - askedMs < ASKED_MS || nowMs - last.atMs >= WATCH_IDLE_MS) void refreshOnce()
  })

  return {
    refresh: refreshOnce,
    async current() {
      askedMs = clock.monotonicMs()
      if (!last) return refreshOnce()
      if (clock.monotonicMs() - last.atMs < FRESH_MS) return last.health
      const patience = new AbortController()
      const known = last.health
      const newer = await Promise.race([
        refreshOnce(),
        clock.sleep(PATIENCE_MS, patience.signal).then(
          () => known,
          () => known,
        ),
      ])
      patience.abort()
      return newer
    },
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  }
}

const BROKEN: Finding = {
  state: 'failed',
  measured: 'the check itself failed',
  limit: null,
  impact: 'It is not known whether this part of the store works.',
  action: 'Look for "a health check broke" in the log of the agent.',
}

function lateFinding(waitedMs: number): Finding {
  return {
    state: 'failed',
    measured: `no answer for ${formatDuration(Math.ceil(waitedMs / 1000) * 1000)}`,
    limit: formatDuration(CHECK_MS_MAX),
    impact: 'What this check measures hangs: requests that need it hang too.',
    action: 'Check the disk or the NFS server behind the mount path (dmesg, mount, nfsstat); the agent goes on by itself when it answers again.',
  }
}

/** A failed vital check is an error; anything else that is not well makes it degraded. What is unknown changes nothing. */
export function stateOf(known: readonly HealthCheck[], checks: readonly Check[]): HealthState {
  const isVital = new Set(known.filter((check) => check.isVital).map((check) => check.name))
  if (checks.some((check) => check.state === 'failed' && isVital.has(check.name))) return 'error'
  return checks.some((check) => check.state === 'failed' || check.state === 'warning') ? 'degraded' : 'running'
}

/** One event for each check that went from well to unwell or back. */
function tellChanges(emit: EmitEvent, before: Health | undefined, now: Health): void {
  const wasUnwell = (name: string): CheckState => before?.checks.find((check) => check.name === name)?.state ?? 'ok'
  for (const check of now.checks) {
    const previous = wasUnwell(check.name)
    if (previous === check.state || check.state === 'unknown') continue
    if (check.state === 'ok' && previous === 'unknown') continue
    const severity = check.state === 'ok' ? 'info' : check.state === 'warning' ? 'warning' : 'error'
    const message =
      check.state === 'ok' ? `${check.name} is well again: ${check.measured}.` : `${check.name}: ${check.measured}. ${check.impact} ${check.action}`
    emit({ type: 'health.changed', severity, subject: check.name, message, details: { ...check, previous } })
  }
}
