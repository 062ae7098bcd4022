// What the fake Slack refuses besides blocks: rates, triggers, response_urls, edits of what is not there, views and tokens.

import { describe, expect, test } from 'bun:test'
import { createFakeSlack } from './fake-slack.ts'
import type { FakeSlackOptions } from './fake-slack.ts'
import { createRates, createTickets } from './limits.ts'

const BLOCK = { type: 'section', text: { type: 'mrkdwn', text: 'x' } }
const MODAL = { type: 'modal', title: { type: 'plain_text', text: 'x' }, blocks: [BLOCK] }
const HOME = { type: 'home', blocks: [BLOCK] }

/** A Slack whose clock stands still until it is set, and what it sends to the bot. */
function open(options: FakeSlackOptions = {}) {
  const time = { nowMs: 0 }
  const received: string[] = []
  const bot = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) => new Response(null, { status: received.push(await request.text()) && 200 }),
  })
  const slack = createFakeSlack({ nowMs: () => time.nowMs, deliverTo: () => bot.url.href, ...options })
  const call = async (method: string, body: object, token = 'xoxb-fake') => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
    const answer = await fetch(`${slack.apiUrl}${method}`, { method: 'POST', headers, body: JSON.stringify(body) })
    const said = (await answer.json()) as { ok: boolean; error?: string; ts?: string; message_ts?: string; view?: View; upload_url?: string; file_id?: string }
    const { ok, error, ts, message_ts, view, upload_url, file_id } = said
    return { status: answer.status, retryAfter: answer.headers.get('retry-after'), ok, error, ts: ts ?? message_ts, view, upload_url, file_id }
  }
  /** The trigger and the response_url of a new command. */
  const ask = async () => {
    await slack.command('/slipway', 'help')
    const form = new URLSearchParams(received.at(-1))
    return { trigger: form.get('trigger_id') ?? '', responseUrl: form.get('response_url') ?? '' }
  }
  const end = async (): Promise<void> => {
    await slack[Symbol.asyncDispose]()
    await bot.stop(true)
  }
  return { slack, time, call, ask, received, [Symbol.asyncDispose]: end }
}

interface View {
  readonly id: string
  readonly hash: string
}

describe('rates', () => {
  test.each([
    ['chat.update', 50],
    ['chat.postEphemeral', 100],
    ['views.open', 100],
    ['views.update', 100],
    ['views.publish', 100],
    ['usergroups.users.list', 40],
  ])('of %s are %d in a minute', (method, max) => {
    let nowMs = 0
    const rates = createRates(() => nowMs)
    for (let i = 0; i < max; i++) expect(rates.take(method)).toBeUndefined()
    expect(rates.take(method)).toBe(60)
    nowMs = 12_345
    expect(rates.take(method)).toBe(48)
    nowMs = 59_999
    expect(rates.take(method)).toBe(1)
    nowMs = 60_000
    expect(rates.take(method)).toBeUndefined()
  })

  test('of posts are one in a second and channel, after a burst of four', () => {
    let nowMs = 0
    const rates = createRates(() => nowMs)
    for (let i = 0; i < 4; i++) expect(rates.take('chat.postMessage', 'C1')).toBeUndefined()
    expect(rates.take('chat.postMessage', 'C1')).toBe(1)
    expect(rates.take('chat.postMessage', 'C2')).toBeUndefined()
    nowMs = 3_999
    expect(rates.take('chat.postMessage', 'C1')).toBe(1)
    nowMs = 4_000
    expect(rates.take('chat.postMessage', 'C1')).toBeUndefined()
  })

  test('that are exceeded are answered with 429 and Retry-After', async () => {
    await using it = open()
    for (let i = 0; i < 4; i++) expect(await it.call('chat.postMessage', { channel: 'C1', text: 'x' })).toMatchObject({ status: 200, ok: true })
    expect(await it.call('chat.postMessage', { channel: 'C1', text: 'x' })).toMatchObject({ status: 429, retryAfter: '1', error: 'ratelimited' })
    expect(it.slack.failures).toEqual(['ratelimited: chat.postMessage'])
    expect(it.slack.shown).toHaveLength(4)
  })
})

describe('a trigger', () => {
  test('opens one modal within 3 seconds', () => {
    let nowMs = 0
    const tickets = createTickets(() => nowMs)
    tickets.issueTrigger('a')
    tickets.issueTrigger('b')
    expect(tickets.useTrigger('c')).toBe('invalid_trigger_id')
    nowMs = 3_000
    expect(tickets.useTrigger('a')).toBeUndefined()
    expect(tickets.useTrigger('a')).toBe('exchanged_trigger_id')
    nowMs = 3_001
    expect(tickets.useTrigger('b')).toBe('expired_trigger_id')
  })
})

