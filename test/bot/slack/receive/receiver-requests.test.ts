// What the receiver passes to Bolt, and what it answers: with a clock of its own, without a network.

import { createHmac } from 'node:crypto'
import type { App, ReceiverEvent } from '@slack/bolt'
import { describe, expect, test } from 'bun:test'
import { createHonoReceiver } from '../../../../bot/slack/receive/receiver.ts'
import type { Repeat } from '../../../../bot/slack/receive/repeats.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const SECRET = 'the-signing-secret'
const FORM = 'application/x-www-form-urlencoded'
const NOW_S = Date.UTC(2026, 0, 1) / 1000

interface Sent {
  readonly body?: string
  readonly type?: string
  /** Seconds from the clock of the receiver to the timestamp. */
  readonly skewS?: number
  readonly timestamp?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A receiver with Bolt behind it, which handles each event as `handle` says. */
function open(handle: (event: ReceiverEvent) => unknown = ({ ack }) => ack(), repeat: Repeat = 'new') {
  const clock = createManualClock()
  const log = createMemoryLog()
  const keys: string[] = []
  const events: ReceiverEvent[] = []
  const check = (key: string): Repeat => {
    keys.push(key)
    return repeat
  }
  const receiver = createHonoReceiver({ signingSecret: SECRET, clock, log, repeats: { check } })
  const begin = () =>
    receiver.init({
      async processEvent(event: ReceiverEvent) {
        events.push(event)
        await handle(event)
      },
    } as Partial<App> as App)
  const send = ({ body = 'command=%2Fslipway&text=help', type = FORM, skewS = 0, timestamp = String(NOW_S + skewS), headers = {} }: Sent = {}) => {
    const signature = `v0=${createHmac('sha256', SECRET).update(`v0:${timestamp}:${body}`).digest('hex')}`
    const all = { 'content-type': type, 'x-slack-signature': signature, 'x-slack-request-timestamp': timestamp, ...headers }
    return receiver.routes.request('/slack/events', { method: 'POST', body, headers: all })
  }
  return { clock, log, keys, events, begin, send, receiver }
}

const read = async (answer: Response | Promise<Response>): Promise<[number, string]> => {
  const { status } = await answer
  return [status, await (await answer).text()]
}

describe('a signed request', () => {
  test.each([
    [-301, 401],
    [-300, 200],
    [300, 200],
    [301, 401],
  ])('of %d s from now is answered with %d', async (skewS, status) => {
    const it = open()
    it.begin()
    expect((await it.send({ skewS }))?.status).toBe(status)
    expect(it.events).toHaveLength(status === 200 ? 1 : 0)
    if (status === 401) expect(it.log.lines).toMatchObject([{ level: 'warn', fields: { reason: expect.stringContaining('more than 5 minutes') } }])
  })

  test.each(['', 'soon', '-1', '1.5', '1'.repeat(13), `${NOW_S} `])('with the time "%s" is refused', async (timestamp) => {
    const it = open()
    it.begin()
    expect((await it.send({ timestamp })).status).toBe(401)
    expect(it.events).toEqual([])
  })

  test('is refused with one byte of the signature changed', async () => {
    const it = open()
    it.begin()
    expect(await read(it.send({ headers: { 'x-slack-signature': `v0=${'0'.repeat(64)}` } }))).toEqual([401, 'The signature does not match.'])
    expect(it.events).toEqual([])
    expect(it.keys).toEqual([])
  })

  test('is answered before Bolt is ready, if it only checks the connection', async () => {
    const it = open()
    expect(await read(it.send())).toEqual([503, 'The bot is not ready yet.'])
    expect(await read(it.send({ body: 'ssl_check=1&token=legacy' }))).toEqual([200, ''])
    const challenge = { body: JSON.stringify({ type: 'url_verification', challenge: 'abc' }), type: 'application/json; charset=utf-8' }
    expect(await read(it.send(challenge))).toEqual([200, '{"challenge":"abc"}'])
    expect(await read(it.send({ ...challenge, body: '{"type":"url_verification"}' }))).toEqual([200, '{"challenge":""}'])
    expect(await read(it.send({ body: 'ssl_check=1', headers: { 'x-slack-signature': 'v0=1' } }))).toEqual([401, 'The signature does not match.'])
  })

  test.each([
    ['{', 'application/json'],
    ['5', 'application/json'],
    ['[]', 'application/json'],
    ['{"type":5}', 'application/json'],
    ['payload={', FORM],
    ['payload=5', FORM],
  ])('with the body %s (%s) is not understood', async (body, type) => {
    const it = open()
    it.begin()
    expect(await read(it.send({ body, type }))).toEqual([400, 'The body is neither JSON nor a form of Slack.'])
    expect(it.events).toEqual([])
  })

  test('is passed on with its members and the headers of a retry', async () => {
    const it = open()
    it.begin()
    await it.send({ body: 'payload=%7B%22type%22%3A%22block_actions%22%2C%22a%22%3A1%7D' })
    await it.send({ headers: { 'x-slack-retry-num': '2', 'x-slack-retry-reason': 'http_timeout' } })
    expect(it.events.map(({ ack: _ack, ...event }) => event)).toEqual([
      { body: { type: 'block_actions', a: 1 } },
      { body: { command: '/slipway', text: 'help' }, retryNum: 2, retryReason: 'http_timeout' },
    ])
  })

  test('that was run already is acknowledged and not run; with too many remembered, it is refused', async () => {
    for (const [repeat, status] of [
      ['repeated', 200],
      ['full', 503],
    ] as const) {
      const it = open(undefined, repeat)
      it.begin()
      expect((await it.send({ headers: { 'x-slack-retry-num': '1' } })).status).toBe(status)
      expect(it.events).toEqual([])
      expect(it.keys).toEqual([expect.stringMatching(/^signature v0=[0-9a-f]{64}$/)])
      if (repeat === 'repeated') expect(it.log.lines).toMatchObject([{ level: 'warn', fields: { retry: '1' } }])
    }
  })
})

describe('the answer', () => {
  test.each<[unknown, string]>([
    [undefined, ''],
    ['', ''],
    ['done', 'done'],
    [{ response_action: 'errors' }, '{"response_action":"errors"}'],
  ])('is the acknowledgement %j', async (acknowledged, text) => {
    const it = open(async ({ ack }) => {
      await ack(acknowledged)
      await ack('a second one')
    })
    it.begin()
    expect(await read(it.send())).toEqual([200, text])
  })

  test('is an error when nothing acknowledges for three seconds', async () => {
    const it = open(() => {})
    it.begin()
    let status: number | undefined
    const answered = Promise.resolve(it.send()).then((answer) => (status = answer.status))
    await it.clock.untilSleeping(1)
    it.clock.advance(2999)
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    expect(status).toBeUndefined()
    it.clock.advance(1)
    expect(await answered).toBe(404)
  })

  test('is an error when Bolt fails, which is logged', async () => {
    const it = open(() => {
      throw new Error('broken')
    })
    it.begin()
    expect(await read(it.send())).toEqual([500, 'The request failed.'])
    expect(it.log.lines).toMatchObject([{ level: 'error', fields: { error: { message: 'broken' } } }])
  })
})

describe('a body', () => {
  const unsigned = (body: string | ReadableStream): RequestInit => ({ method: 'POST', body })

  test('may have 1 MiB, and is read before its signature is checked', async () => {
    const { routes } = open().receiver
    expect((await routes.request('/slack/events', unsigned('x'.repeat(1024 * 1024)))).status).toBe(401)
    expect((await routes.request('/slack/events', unsigned('x'.repeat(1024 * 1024 + 1)))).status).toBe(413)
  })

  test('without an end and a length is not read to its end', async () => {
    let pieces = 0
    const endless = new ReadableStream({
      pull(controller) {
        pieces++
        controller.enqueue(new Uint8Array(64 * 1024))
        if (pieces > 1000) controller.close()
      },
    })
    const answer = await open().receiver.routes.request('/slack/events', unsigned(endless))
    expect(await read(answer)).toEqual([413, 'The body is too long.'])
    expect(pieces).toBeLessThan(40)
  })
})
