// Computes from cron expressions when schedules fire and which are due. Pure functions.

import { Cron } from 'croner'
import { errorText } from '../../protocol/errors.ts'
import type { ScheduleName } from '../../protocol/schedule.ts'

/** Everything that determines when a schedule fires next. */
export interface ScheduleTiming {
  readonly name: ScheduleName
  readonly cron: string
  readonly timezone: string
  readonly paused: boolean
  readonly running: boolean
  /** The schedule fires at the first time after this one, in milliseconds since 1970: its last run, or when it was created or changed. */
  readonly anchorMs: number
  /** The schedule does not fire before this time, after a start that failed. */
  readonly notBeforeMs: number
}

export interface SchedulePlan {
  readonly start: readonly ScheduleName[]
  /** Schedules that are due while their last run is in progress: this time is skipped. */
  readonly skip: readonly ScheduleName[]
}

/** Returns what to do now. Times missed while the agent was down are made up for by one run. */
export function planSchedules(timings: readonly ScheduleTiming[], nowMs: number): SchedulePlan {
  const due = timings.filter((timing) => isDue(timing, nowMs))
  return { start: due.filter((timing) => !timing.running).map(nameOf), skip: due.filter((timing) => timing.running).map(nameOf) }
}

/** Returns when a schedule fires next, in milliseconds since 1970; null while paused. A time in the past means that it is due. */
export function nextRunMs({ cron, timezone, paused, anchorMs, notBeforeMs }: ScheduleTiming, nowMs: number): number | null {
  if (paused) return null
  // An anchor in the future comes from a clock that was wrong, and must not delay the schedule.
  const nextMs = openCron(cron, timezone).nextMs(Math.min(anchorMs, nowMs))
  return nextMs === null ? null : Math.max(nextMs, notBeforeMs)
}

export type CronVerdict = { readonly kind: 'accepted' } | { readonly kind: 'refused'; readonly reason: string }

/** Judges whether an expression is valid: it has five fields and fires at some time. */
export function judgeCron(cron: string, timezone: string, nowMs: number): CronVerdict {
  if (cron.trim().split(/\s+/).length !== 5)
    return { kind: 'refused', reason: 'it must have five fields, such as "17 3 * * *" (minute, hour, day, month, weekday)' }
  try {
    return openCron(cron, timezone).nextMs(nowMs) === null ? { kind: 'refused', reason: 'it never fires' } : { kind: 'accepted' }
  } catch (error) {
    return { kind: 'refused', reason: errorText(error) }
  }
}

function isDue(timing: ScheduleTiming, nowMs: number): boolean {
  const nextMs = nextRunMs(timing, nowMs)
  return nextMs !== null && nextMs <= nowMs
}

function nameOf(timing: ScheduleTiming): ScheduleName {
  return timing.name
}

/** A parsed expression. */
interface ParsedCron {
  /** Returns the first time after `fromMs` at which it fires, in milliseconds since 1970; null if there is none. */
  nextMs(fromMs: number): number | null
}

const CRONS_MAX = 100
const crons = new Map<string, ParsedCron>()

/** Returns the parsed expression, from a cache if possible. */
function openCron(cron: string, timezone: string): ParsedCron {
  const key = `${timezone} ${cron}`
  const known = crons.get(key)
  if (known) return known
  const parsed = rememberingLast(new Cron(cron, { timezone, paused: true }))
  if (crons.size >= CRONS_MAX) crons.clear()
  crons.set(key, parsed)
  return parsed
}

/** A schedule asks for the time after its anchor again and again, and the search in a time zone costs up to a millisecond: the last answer is kept. */
function rememberingLast(cron: Cron): ParsedCron {
  let last: { readonly fromMs: number; readonly nextMs: number | null } | undefined
  return {
    nextMs(fromMs) {
      if (last?.fromMs !== fromMs) last = { fromMs, nextMs: cron.nextRun(new Date(fromMs))?.getTime() ?? null }
      return last.nextMs
    },
  }
}