describe('a response_url', () => {
  test('takes five messages within 30 minutes', () => {
    let nowMs = 0
    const tickets = createTickets(() => nowMs)
    for (const id of ['a', 'b']) tickets.issueResponse(id, 'C1')
    for (let i = 0; i < 5; i++) expect(tickets.useResponse('a')).toEqual({ channel: 'C1' })
    expect(tickets.useResponse('a')).toEqual({ error: 'used_url', uses: 6 })
    nowMs = 1_800_000
    expect(tickets.useResponse('b')).toEqual({ channel: 'C1' })
    nowMs = 1_800_001
    expect(tickets.useResponse('b')).toEqual({ error: 'expired_url', uses: 1 })
    expect(tickets.useResponse('c')).toEqual({ error: 'expired_url', uses: 0 })
  })

  test('is answered with 404 at the sixth message, after its time, and when it is unknown', async () => {
    await using it = open()
    const { responseUrl } = await it.ask()
    const { responseUrl: late } = await it.ask()
    const send = async (url: string): Promise<[number, string]> => {
      const answer = await fetch(url, { method: 'POST', body: '{"text":"x"}', headers: { 'content-type': 'application/json' } })
      return [answer.status, await answer.text()]
    }
    for (let i = 0; i < 5; i++) expect(await send(responseUrl)).toEqual([200, 'ok'])
    expect(await send(responseUrl)).toEqual([404, expect.stringContaining('"error":"used_url"')])
    it.time.nowMs = 1_800_001
    expect(await send(late)).toEqual([404, '{"ok":false,"error":"expired_url"}'])
    expect(await send(`${late}0`)).toEqual([404, '{"ok":false,"error":"expired_url"}'])
    expect(it.slack.failures).toEqual(['used_url: a response_url was used 6 times', 'expired_url', 'expired_url'])
    expect(it.slack.shown).toHaveLength(5)
  })
})

describe('a message', () => {
  test('is edited where it was posted, and only when it stays', async () => {
    await using it = open()
    const { ts } = await it.call('chat.postMessage', { channel: 'C1', text: 'x' })
    const { ts: gone } = await it.call('chat.postEphemeral', { channel: 'C1', user: 'U1', text: 'x' })
    expect(await it.call('chat.update', { channel: 'C1', ts, text: 'y' })).toMatchObject({ ok: true })
    expect(await it.call('chat.update', { channel: 'C2', ts, text: 'y' })).toMatchObject({ error: 'message_not_found' })
    expect(await it.call('chat.update', { channel: 'C1', ts: '1.2', text: 'y' })).toMatchObject({ error: 'message_not_found' })
    expect(gone).toBeDefined()
    expect(await it.call('chat.update', { channel: 'C1', ts: gone, text: 'y' })).toMatchObject({ error: 'cant_update_message' })
  })

  test.each([
    ['chat.postMessage', 40_000],
    ['chat.postEphemeral', 40_000],
    ['chat.update', 4_000],
  ])('of %s has at most %d characters', async (method, max) => {
    await using it = open()
    const { ts } = await it.call('chat.postMessage', { channel: 'C1', text: 'x' })
    const send = (length: number) => it.call(method, { channel: 'C1', user: 'U1', ts, text: 'x'.repeat(length) })
    expect(await send(max)).toMatchObject({ ok: true })
    expect(await send(max + 1)).toMatchObject({ error: 'msg_too_long' })
    expect(await send(0)).toMatchObject({ error: 'no_text' })
    expect(it.slack.failures).toEqual(['msg_too_long', 'no_text'])
  })

  test('with blocks that Slack refuses says which', async () => {
    await using it = open()
    expect(await it.call('chat.postMessage', { channel: 'C1', blocks: [{ type: 'header' }] })).toMatchObject({ error: 'invalid_blocks' })
    expect(it.slack.failures).toEqual(['invalid_blocks: text must be plain_text [json-pointer:/blocks/0]'])
  })

  test('reaches no thread that is not there, no closed channel, and in private no person outside a channel', async () => {
    await using it = open({ closedChannels: ['C9'] })
    expect(await it.call('chat.postMessage', { channel: 'C1', text: 'x', thread_ts: '1.2' })).toMatchObject({ error: 'thread_not_found' })
    expect(await it.call('chat.postMessage', { channel: 'C9', text: 'x' })).toMatchObject({ error: 'not_in_channel' })
    expect(await it.call('chat.postEphemeral', { channel: 'U1', user: 'U1', text: 'x' })).toMatchObject({ error: 'channel_not_found' })
    expect(await it.call('chat.postMessage', { channel: 'U1', text: 'x' })).toMatchObject({ ok: true })
  })
})

