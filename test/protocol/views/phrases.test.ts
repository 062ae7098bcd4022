// Text from others that is shown: nothing in it controls a terminal, reorders text or hides it.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import { renderMessage } from '../../../bot/views/blocks.ts'
import { renderJson } from '../../../bot/views/json.ts'
import { renderTerminal } from '../../../bot/views/terminal.ts'
import { makeView } from '../../../protocol/views/view.ts'
import {
  asSentence,
  formatAgo,
  formatBytes,
  formatWireTime,
  isEnded,
  percent,
  plainJson,
  plainText,
  plural,
  progressWords,
  statusTone,
  statusWord,
  stateTone,
  stateWord,
  taskTone,
} from '../../../protocol/views/phrases.ts'
import type { Progress, TaskState } from '../../../protocol/task.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** Code points that must never be shown unescaped. */
const HARMFUL = [
  ...[0x00, 0x07, 0x08, 0x09, 0x0a, 0x0d, 0x1b, 0x7f],
  // C1: 0x9b alone starts a control sequence on many terminals.
  ...[0x80, 0x85, 0x9b, 0x9d, 0x9f],
  // Bidirectional marks, embeddings, overrides and isolates.
  ...[0x061c, 0x200e, 0x200f, 0x202a, 0x202d, 0x202e, 0x2066, 0x2069],
  // Invisible: zero-width, soft hyphen, word joiner, byte order mark, tags, fillers.
  ...[0x00ad, 0x034f, 0x115f, 0x180e, 0x200b, 0x200d, 0x2060, 0x2064, 0x206f, 0x3164, 0xfeff, 0xffa0, 0xfff9, 0xe0001, 0xe0041],
  ...[0x2028, 0x2029],
]
const hostile = HARMFUL.map((code) => `a${String.fromCodePoint(code)}b`).join('') + '\ud800'

/** The code points above that are left in a text, except line feeds. */
function harmIn(text: string): string[] {
  return HARMFUL.filter((code) => code !== 0x0a && text.includes(String.fromCodePoint(code))).map((code) => code.toString(16))
}

const view = makeView({
  title: hostile,
  text: hostile,
  fields: [{ label: hostile, value: hostile }],
  columns: [{ key: 'name', label: 'Name' }],
  rows: [{ cells: { name: hostile } }],
  notes: [hostile],
  actions: [{ label: hostile, command: hostile, role: 'viewer' }],
  asOfMs: 0,
  json: { [hostile]: hostile, list: [hostile] },
})

describe('hostile text', () => {
  test.each([undefined, 200, 40])('is harmless on a terminal of width %p', (width) => {
    expect(harmIn(renderTerminal(view, { width, color: false, nowMs: 0 }))).toEqual([])
  })

  test('is escaped in JSON, which stays the same value', () => {
    const text = renderJson(view)
    expect(harmIn(text)).toEqual([])
    expect(text).not.toContain('\n')
    expect(text).toContain('\\u009b')
    expect(text).toContain('\\u202e')
    expect(text).toContain('\\udb40\\udc41')
    expect(JSON.parse(text)).toEqual(view.json)
  })

  test('is harmless in a Slack message', () => {
    const message = renderMessage(view, { nowMs: 0, command: hostile, register: () => 'id' })
    // The layout of the bot's own text contains line feeds.
    expect(harmIn([message.text, ...textsOf(message.blocks)].join(''))).toEqual([])
  })

  test('plain text is unchanged', () => {
    for (const text of ['debian-12', 'Größe: 12 GB – ok', '漢字', 'кириллица', 'ש', '😀', 'e\u0301']) expect(plainText(text)).toBe(text)
  })

  test('every JSON value is unchanged', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' })), (value) => {
        const json = { ...value }
        const text = renderJson(makeView({ title: '', asOfMs: 0, json }))
        expect(JSON.parse(text)).toEqual(json)
        expect(harmIn(text)).toEqual([])
      }),
    )
  })
})

