// What the commands of the audit log share: options of times and numbers, and a row as JSON.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { parseDuration } from '../../../protocol/units.ts'
import type { ChainedRow, ChainHead } from '../../audit/chain.ts'

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

/** A date or a time in UTC in milliseconds; NaN for other texts. */
function parseTime(text: string): number {
  return /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?Z)?$/i.test(text) ? Date.parse(text.toUpperCase()) : Number.NaN
}

/** A row as `--json` and the export show it: every column that its hash covers, in that order, and the hash. */
export function rowJson(row: ChainedRow): Record<string, unknown> {
  const { seq, timeMs, actor, role, surface, channel, via, effect, command, target, outcome, detail, begunSeq, hash } = row
  return { seq, time: formatTime(timeMs), timeMs, actor, role, surface, channel, via, effect, command, target, outcome, detail, begunSeq, hash }
}

/** A head as it is printed, kept and given again: `17:0f3a…`. */
export function spellHead({ seq, hash }: ChainHead): string {
  return `${seq}:${hash}`
}

/** Parses a head that `audit verify` printed. Throws `invalid-input`. */
export function parseHead(text: string): ChainHead {
  const match = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text.toLowerCase())
  if (!match)
    throw problem('invalid-input', `head=${text} is not a head of the audit log.`, {
      action: 'Copy it from an earlier audit verify, or from the log of the service.',
    })
  return { seq: Number(match[1]), hash: match[2] ?? '' }
}
