// Values of options that several commands have: numbers and times.

import { problem } from '../../protocol/problems.ts'
import { parseDuration } from '../../protocol/units.ts'

/** Parses a whole number from `least` to `most`. Throws `invalid-input`. */
export function parseCount(key: string, text: string, least: number, most: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most))
    throw problem('invalid-input', `${key}=${text} is not a number from ${least} to ${most}.`, { action: 'Use a number in this range.' })
  return value
}

/** Parses a time (`2026-11-21`, `2026-11-21T06:00:00Z`) or how long ago it was (`2h`). Throws `invalid-input`. */
export function parseMoment(key: string, text: string, nowMs: number): number {
  const ago = parseDuration(text)
  const ms = ago === undefined ? parseTime(text) : nowMs - ago
  if (!Number.isFinite(ms))
    throw problem('invalid-input', `${key}=${text} is not a time.`, { action: 'Write it as 2026-11-21, 2026-11-21T06:00:00Z, or as 2h or 3d for a time ago.' })
  return ms
}

/** Parses a time to come in UTC (`2026-11-21`, `2026-11-21T06:00Z`) to milliseconds since 1970. Throws `invalid-input` for a time that has passed. */
export function parseFuture(key: string, text: string, nowMs: number): number {
  const ms = parseTime(text)
  if (ms > nowMs) return ms
  const what = Number.isFinite(ms) ? 'has passed' : 'is not a time'
  throw problem('invalid-input', `${key}=${text} ${what}.`, { action: 'Write a time to come in UTC, such as 2026-11-21T06:00Z.' })
}

/** A date or a time in UTC in milliseconds; NaN for other texts. */
function parseTime(text: string): number {
  return /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?Z)?$/i.test(text) ? Date.parse(text.toUpperCase()) : Number.NaN
}
