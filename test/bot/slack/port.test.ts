// What the bot sends to Slack's Web API in private, what it does where it may not post, and what it writes into its log.

import type { WebClient } from '@slack/web-api'
import { describe, expect, test } from 'bun:test'
import { boltLogger } from '../../../bot/slack/receive/bolt-log.ts'
import { loadingModal } from '../../../bot/slack/modals.ts'
import { createSlackPort } from '../../../bot/slack/port.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'

const MESSAGE = { text: 'hello', blocks: [] }

/** A port on a client that answers, or fails with an error of Slack. */
function open(answer: Record<string, unknown> | Error = { channel: 'C1', ts: '1.1' }, failing: readonly string[] = []) {
  const sent: unknown[] = []
  const method = (name: string) => async (order: Record<string, unknown>) => {
    sent.push([name, order])
    if (answer instanceof Error) {
      if (failing.includes(name)) throw answer
      return {}
    }
    return answer
  }
  const client = {
    chat: { postMessage: method('postMessage'), postEphemeral: method('postEphemeral') },
    views: { update: method('views.update') },
  } as unknown as WebClient
  return { port: createSlackPort(client), sent }
}

const refusedBySlack = (error: string): Error => Object.assign(new Error(error), { code: 'slack_webapi_platform_error', data: { ok: false, error } })

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

test('edits name the modal', async () => {
  await expect(open(refusedBySlack('not_found'), ['views.update']).port.updateModal('V1', loadingModal('Wait'))).rejects.toThrow('not_found')
  const it = open()
  await it.port.updateModal('V1', loadingModal('Wait'))
  expect(it.sent).toEqual([['views.update', { view_id: 'V1', view: loadingModal('Wait') }]])
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
