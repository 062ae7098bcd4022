// What the sender of the outbox is told for each answer of Slack.

import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { createDeliveryPort } from '../../../../bot/slack/send/delivery-port.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

let answer = (): Response => Response.json({})
const sent: (readonly [path: string, fields: Record<string, string>])[] = []
const slack = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  async fetch(request) {
    sent.push([new URL(request.url).pathname, Object.fromEntries(new URLSearchParams(await request.text()))])
    return answer()
  },
})
afterAll(() => slack.stop(true))

const quiet = { debug() {}, info() {}, warn() {}, error() {}, setLevel() {}, getLevel: () => 'error' as never, setName() {} }
const port = createDeliveryPort('xoxb-test', { slackApiUrl: `http://127.0.0.1:${slack.port}/`, logger: quiet })
const MESSAGE = { text: 'x', blocks: [] }

test.each([
  ['internal_error', 'away'],
  ['fatal_error', 'away'],
  ['service_unavailable', 'away'],
  ['request_timeout', 'away'],
  ['team_added_to_org', 'away'],
  ['ratelimited', 'away'],
  ['accesslimited', 'away'],
  ['ekm_access_denied', 'away'],
  ['invalid_auth', 'away'],
  ['not_authed', 'away'],
  ['account_inactive', 'away'],
  ['token_revoked', 'away'],
  ['token_expired', 'away'],
  ['missing_scope', 'away'],
  ['team_access_not_granted', 'away'],
  ['thread_not_found', 'threadless'],
  ['cannot_reply_to_message', 'threadless'],
  ['invalid_thread_ts', 'threadless'],
  ['thread_locked', 'threadless'],
  ['channel_not_found', 'closed'],
  ['not_in_channel', 'closed'],
  ['is_archived', 'closed'],
  ['user_not_in_channel', 'closed'],
  ['restricted_action', 'closed'],
  ['message_not_found', 'gone'],
  ['cant_update_message', 'gone'],
  ['edit_window_closed', 'gone'],
  ['invalid_blocks', 'invalid'],
  ['invalid_blocks_format', 'invalid'],
  ['msg_too_long', 'invalid'],
  ['msg_blocks_too_long', 'invalid'],
  ['no_text', 'invalid'],
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

test('each message is one request, without previews of its links, and in its thread', async () => {
  answer = () => Response.json({ ok: true, channel: 'C2', ts: '1.5' })
  sent.length = 0
  await port.post('C1', undefined, MESSAGE)
  await port.post('C1', '1.0', MESSAGE)
  await port.edit('C1', '1.5', MESSAGE)
  const fields = { channel: 'C1', text: 'x', blocks: '[]' }
  expect(sent).toEqual([
    ['/chat.postMessage', { ...fields, unfurl_links: 'false', unfurl_media: 'false' }],
    ['/chat.postMessage', { ...fields, unfurl_links: 'false', unfurl_media: 'false', thread_ts: '1.0' }],
    ['/chat.update', { ...fields, ts: '1.5' }],
  ])
  answer = () => new Response('', { status: 503 })
  sent.length = 0
  expect(await port.post('C1', undefined, MESSAGE)).toMatchObject({ kind: 'away' })
  expect(sent).toHaveLength(1)
})
