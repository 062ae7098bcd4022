// What the sender of the outbox is told for each answer of Slack.

import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { createDeliveryPort } from '../../../../bot/slack/send/delivery-port.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

let answer = (): Response => Response.json({})
const slack = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => answer() })
afterAll(() => slack.stop(true))

const quiet = { debug() {}, info() {}, warn() {}, error() {}, setLevel() {}, getLevel: () => 'error' as never, setName() {} }
const port = createDeliveryPort('xoxb-test', { slackApiUrl: `http://127.0.0.1:${slack.port}/`, logger: quiet })
const MESSAGE = { text: 'x', blocks: [] }

test.each([
  ['internal_error', 'away'],
  ['ratelimited', 'away'],
  ['invalid_auth', 'away'],
  ['token_revoked', 'away'],
  ['missing_scope', 'away'],
  ['thread_not_found', 'threadless'],
  ['cannot_reply_to_message', 'threadless'],
  ['channel_not_found', 'closed'],
  ['not_in_channel', 'closed'],
  ['message_not_found', 'gone'],
  ['edit_window_closed', 'gone'],
  ['invalid_blocks', 'invalid'],
  ['msg_too_long', 'invalid'],
  ['something_new', 'refused'],
] as const)('%s means %s', async (reason, kind) => {
  answer = () => Response.json({ ok: false, error: reason })
  expect(await port.post('C1', undefined, MESSAGE)).toEqual({ kind, reason })
  expect(await port.edit('C1', '1.0', MESSAGE)).toEqual({ kind, reason })
})

test('an answer that asks to wait says for how long, one that cannot be read is none, and a message has its place', async () => {
  answer = () => new Response('', { status: 429, headers: { 'retry-after': '7' } })
  expect(await port.post('C1', undefined, MESSAGE)).toEqual({ kind: 'limited', afterMs: 7000 })
  answer = () => new Response('', { status: 500 })
  expect(await port.post('C1', undefined, MESSAGE)).toMatchObject({ kind: 'away' })
  answer = () => Response.json({ ok: true })
  expect(await port.post('C1', undefined, MESSAGE)).toEqual({ kind: 'refused', reason: 'the answer names no message' })
  answer = () => Response.json({ ok: true, channel: 'C2', ts: '1.5' })
  expect(await port.post('C1', '1.0', MESSAGE)).toEqual({ kind: 'done', channel: 'C2', ts: '1.5' })
})
