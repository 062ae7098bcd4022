// Runs the checks of a store in the background and keeps their findings, so that a query is answered at once.

import type { Check, CheckState, Health, HealthState } from '../../protocol/health.ts'
import { formatTime } from '../../protocol/time.ts'
import type { HealthBoard, HealthCheck } from '../contract/health.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { EmitEvent } from '../contract/work.ts'
import { createCheckRunner } from './check-runner.ts'

/** Results younger than this are returned without measuring again, in milliseconds. */
const FRESH_MS = 2000
/** How long an answer waits for new results when the last ones are old, before the old ones are returned, in milliseconds. */
const PATIENCE_MS = 25
/** While health is being queried, the checks run this often in milliseconds, so that no answer waits for them. */
const WATCH_MS = 1500
/** Otherwise they run this often in milliseconds, so that a change becomes an event. */
const WATCH_IDLE_MS = 9000
/** How long after a query the next one is expected, in milliseconds. */
const ASKED_MS = 10_000

export interface HealthDeps {
  readonly checks: readonly HealthCheck[]
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
}

/** Creates the board. Disposing ends the watch. */
export function createHealth(deps: HealthDeps): HealthBoard & Disposable {
  const { clock, log, emit } = deps
  const measure = createCheckRunner({ clock, log })
  let last: { readonly health: Health; readonly atMs: number } | undefined
  let refreshing: Promise<Health> | undefined
  let askedMs = clock.monotonicMs()

  const refresh = async (): Promise<Health> => {
    const checks = await Promise.all(deps.checks.map(measure))
    const health: Health = { state: stateOf(deps.checks, checks), checks, asOf: formatTime(clock.nowMs()) }
    emitChanges(emit, last?.health, health)
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

/** Returns `error` when a vital check failed, `degraded` when any other check is not ok. An unknown result changes nothing. */
export function stateOf(known: readonly HealthCheck[], checks: readonly Check[]): HealthState {
  const isVital = new Set(known.filter((check) => check.isVital).map((check) => check.name))
  if (checks.some((check) => check.state === 'failed' && isVital.has(check.name))) return 'error'
  return checks.some((check) => check.state === 'failed' || check.state === 'warning') ? 'degraded' : 'running'
}

/** Emits one event for each check whose state changed. */
function emitChanges(emit: EmitEvent, before: Health | undefined, now: Health): void {
  const stateBefore = (name: string): CheckState => before?.checks.find((check) => check.name === name)?.state ?? 'ok'
  for (const check of now.checks) {
    const previous = stateBefore(check.name)
    if (previous === check.state || check.state === 'unknown') continue
    if (check.state === 'ok' && previous === 'unknown') continue
    const severity = check.state === 'ok' ? 'info' : check.state === 'warning' ? 'warning' : 'error'
    const message = check.state === 'ok' ? `${check.name} is ok again: ${check.measured}.` : `${check.name}: ${check.measured}. ${check.impact} ${check.action}`
    emit({ type: 'health.changed', severity, subject: check.name, message, details: { ...check, previous } })
  }
}
