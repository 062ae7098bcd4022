// How often and how long the bot answers at a response_url, and what it does with the answers after that: through the response_urls and the Web API of the
// fake Slack.

import { WebClient } from '@slack/web-api'
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { parseLine } from '../../../bot/commands/run.ts'
import { COMMANDS } from '../../../bot/commands/table.ts'
import { createAnswers } from '../../../bot/slack/answers.ts'
import { createSlackPort } from '../../../bot/slack/port.ts'
import { limitResponses } from '../../../bot/slack/response-url.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { createFakeSlack } from '../../support/clients/fake-slack/fake-slack.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const MINUTE_MS = 60_000
const BLOCKS = [{ type: 'section', text: { type: 'mrkdwn', text: 'x' } }] as never

/** The request of a person in C1, and the answers to it; `slackAheadMs` is how much earlier Slack began to count. */
async function open({ closedChannels = [], slackAheadMs = 0 }: { readonly closedChannels?: string[]; readonly slackAheadMs?: number } = {}) {
  const stack = new AsyncDisposableStack()
  const clock = createManualClock()
  const startMs = clock.nowMs()
  const received: string[] = []
  const bot = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: async (request) => (received.push(await request.text()), new Response(null)) })
  stack.defer(() => bot.stop(true))
  let isAsked = false
  const nowMs = (): number => clock.nowMs() - startMs + (isAsked ? slackAheadMs : 0)
  const slack = stack.use(createFakeSlack({ deliverTo: () => bot.url.href, closedChannels, nowMs }))
  await slack.command('/slipway', 'store list', { user: 'U1', channel: 'C1' })
  isAsked = true
  const responseUrl = new URLSearchParams(received[0]).get('response_url') ?? ''
  const respond = limitResponses(async (message) => {
    const answer = await fetch(responseUrl, { method: 'POST', body: JSON.stringify(message), headers: { 'content-type': 'application/json' } })
    if (!answer.ok) throw new Error(`Slack answered ${answer.status}`)
    return answer
  }, clock)
  const answers = createAnswers({
    clock,
    cards: { open: () => {} },
    linkCards: { open: () => {} },
    port: createSlackPort(new WebClient('xoxb-fake', { slackApiUrl: slack.apiUrl })),
    pictures: () => Promise.reject(new Error('there are no charts')),
    render: ({ title }) => ({ text: title, blocks: BLOCKS }),
  })
  const exchange = { user: 'U1', userName: 'ann', channel: 'C1', respond, openModal: undefined }
  const answer = (title: string, line = 'store list') =>
    answers.answer(makeView({ title, asOfMs: 0, json: null }), parseLine({ commands: COMMANDS }, line), exchange, { command: '', page: 0, replaces: false })
  const shown = (): string[] => slack.shown.map(({ kind, channel, text, inChannel }) => `${kind} ${channel} ${text}${inChannel ? ', shared' : ''}`)
  return { clock, slack, answer, shown, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

describe('a response_url', () => {
  test('takes five answers; the sixth and later ones are private messages of the bot', async () => {
    await using it = await open()
    for (let n = 1; n <= 7; n++) await it.answer(`${n}`)
    expect(it.shown()).toEqual([
      ...['response C1 1', 'response C1 2', 'response C1 3', 'response C1 4', 'response C1 5'],
      ...['ephemeral C1 6', 'ephemeral C1 7'],
    ])
    expect(it.slack.failures).toEqual([])
  })

  test.each([
    [0, 'response'],
    [28 * MINUTE_MS + 59_999, 'response'],
    [29 * MINUTE_MS, 'ephemeral'],
    [24 * 60 * MINUTE_MS, 'ephemeral'],
  ])('of a command that ran for %d ms is answered by a %s', async (ranMs, kind) => {
    await using it = await open()
    it.clock.advance(ranMs)
    await it.answer('late')
    expect(it.shown()).toEqual([`${kind} C1 late`])
    expect(it.slack.failures).toEqual([])
  })

  test('that Slack forgot earlier than the bot expects costs no answer', async () => {
    await using it = await open({ slackAheadMs: 31 * MINUTE_MS })
    await it.answer('late')
    expect(it.shown()).toEqual(['ephemeral C1 late'])
    expect(it.slack.failures).toEqual(['expired_url'])
  })

  test('that is used up: a shared answer is a post in the channel', async () => {
    await using it = await open()
    it.clock.advance(29 * MINUTE_MS)
    await it.answer('shared', 'store list --share')
    expect(it.shown()).toEqual(['post C1 shared'])
  })

  test('that is used up where the bot may not post: the person gets a direct message', async () => {
    await using it = await open({ closedChannels: ['C1'] })
    await it.answer('first', 'store list --share')
    it.clock.advance(29 * MINUTE_MS)
    await it.answer('private')
    await it.answer('shared', 'store list --share')
    expect(it.shown()).toEqual(['response C1 first, shared', 'post U1 private', 'post U1 shared'])
    expect(it.slack.failures).toEqual([])
  })
})
