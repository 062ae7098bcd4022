// When a policy runs: cron expressions of five fields in a time zone. Pure functions.

import { Cron } from 'croner'
import { errorText } from '../../protocol/errors.ts'
import type { Policy } from './policy.ts'

const CRONS_MAX = 200
const crons = new Map<string, Cron>()

type PolicyTimes = Pick<Policy, 'cron' | 'timezone' | 'paused' | 'anchorMs'>

/** Returns when a policy runs next, in milliseconds since 1970; null while it is paused. A time in the past means that it is due. */
export function nextRunMs({ cron, timezone, paused, anchorMs }: PolicyTimes, nowMs: number): number | null {
  if (paused) return null
  // An anchor in the future comes from a clock that was wrong, and must not delay the policy.
  return (
    openCron(cron, timezone)
      .nextRun(new Date(Math.min(anchorMs, nowMs)))
      ?.getTime() ?? null
  )
}

/** Returns why an expression or its time zone cannot be used; undefined if they can. */
export function cronRefusal(cron: string, timezone: string, nowMs: number): string | undefined {
  if (cron.trim().split(/\s+/).length !== 5) return 'it must have five fields, such as "17 3 * * *" (minute, hour, day, month, weekday)'
  if (!isTimezone(timezone)) return 'there is no such time zone; names are like Europe/Berlin'
  try {
    return openCron(cron, timezone).nextRun(new Date(nowMs)) === null ? 'it never fires' : undefined
  } catch (error) {
    return errorText(error)
  }
}

function isTimezone(name: string): boolean {
  try {
    Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

/** Returns the parsed expression, from a cache if possible. */
function openCron(cron: string, timezone: string): Cron {
  const key = `${timezone} ${cron}`
  const known = crons.get(key)
  if (known) return known
  const parsed = new Cron(cron, { timezone, paused: true })
  if (crons.size >= CRONS_MAX) crons.clear()
  crons.set(key, parsed)
  return parsed
}
