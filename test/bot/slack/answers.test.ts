// Where an answer goes: to the channel, to one person, in private, as a card; and which button can be pressed how often.

import { describe, expect, test } from 'bun:test'
import { parseLine } from '../../../bot/commands/run.ts'
import { COMMANDS } from '../../../bot/commands/table.ts'
import { createAnswers } from '../../../bot/slack/answers.ts'
import type { Exchange } from '../../../bot/slack/exchange.ts'
import { modalExchange } from '../../../bot/slack/exchange.ts'
import { createRenderer, jsonMessage } from '../../../bot/slack/message.ts'
import type { Chart } from '../../../protocol/views/chart.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import type { Role } from '../../../protocol/access.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

const VIEW = makeView({ title: 'Title', asOfMs: 0, json: { a: 1 } })
const FOLLOWED = { store: 'edge-a', id: 'lnk_1', name: null, maxLength: null, expiresAt: '2026-01-01T00:00:00.000Z', by: 'ada' }
const CHART: Chart = { name: 'used', title: 'Used', unit: 'bytes', kind: 'lines', startMs: 0, stepMs: 1, lines: [], summary: '' }
const clock = createManualClock()

/** Answers one command; returns where the answer went. */
async function answer(line: string, view: Partial<View> = {}, { hasResponse = true, replaces = false } = {}): Promise<string[]> {
  const went: string[] = []
  const parsed = parseLine({ commands: COMMANDS }, line)
  const answers = createAnswers({
    clock,
    cards: { open: (channel, orElse) => void went.push(`card ${channel} or ${orElse}`) },
    linkCards: { open: (channel, orElse, { id }) => void went.push(`card of ${id} ${channel} or ${orElse}`) },
    port: {
      updateModal: async () => void went.push('modal'),
      whisper: async (channel, user, { text }) => void went.push(`whisper ${channel} ${user} ${text}`),
      share: async (channel, user, { text }) => void went.push(`share ${channel} ${user} ${text}`),
    },
    pictures: async ({ charts = [] }, { user, channel }, isShared) => (went.push(`${charts.length} for ${isShared ? channel : user}`), 'Sent.'),
    render: ({ title, notes }, command, page) => ({
      text: `${title}${command === undefined ? '' : ` of ${command}, page ${page}`}${notes.map((note) => ` (${note})`).join('')}`,
      blocks: [],
    }),
  })
  const respond: Exchange['respond'] = async ({ text, isShared, replaces: isReplaced }) => (
    went.push(`respond ${text}${isShared ? ', shared' : ''}${isReplaced ? ', replaced' : ''}`),
    'sent'
  )
  const exchange: Exchange = { user: 'U1', userName: 'ada', channel: 'C1', respond: hasResponse ? respond : undefined, openModal: undefined }
  await answers.answer({ ...VIEW, ...view }, parsed, exchange, { command: 'x', page: 2, replaces })
  return went
}