describe('a phrase', () => {
  test.each([
    [0, '1970-01-01 00:16:40 UTC (now)'],
    [999, '1970-01-01 00:16:40 UTC (now)'],
    [1_000, '1970-01-01 00:16:40 UTC (1 s ago)'],
    [182_000, '1970-01-01 00:16:40 UTC (3 min 2 s ago)'],
    [-5_000, '1970-01-01 00:16:40 UTC (now)'],
  ])('of a time %i ms ago says its age', (ageMs, words) => {
    expect(formatAgo(1_000_000, 1_000_000 + ageMs)).toBe(words)
  })

  test('of what is not known is a dash', () => {
    expect([formatWireTime(null), formatBytes(null), formatBytes(undefined)]).toEqual(['–', '–', '–'])
    expect([formatWireTime('2026-11-21T06:54:49.999Z'), formatBytes(0), formatBytes(1500)]).toEqual(['2026-11-21 06:54:49 UTC', '0 B', '1.5 kB'])
  })

  test.each([
    ['running', 'Running', 'good'],
    ['degraded', 'Degraded', 'warning'],
    ['stopped', 'Stopped', 'bad'],
    ['error', 'Error', 'bad'],
  ] as const)('of a store that is %s has its word and its tone', (state, word, tone) => {
    expect([stateWord(state), stateTone(state)]).toEqual([word, tone])
  })

  test.each([
    ['creating', 'Creating', 'plain'],
    ['uploading', 'Uploading', 'plain'],
    ['pending', 'Pending', 'plain'],
    ['available', 'Available', 'good'],
    ['degraded', 'Degraded', 'warning'],
    ['fileUnavailable', 'File unavailable', 'bad'],
    ['error', 'Error', 'bad'],
    ['deleted', 'Deleted', 'plain'],
    ['deleting', 'Deleting', 'plain'],
  ] as const)('of an image that is %s has its word and its tone', (status, word, tone) => {
    expect([statusWord(status), statusTone(status)]).toEqual([word, tone])
  })

  test.each([
    ['queued', 'plain', false],
    ['running', 'plain', false],
    ['succeeded', 'good', true],
    ['failed', 'bad', true],
    ['cancelled', 'warning', true],
  ] as const)('of a task that is %s has its tone, and says whether it has ended', (state, tone, ended) => {
    expect([taskTone(state), isEnded(state)]).toEqual([tone, ended])
  })

  const PROGRESS: Progress = { done: 12_300_000_000, total: 40_000_000_000, unit: 'bytes', rate: 250_000_000.4, etaSeconds: 110 }

  test.each<[Partial<Progress>, TaskState, string]>([
    [{}, 'running', '12 GB of 40 GB (30 %), 250 MB/s, 1 min 50 s left'],
    [{}, 'succeeded', '12 GB of 40 GB (30 %)'],
    [{ total: null, etaSeconds: null }, 'running', '12 GB, 250 MB/s'],
    [{ rate: 0, etaSeconds: 0 }, 'queued', '12 GB of 40 GB (30 %), 0 s left'],
    [{ done: 0, total: 0, rate: 0, etaSeconds: null }, 'running', '0 B of 0 B'],
    [{ done: 1, total: 3, unit: 'images', rate: 0.6, etaSeconds: null }, 'running', '1 of 3 images (33 %), 1 images/s'],
    [{ done: 7, total: null, unit: 'slices', rate: 0.4, etaSeconds: null }, 'running', '7 slices, 0 slices/s'],
    [{ done: 0, total: 1, unit: 'steps', rate: 0, etaSeconds: null }, 'running', '0 of 1 steps (0 %)'],
  ])('of progress %j of a task that is %s is "%s"', (progress, state, words) => {
    expect(progressWords({ progress: { ...PROGRESS, ...progress }, state })).toBe(words)
  })

  test('of a share is rounded down', () => {
    expect([percent(999, 1000), percent(1, 1), percent(0, 0), percent(1, 0)]).toEqual(['99 %', '100 %', '0 %', '100 %'])
  })

  test('of a count has its noun', () => {
    expect([plural(0, 'image'), plural(1, 'image'), plural(2, 'image'), plural(1, 'copy', 'copies'), plural(2, 'copy', 'copies')]).toEqual([
      '0 images',
      '1 image',
      '2 images',
      '1 copy',
      '2 copies',
    ])
  })

  test('ends with one full stop', () => {
    expect([asSentence('It is full'), asSentence('It is full.')]).toEqual(['It is full.', 'It is full.'])
  })

  test('in JSON has four digits for each escaped unit, and keeps the line feeds of its layout', () => {
    expect(plainJson('{\n "a": "\u009b\u200b\u{e0001}"\n}')).toBe('{\n "a": "\\u009b\\u200b\\udb40\\udc01"\n}')
  })
})

function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : []
}
