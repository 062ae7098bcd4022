// Text from others that is shown: nothing in it controls a terminal, reorders text or hides it.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import { renderMessage } from '../../../bot/views/blocks.ts'
import { renderJson } from '../../../bot/views/json.ts'
import { renderTerminal } from '../../../bot/views/terminal.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { plainText } from '../../../protocol/views/phrases.ts'

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

function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : []
}