describe('a view', () => {
  test('is published for a person, and replaced with the hash of its last state only', async () => {
    await using it = open()
    const { view } = await it.call('views.publish', { user_id: 'U1', view: HOME })
    expect(await it.call('views.publish', { user_id: 'U1', view: HOME, hash: 'old' })).toMatchObject({ error: 'hash_conflict' })
    expect(await it.call('views.publish', { user_id: 'U1', view: HOME, hash: view?.hash })).toMatchObject({ ok: true, view: { id: view?.id } })
    expect(await it.call('views.publish', { view: HOME })).toMatchObject({ error: 'invalid_arguments' })
    expect(await it.call('views.publish', { user_id: 'U1', view: MODAL })).toMatchObject({ error: 'invalid_arguments' })
    expect(it.slack.shown.map(({ kind, channel }) => [kind, channel])).toEqual([
      ['home', 'U1'],
      ['home', 'U1'],
    ])
  })

  test('is published only where the app has a home tab', async () => {
    await using it = open({ hasHomeTab: false })
    expect(await it.call('views.publish', { user_id: 'U1', view: HOME })).toMatchObject({ error: 'not_enabled' })
  })

  test('is opened with a trigger, and updated by its id or its external_id, which is unique', async () => {
    await using it = open()
    const opened = async (view: object) => it.call('views.open', { trigger_id: (await it.ask()).trigger, view })
    const { view } = await opened({ ...MODAL, external_id: 'e1' })
    expect(await opened({ ...MODAL, external_id: 'e1' })).toMatchObject({ error: 'duplicate_external_id' })
    expect(await it.call('views.update', { view_id: view?.id, view: MODAL, hash: 'old' })).toMatchObject({ error: 'hash_conflict' })
    expect(await it.call('views.update', { external_id: 'e1', view: { ...MODAL, external_id: 'e1' }, hash: view?.hash })).toMatchObject({ ok: true })
    expect(await it.call('views.update', { external_id: 'e2', view: MODAL })).toMatchObject({ error: 'not_found' })
    expect(await it.call('views.update', { view_id: 'V999', view: MODAL })).toMatchObject({ error: 'not_found' })
    expect(await it.call('views.open', { trigger_id: 'none', view: MODAL })).toMatchObject({ error: 'invalid_trigger_id' })
    const blocks = Array.from({ length: 85 }, () => ({ type: 'section', text: { type: 'mrkdwn', text: 'x'.repeat(3000) } }))
    expect(await it.call('views.update', { view_id: view?.id, view: { ...MODAL, blocks } })).toMatchObject({ error: 'view_too_large' })
  })
})

test('a wrong token and an unknown method are refused', async () => {
  await using it = open({ scopes: ['chat:write'], groups: { S1: ['U1'] } })
  expect(await it.call('chat.postMessage', { channel: 'C1', text: 'x' }, 'xoxb-other')).toMatchObject({ error: 'invalid_auth' })
  expect(await it.call('apps.connections.open', {})).toMatchObject({ error: 'invalid_auth' })
  expect(await it.call('apps.connections.open', {}, 'xapp-fake')).toMatchObject({ ok: true })
  expect(await it.call('users.list', {})).toMatchObject({ error: 'unknown_method' })
  expect(await it.call('usergroups.users.list', { usergroup: 'S1' })).toMatchObject({ error: 'missing_scope' })
})

describe('a file', () => {
  const take = (address: string, bytes: string): Promise<number> => fetch(address, { method: 'POST', body: bytes }).then(({ status }) => status)

  test('is seen when its bytes are there, all of them, and a conversation has it', async () => {
    await using it = open()
    const { upload_url: address = '', file_id: id } = await it.call('files.getUploadURLExternal', { filename: 'a.png', length: 3, alt_txt: 'words' })
    const share = (channel: string) => it.call('files.completeUploadExternal', { files: [{ id, title: 'A' }], channel_id: channel, initial_comment: 'see' })
    expect(await share('C1')).toMatchObject({ error: 'file_not_found' })
    expect([await take(address, 'abcd'), await take(`${address}0`, 'abc'), await take(address, 'abc'), await take(address, 'abc')]).toEqual([
      400, 400, 200, 400,
    ])
    expect(await share('U1')).toMatchObject({ error: 'channel_not_found' })
    expect(it.slack.files).toEqual([])
    expect(await share('C1')).toMatchObject({ ok: true })
    expect(it.slack.files).toMatchObject([{ id, title: 'A', altText: 'words', channel: 'C1', comment: 'see' }])
    expect(await share('C1')).toMatchObject({ error: 'file_not_found' })
  })

  test('has a name, a length and at most 1,000 characters of words', async () => {
    await using it = open()
    const ask = (members: object) => it.call('files.getUploadURLExternal', { filename: 'a.png', length: 1, ...members })
    expect(await ask({ alt_txt: 'x'.repeat(1000) })).toMatchObject({ ok: true })
    expect(await ask({ alt_txt: 'x'.repeat(1001) })).toMatchObject({ error: 'alt_txt_too_large' })
    for (const members of [{ length: 0 }, { filename: '' }]) expect(await ask(members)).toMatchObject({ error: 'invalid_arguments' })
  })
})
