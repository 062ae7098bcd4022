// Text for terminals: it fits the width, says in words what colours say, and cannot move the cursor.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { renderTerminal } from '../../../bot/views/terminal.ts'
import { makeView } from '../../../protocol/views/view.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const view = makeView({
  title: 'Stores',
  tone: 'bad',
  text: 'One of them is stopped and this sentence is long enough to be wrapped in a narrow terminal.',
  columns: [
    { key: 'name', label: 'Name', isWhole: true },
    { key: 'state', label: 'State' },
    { key: 'used', label: 'Used', align: 'right' },
    { key: 'next', label: 'Next' },
  ],
  rows: [
    {
      tone: 'bad',
      cells: { name: 'edge-a', state: 'Stopped', used: '12 GB', next: 'Check on its node that the agent runs and that its address can be reached from here' },
    },
  ],
  notes: ['edge-b is not in this answer'],
  asOfMs: 0,
  json: {},
})

describe('renderTerminal', () => {
  test.each([200, 120, 80, 60, 40, 30])('keeps a width of %d', (width) => {
    const text = renderTerminal(view, { width, color: false, nowMs: 5_000 })
    for (const line of text.split('\n')) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(Math.max(width, 46))
    for (const word of ['edge-a', 'Stopped', '12 GB', 'reached', '✖']) expect(text).toContain(word)
  })

  test('in a pipe, every row is one line without escape sequences', () => {
    const text = renderTerminal(view, { width: undefined, color: false, nowMs: 5_000 })
    expect(text).not.toContain('\u001b')
    expect(text.split('\n').find((line) => line.includes('edge-a'))).toContain('reached from here')
    expect(text).toContain('as of 1970-01-01 00:00:00 UTC (5 s ago)')
  })

  test('colours say nothing that the text does not', () => {
    const colored = renderTerminal(view, { width: 120, color: true, nowMs: 0 })
    expect(colored).toContain('\u001b[')
    expect(Bun.stripANSI(colored)).toBe(renderTerminal(view, { width: 120, color: false, nowMs: 0 }))
  })

  test('control and bidirectional characters from others are replaced', () => {
    const text = renderTerminal(makeView({ title: 'a\u001b[2Jb\u202ec', asOfMs: 0, json: {} }), { width: 80, color: false, nowMs: 0 })
    expect(text.split('\n')[0]).toBe('a?[2Jb?c')
  })
})
