// Texts for Slack: names format nothing and mention nobody, and times are in the zone of the reader.

import { describe, expect, test } from 'bun:test'
import { renderMessage } from '../../../bot/views/blocks.ts'
import { slackText } from '../../../bot/views/slack-text.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { visibleText } from '../../support/clients/fake-slack/shown.ts'

const marked = (text: string) => ({ type: 'mrkdwn', text, verbatim: true }) as const
const plain = (text: string) => ({ type: 'plain_text', text, emoji: false }) as const

describe('a name', () => {
  test.each(['*bold*', '_x_', '~x~', '`code`', 'a *b', 'edge*', '> quoted', 'a\n>quoted', 'x _y', 'y_ x', '_', '```'])('"%s" is sent as plain text', (name) => {
    expect(slackText([{ text: 'Store ' }, { text: name, style: 'bold' }, { text: ' is here' }], 100)).toEqual(plain(`Store ${name} is here`))
  })

  test.each([
    ['edge_a', 'edge_a'],
    ['debian_12_amd64', 'debian_12_amd64'],
    ['<!channel>', '&lt;!channel&gt;'],
    ['@here #general', '@here #general'],
    ['a & b', 'a &amp; b'],
    ['a\u202eb', 'a?b'],
    ['1 > 0', '1 &gt; 0'],
  ])('"%s" is bold, and no link or mention', (name, shown) => {
    expect(slackText([{ text: name, style: 'bold' }], 100)).toEqual(marked(`*${shown}*`))
  })

  test('that would format is also plain with characters that control a terminal', () => {
    expect(slackText([{ text: '*a*\u001b[31m\nb' }], 100)).toEqual(plain('*a*?[31m\nb'))
  })
})

describe('a text', () => {
  test('has styles, and a sign when it is empty', () => {
    expect(slackText([{ text: '▲ ' }, { text: 'b', style: 'bold' }, { text: ' ' }, { text: 'c', style: 'code' }], 100)).toEqual(marked('▲ *b* `c`'))
    expect(slackText([{ text: '', style: 'bold' }], 100)).toEqual(marked('–'))
    expect(slackText([], 100)).toEqual(marked('–'))
  })

  test('is cut at the limit', () => {
    expect(slackText([{ text: 'x'.repeat(11) }], 10)).toEqual(marked('xxxxxxxxx…'))
    expect(slackText([{ text: `*${'x'.repeat(10)}` }], 10)).toEqual(plain('*xxxxxxxx…'))
    expect(slackText([{ text: 'x'.repeat(10) }], 10)).toEqual(marked('xxxxxxxxxx'))
  })
})

describe('a time', () => {
  const TOKEN = '<!date^1795330489^{date_short_pretty} {time_secs}|2026-11-22 06:54:49 UTC>'

  test('is shown in the zone of the reader, and in UTC where Slack cannot', () => {
    expect(slackText([{ text: 'since 2026-11-22 06:54:49 UTC (3 min)' }], 200)).toEqual(marked(`since ${TOKEN} (3 min)`))
    expect(slackText([{ text: '2026-11-22 06:54:49 UTC, 2026-11-22 06:54:49 UTC' }], 200)).toEqual(marked(`${TOKEN}, ${TOKEN}`))
  })

  test('that is none stays a text', () => {
    for (const text of ['2026-13-22 06:54:49 UTC', '2026-11-22 06:54 UTC', '12026-11-22 06:54:49 UTC', '2026-11-22 06:54:49 UTCx'])
      expect(slackText([{ text }], 200)).toEqual(marked(text))
  })

  test('is never cut: without room it is in UTC', () => {
    expect(slackText([{ text: 'since 2026-11-22 06:54:49 UTC' }], 40)).toEqual(marked('since 2026-11-22 06:54:49 UTC'))
    expect(slackText([{ text: 'since 2026-11-22 06:54:49 UTC' }], 20)).toEqual(marked('since 2026-11-22 06…'))
  })

  test('of a message is a token everywhere, and UTC in the text of notifications', () => {
    const at = '2026-11-22 06:54:49 UTC'
    const view = makeView({
      title: 'T',
      text: `since ${at}`,
      fields: [{ label: 'Since', value: at }],
      columns: [
        { key: 'a', label: 'A' },
        { key: 'b', label: 'B' },
      ],
      rows: [{ cells: { a: 'x', b: at } }],
      notes: [at],
      asOfMs: 1_795_330_489_000,
      json: null,
    })
    const { text, blocks } = renderMessage(view, { nowMs: 1_795_330_489_000, command: '' })
    expect(JSON.stringify(blocks).split(TOKEN)).toHaveLength(6)
    expect(text).toBe(`T: since ${at}`)
    expect(visibleText({ blocks: blocks as never })).toContain(`as of ${at} (now)`)
  })
})

describe('a row', () => {
  const columns = [
    { key: 'name', label: 'Store' },
    { key: 'zone', label: 'Zone', beside: 'bare' },
    { key: 'since', label: 'Since', beside: 'labelled' },
    { key: 'used', label: 'Used' },
    { key: 'free', label: 'Free' },
    { key: 'finding', label: 'Finding', isLine: true },
    { key: 'next', label: 'Next', isLine: true },
  ] as const
  const rowOf = (cells: Record<string, string>) => {
    const { blocks } = renderMessage(makeView({ title: 'T', columns, rows: [{ tone: 'bad', cells }], asOfMs: 0, json: null }), { nowMs: 0, command: '' })
    return (blocks[1] as { text: { text: string } }).text.text
  }

  test('has its sentences on lines of their own', () => {
    expect(rowOf({ name: 'edge-b', zone: 'zone-1', since: 'noon', used: '1 GB', free: '2 GB', finding: 'It is full.', next: 'Make room.' })).toBe(
      '✖ *edge-b* · zone-1 · since noon\nUsed 1 GB · Free 2 GB\n*Finding:* It is full.\n*Next:* Make room.',
    )
  })

  test('leaves out what is not known', () => {
    expect(rowOf({ name: 'edge-b', zone: '–', since: '', finding: '–', next: 'Wait.' })).toBe('✖ *edge-b*\n*Next:* Wait.')
  })

  test('with a name that would format is plain, and says the same', () => {
    expect(rowOf({ name: '*edge*', zone: 'zone-1', finding: 'It is full.' })).toBe('✖ *edge* · zone-1\nFinding: It is full.')
  })
})

test('fields that are sentences are together, each on a line', () => {
  const fields = [
    { label: 'State', value: 'Stopped', tone: 'bad' },
    { label: 'Finding', value: 'a' },
    { label: 'Next', value: 'b', tone: 'warning' },
    { label: 'Changed', value: 'c' },
  ] as const
  const { blocks } = renderMessage(makeView({ title: 'T', fields, asOfMs: 0, json: null }), { nowMs: 0, command: '' })
  expect(blocks.slice(1, 4)).toEqual([
    { type: 'section', fields: [marked('*State*\n✖ Stopped')] },
    { type: 'section', text: marked('*Finding:* a\n*Next:* ▲ b') },
    { type: 'section', fields: [marked('*Changed*\nc')] },
  ])
})
