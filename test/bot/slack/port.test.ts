// What the bot sends to Slack's Web API, what it does where it may not post, and what it writes into its log.

import type { WebClient } from '@slack/web-api'
import { describe, expect, test } from 'bun:test'
import { boltLogger } from '../../../bot/slack/bolt-log.ts'
import { loadingModal } from '../../../bot/slack/modals.ts'
import { createSlackPort } from '../../../bot/slack/port.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'

const MESSAGE = { text: 'hello', blocks: [] }

/** A port on a client that answers, or fails with an error of Slack. */
function open(answer: Record<string, unknown> | Error = { channel: 'C1', ts: '1.1' }, failing: readonly string[] = ['postMessage', 'postEphemeral', 'update']) {
  const sent: unknown[] = []
  const log = createMemoryLog()
  const method = (name: string) => async (order: Record<string, unknown>) => {
    sent.push([name, order])
    if (answer instanceof Error) {
      if (failing.includes(name)) throw answer
      return {}
    }
    return answer
  }
  const client = {
    chat: { postMessage: method('postMessage'), update: method('update'), postEphemeral: method('postEphemeral') },
    views: { update: method('views.update') },
  } as unknown as WebClient
  return { port: createSlackPort(client, log), sent, log }
}

const refusedBySlack = (error: string): Error => Object.assign(new Error(error), { code: 'slack_webapi_platform_error', data: { ok: false, error } })
const NOT_THERE = ['not_in_channel', 'channel_not_found', 'is_archived', 'user_not_in_channel', 'restricted_action', 'cannot_reply_to_message']

describe('a post', () => {
  test('returns its place, and shows no previews of links', async () => {
    const it = open()
    expect(await it.port.post('C1', MESSAGE)).toEqual({ channel: 'C1', ts: '1.1' })
    expect(it.sent).toEqual([['postMessage', { channel: 'C1', text: 'hello', blocks: [], unfurl_links: false, unfurl_media: false }]])
    expect(await open({ channel: 'C1' }).port.post('C1', MESSAGE)).toBeUndefined()
    expect(await open({ ts: '1.1' }).port.post('C1', MESSAGE)).toBeUndefined()
  })

  test.each(NOT_THERE)('is not made where Slack says %s', async (error) => {
    const it = open(refusedBySlack(error))
    expect(await it.port.post('C1', MESSAGE)).toBeUndefined()
    expect(it.log.lines).toMatchObject([{ level: 'info', fields: { channel: 'C1' } }])
  })

  test('fails with every other error', async () => {
    await expect(open(refusedBySlack('msg_too_long')).port.post('C1', MESSAGE)).rejects.toThrow('msg_too_long')
    await expect(open(Object.assign(new Error('cut'), { data: { error: 'not_in_channel' } })).port.post('C1', MESSAGE)).rejects.toThrow('cut')
  })
})

describe('a whisper', () => {
  test('goes to one person in the channel, or as a direct message', async () => {
    const it = open()
    await it.port.whisper('C1', 'U1', MESSAGE)
    expect(it.sent).toEqual([['postEphemeral', { channel: 'C1', user: 'U1', text: 'hello', blocks: [] }]])
    const closed = open(refusedBySlack('user_not_in_channel'), ['postEphemeral'])
    await closed.port.whisper('C1', 'U1', MESSAGE)
    expect(closed.sent[1]).toEqual(['postMessage', { channel: 'U1', text: 'hello', blocks: [], unfurl_links: false, unfurl_media: false }])
    const refused = open(refusedBySlack('invalid_auth'), ['postEphemeral'])
    await expect(refused.port.whisper('C1', 'U1', MESSAGE)).rejects.toThrow('invalid_auth')
    expect(refused.sent).toHaveLength(1)
  })
})

test('edits name the message and the modal', async () => {
  await expect(open(refusedBySlack('not_found'), ['views.update']).port.updateModal('V1', loadingModal('Wait'))).rejects.toThrow('not_found')
  await expect(open(refusedBySlack('message_not_found'), ['update']).port.update('C1', '1.1', MESSAGE)).rejects.toThrow('message_not_found')
  const it = open()
  await it.port.update('C1', '1.1', MESSAGE)
  await it.port.updateModal('V1', loadingModal('Wait'))
  expect(it.sent).toEqual([
    ['update', { channel: 'C1', ts: '1.1', text: 'hello', blocks: [] }],
    ['views.update', { view_id: 'V1', view: loadingModal('Wait') }],
  ])
})

test("Bolt's messages are written one level lower, and payloads not at all", () => {
  const log = createMemoryLog()
  const bolt = boltLogger(log)
  bolt.debug('a payload', { token: 'x' })
  bolt.info('connected', 5)
  bolt.warn('slow', { a: 1 })
  bolt.error('failed:', new Error('cut'))
  expect(log.lines.map(({ level, message }) => [level, message])).toEqual([
    ['debug', 'connected 5'],
    ['warn', 'slow {"a":1}'],
    ['error', 'failed: cut'],
  ])
  expect<string>(bolt.getLevel()).toBe('info')
})
