// Facts as phrases, the same in every renderer.

import type { HealthState } from '../health.ts'
import type { ImageStatus } from '../images/image.ts'
import type { Task, TaskState } from '../task.ts'
import { formatDuration, formatSize } from '../units.ts'
import type { Tone } from './view.ts'

/** Shown for an unknown value. */
export const UNKNOWN = '–'

export const GLYPHS: Record<Tone, string> = { good: '●', warning: '▲', bad: '✖', plain: '·' }

/** `2026-11-21 06:54:49 UTC`. */
export function formatAt(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** `2026-11-21 06:54:49 UTC (3 min 2 s ago)`. */
export function formatAgo(ms: number, nowMs: number): string {
  const age = nowMs - ms
  return `${formatAt(ms)} (${age < 1000 ? 'now' : `${formatDuration(age)} ago`})`
}

/** A time from the HTTP interface as `formatAt` shows it. */
export function formatWireTime(time: string | null): string {
  return time === null ? UNKNOWN : formatAt(Date.parse(time))
}

export function formatBytes(bytes: number | null | undefined): string {
  return bytes === null || bytes === undefined ? UNKNOWN : formatSize(bytes)
}

const STATE_WORDS: Record<HealthState, string> = { running: 'Running', degraded: 'Degraded', stopped: 'Stopped', error: 'Error' }
const STATE_TONES: Record<HealthState, Tone> = { running: 'good', degraded: 'warning', stopped: 'bad', error: 'bad' }

export function stateWord(state: HealthState): string {
  return STATE_WORDS[state]
}

export function stateTone(state: HealthState): Tone {
  return STATE_TONES[state]
}

const STATUS_WORDS: Record<ImageStatus, string> = {
  creating: 'Creating',
  uploading: 'Uploading',
  pending: 'Pending',
  available: 'Available',
  degraded: 'Degraded',
  fileUnavailable: 'File unavailable',
  error: 'Error',
  deleted: 'Deleted',
  deleting: 'Deleting',
}

export function statusWord(status: ImageStatus): string {
  return STATUS_WORDS[status]
}

export function statusTone(status: ImageStatus): Tone {
  if (status === 'available') return 'good'
  if (status === 'degraded') return 'warning'
  return status === 'error' || status === 'fileUnavailable' ? 'bad' : 'plain'
}

export function taskTone(state: TaskState): Tone {
  if (state === 'succeeded') return 'good'
  if (state === 'failed') return 'bad'
  return state === 'cancelled' ? 'warning' : 'plain'
}

export function isEnded(state: TaskState): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled'
}

/** `12 GB of 40 GB (31 %), 250 MB/s, 1 min 50 s left`. */
export function progressWords(task: Pick<Task, 'progress' | 'state'>): string {
  const { done, total, unit, rate, etaSeconds } = task.progress
  const amount = (count: number): string => (unit === 'bytes' ? formatSize(count) : String(count))
  const suffix = unit === 'bytes' ? '' : ` ${unit}`
  const parts = [total === null ? `${amount(done)}${suffix}` : `${amount(done)} of ${amount(total)}${suffix}${total > 0 ? ` (${percent(done, total)})` : ''}`]
  if (!isEnded(task.state)) {
    if (rate > 0) parts.push(`${amount(Math.round(rate))}${suffix}/s`)
    if (etaSeconds !== null) parts.push(`${formatDuration(etaSeconds * 1000)} left`)
  }
  return parts.join(', ')
}

export function percent(part: number, whole: number): string {
  return `${Math.floor((100 * part) / Math.max(1, whole))} %`
}

/** The text with a full stop at its end. */
export function asSentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`
}

/** `1 image`, `3 images`. */
export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : nouns}`
}

/** `1 copy of an image`, `2 copies of images`: one image in three stores is three of them. */
export function copiesWords(count: number): string {
  return plural(count, 'copy of an image', 'copies of images')
}

/**
 * Characters that can move the cursor of a terminal, reorder or hide text, or end a line: C0 and C1 controls, the category Format
 * (bidirectional, zero-width, soft hyphen, tags), line and paragraph separators, halves of surrogate pairs, and invisible letters.
 */
const UNPLAIN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\u034f\u115f\u1160\u3164\uffa0]/gu

/** The text with `?` for each character that could deceive a reader or control a terminal. */
export function plainText(text: string): string {
  return text.replaceAll(UNPLAIN, '?')
}

/** JSON with these characters as `\uXXXX` (RFC 8259 §7), which is the same value. Line feeds of the layout are kept. */
export function plainJson(json: string): string {
  const escapeUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  return json.replaceAll(UNPLAIN, (character) => (character === '\n' ? character : character.replaceAll(/[^]/g, escapeUnit)))
}
