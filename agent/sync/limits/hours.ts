// Hours in which syncs may move bytes. Pure functions of the wall time.

import { Cron } from 'croner'
import { errorText } from '../../../protocol/errors.ts'
import type { SyncHours } from '../../../protocol/sync/sync-limits.ts'

const MINUTE_MS = 60_000
/** Most steps in the search for a time at which two lists of windows are both open: each looks at every window. */
const STEPS_MAX = 32
/** Longest wait when that search found no time, in milliseconds. */
const NONE_FOUND_MS = 86_400_000
/** Most parsed expressions that are kept. */
const CRONS_MAX = 100

/** Whether bytes may move at a time, and until or from when at least, in milliseconds since 1970. */
export type HoursState = { readonly kind: 'open'; readonly untilMs: number } | { readonly kind: 'closed'; readonly fromMs: number }

/** Returns the state of windows. Without windows, every time is open. */
export function hoursAt(windows: readonly SyncHours[], timezone: string, nowMs: number): HoursState {
  if (windows.length === 0) return { kind: 'open', untilMs: Infinity }
  let fromMs = Infinity
  for (const { cron, minutes } of windows) {
    // The first opening after this time: an earlier one has closed by now.
    const opensMs = nextMs(cron, timezone, nowMs - minutes * MINUTE_MS)
    if (opensMs <= nowMs) return { kind: 'open', untilMs: opensMs + minutes * MINUTE_MS }
    fromMs = Math.min(fromMs, opensMs)
  }
  return { kind: 'closed', fromMs }
}

/** Returns the state of several lists of windows, which must all be open. */
export function allHoursAt(lists: readonly (readonly SyncHours[])[], timezone: string, nowMs: number): HoursState {
  let atMs = nowMs
  for (let step = 0; step < STEPS_MAX; step++) {
    const states = lists.map((windows) => hoursAt(windows, timezone, atMs))
    const closed = states.filter((state) => state.kind === 'closed')
    const untilMs = Math.min(...states.map((state) => (state.kind === 'open' ? state.untilMs : Infinity)))
    if (closed.length === 0) return atMs === nowMs ? { kind: 'open', untilMs } : { kind: 'closed', fromMs: atMs }
    atMs = Math.max(...closed.map(({ fromMs }) => fromMs))
    if (atMs === Infinity) break
  }
  // The search goes on from the time that it has reached.
  return { kind: 'closed', fromMs: Math.min(atMs, nowMs + NONE_FOUND_MS) }
}

/** Returns why a list of windows cannot be used, as a clause; undefined if it can. */
export function refuseHours(windows: readonly SyncHours[], timezone: string, nowMs: number): string | undefined {
  for (const { cron } of windows) {
    if (cron.trim().split(/\s+/).length !== 5) return `"${cron}" must have five fields, such as "0 22 * * *" (minute, hour, day, month, weekday)`
    try {
      if (nextMs(cron, timezone, nowMs) === Infinity) return `"${cron}" never opens`
    } catch (error) {
      return `"${cron}" is not a cron expression: ${errorText(error)}`
    }
  }
  return undefined
}

const crons = new Map<string, Cron>()

function nextMs(cron: string, timezone: string, afterMs: number): number {
  const key = `${timezone} ${cron}`
  const parsed = crons.get(key) ?? new Cron(cron, { timezone, paused: true })
  if (crons.size >= CRONS_MAX) crons.clear()
  crons.set(key, parsed)
  return parsed.nextRun(new Date(afterMs))?.getTime() ?? Infinity
}