describe('an answer', () => {
  test.each<[string, Partial<View>, string[]]>([
    ['store list', {}, ['respond Title of x, page 2']],
    ['store list --share', {}, ['respond Title of x, page 2, shared']],
    ['store list --share', { isPrivate: true }, ['respond Title of x, page 2']],
    ['store list --share', { outcome: 'failed' }, ['respond Title of x, page 2']],
    ['store list --json', {}, ['respond Title']],
    ['store health --chart', { charts: [CHART] }, ['1 for U1', 'respond Title of x, page 2 (Sent.)']],
    ['store health --chart --share', { charts: [CHART] }, ['1 for C1', 'respond Title of x, page 2 (Sent.), shared']],
    ['store health --chart --json', { charts: [CHART] }, ['respond Title']],
    ['store health --chart', { charts: [] }, ['respond Title of x, page 2']],
    ['store enable edge-a', {}, ['card C1 or U1']],
    ['store enable edge-a', { isPrivate: true }, ['respond Title of x, page 2']],
    ['store enable edge-a', { outcome: 'refused' }, ['respond Title of x, page 2']],
    ['image purge a', {}, ['card C1 or U1']],
    ['image upload', { isPrivate: true, followedLink: FOLLOWED }, ['card of lnk_1 C1 or U1', 'respond Title of x, page 2']],
    ['no such command', {}, ['respond Title of x, page 2']],
  ])('of %s with %j: %j', async (line, view, went) => {
    expect(await answer(line, view)).toEqual(went)
  })

  test('of a modal goes to the person alone', async () => {
    expect(await answer('store list', {}, { hasResponse: false })).toEqual(['whisper C1 U1 Title of x, page 2'])
    expect(await answer('store list', {}, { replaces: true })).toEqual(['respond Title of x, page 2, replaced'])
    expect(modalExchange({ id: 'U1', name: 'ada' })).toEqual({ user: 'U1', userName: 'ada', channel: 'U1', respond: undefined, openModal: undefined })
  })

  test('to a press that is refused is private, and says why', async () => {
    const said: string[] = []
    const answers = createAnswers({
      clock,
      cards: { open: () => {} },
      linkCards: { open: () => {} },
      port: { updateModal: async () => {}, whisper: async () => {}, share: async () => {} },
      pictures: () => Promise.reject(new Error('there are no charts')),
      render: ({ title, text, outcome, notes }) => ({ text: [outcome, title, text, ...notes].join(' | '), blocks: [] }),
    })
    const exchange: Exchange = {
      ...modalExchange({ id: 'U1', name: 'ada' }),
      respond: async ({ text, isShared, replaces }) => (said.push(`${isShared} ${replaces} ${text}`), 'sent'),
    }
    await answers.deny({ kind: 'forbidden', needs: 'admin', has: 'viewer' }, 'button', exchange)
    await answers.deny({ kind: 'expired' }, 'form', exchange)
    await answers.deny({ kind: 'used' }, 'confirmation', exchange)
    expect(said).toHaveLength(3)
    expect(said[0]).toStartWith('false false refused | ')
    expect(said[0]).toContain('This button needs the role admin; you have viewer.')
    expect(said[1]).toContain('This form has expired, or was used already.')
    expect(said[2]).toContain('This confirmation was used already.')
  })
})

describe('a button', () => {
  const pressed = (command: string, role: Role): { role: Role; isSingleUse: boolean } | undefined => {
    const registered: { role: Role; isSingleUse: boolean }[] = []
    const register = (press: { readonly role: Role }, isSingleUse: boolean): string => {
      registered.push({ role: press.role, isSingleUse })
      return String(registered.length)
    }
    const render = createRenderer({ commands: COMMANDS, clock, buttons: { register } })
    render({ ...VIEW, actions: [{ label: 'Do it', command, role }] })
    return registered[0]
  }

  test.each<[string, Role, Role, boolean]>([
    ['store list', 'viewer', 'viewer', false],
    ['store list', 'admin', 'admin', false],
    ['store cleanup edge-a', 'viewer', 'operator', true],
    ['store cleanup edge-a', 'admin', 'admin', true],
    ['store delete edge-a', 'viewer', 'admin', false],
    ['image purge a', 'viewer', 'operator', false],
    ['no such command', 'operator', 'operator', false],
  ])('for "%s" that says %s needs %s; single use: %p', (command, says, role, isSingleUse) => {
    expect(pressed(command, says)).toEqual({ role, isSingleUse })
  })
})

test('JSON is a code block that no text in it can end, and fits into a section', () => {
  const { text, blocks } = jsonMessage({ ...VIEW, json: { a: '```<b>&' } })
  expect(text).toBe('Title')
  expect(blocks).toEqual([{ type: 'section', text: { type: 'mrkdwn', text: '```{\n "a": "\'\'\'&lt;b&gt;&amp;"\n}```', verbatim: true } }])
  const long = jsonMessage({ ...VIEW, json: 'x'.repeat(10_000) }).blocks[0]
  const shown = long?.type === 'section' ? (long.text?.text ?? '') : ''
  expect(shown.length).toBeLessThanOrEqual(3000)
  expect(shown.length).toBeGreaterThan(2900)
  expect(shown).toEndWith('```')
})
