// The message of any View is within Slack's limits, by the rules of the bot and by those of the fake Slack.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import { renderMessage, ROWS_PER_PAGE } from '../../../bot/views/blocks.ts'
import { limitText, limitViolations } from '../../../bot/views/slack-limits.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { blocksRefusal } from '../../support/clients/fake-slack/block-rules.ts'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'grapheme', minLength: 0, maxLength: 6000 }),
  fc.constantFrom('', '<!channel>', '&', '```', '🙂'.repeat(2000)),
)
const tone = fc.constantFrom('good' as const, 'warning' as const, 'bad' as const, 'plain' as const)
const view = fc
  .record({
    title: text,
    text,
    tone,
    fields: fc.array(fc.record({ label: text, value: text, tone }), { maxLength: 80 }),
    rows: fc.array(fc.record({ tone, cells: fc.record({ a: text, b: text }) }), { maxLength: 60 }),
    notes: fc.array(text, { maxLength: 20 }),
    actions: fc.array(fc.record({ label: text, command: text, role: fc.constant('viewer' as const) }), { maxLength: 40 }),
  })
  .map((draft) =>
    makeView({
      ...draft,
      columns: [
        { key: 'a', label: 'A' },
        { key: 'b', label: 'B' },
      ],
      asOfMs: 0,
      json: {},
    }),
  )

describe('renderMessage', () => {
  test('never exceeds a limit', () => {
    fc.assert(
      fc.property(view, fc.nat(10), text, (any, page, command) => {
        const message = renderMessage(any, { nowMs: 1000, page, command, register: () => crypto.randomUUID() })
        expect(limitViolations(message.blocks)).toEqual([])
        expect(blocksRefusal(JSON.parse(JSON.stringify(message.blocks)), 'message')).toBeUndefined()
        expect(message.text.length).toBeLessThanOrEqual(4000)
      }),
      { numRuns: 60 },
    )
  })

  test('escapes mentions, links and markup', () => {
    const made = renderMessage(makeView({ title: 'x', text: '<!channel> & <http://evil|good>', asOfMs: 0, json: {} }), { nowMs: 0, command: 'image show `x`' })
    const raw = JSON.stringify(made.blocks)
    expect(raw).toContain('&lt;!channel&gt; &amp; &lt;http://evil|good&gt;')
    expect(raw).not.toContain('<!channel>')
  })

  test('shows every row on exactly one page', () => {
    const rows = Array.from({ length: 37 }, (_, i) => ({ cells: { a: `row-${i}-` } }))
    const many = makeView({ title: 'x', columns: [{ key: 'a', label: 'A' }], rows, asOfMs: 0, json: {} })
    const seen = Array.from({ length: Math.ceil(37 / ROWS_PER_PAGE) }, (_, page) =>
      visibleText({ blocks: renderMessage(many, { nowMs: 0, page, command: 'x' }).blocks as never }),
    )
    for (const row of rows) expect(seen.filter((page) => page.includes(row.cells.a))).toHaveLength(1)
  })
})

describe('limitText', () => {
  test('keeps the limit and never splits a character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 20 }), (given, max) => {
        const cut = limitText(given, max)
        expect(cut.length).toBeLessThanOrEqual(max)
        expect(cut.isWellFormed()).toBe(true)
      }),
    )
  })
})
