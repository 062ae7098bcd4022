// How requests that Bolt delivers become commands, presses and submissions: each is acknowledged first, and run once.

import type { App } from '@slack/bolt'
import { describe, expect, test } from 'bun:test'
import type { Conversation } from '../../../bot/slack/conversation.ts'
import type { Exchange } from '../../../bot/slack/exchange.ts'
import { loadingModal } from '../../../bot/slack/modals.ts'
import type { Repeat } from '../../../bot/slack/repeats.ts'
import { listenToSlack } from '../../../bot/slack/requests.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'

type Handle = (request: Record<string, unknown>) => Promise<void>

/** Bolt's app with its handlers, and what they do, in order. */
function open(repeat: (key: string) => Repeat = () => 'new', viewId: string | null = 'V1') {
  const did: string[] = []
  const exchanges: Exchange[] = []
  const log = createMemoryLog()
  const handlers = new Map<string, Handle>()
  const patterns: RegExp[] = []
  const app = {
    command(pattern: RegExp, handle: Handle) {
      patterns.push(pattern)
      handlers.set('command', handle)
    },
    action: (_filter: unknown, handle: Handle) => handlers.set('action', handle),
    view: (id: string, handle: Handle) => handlers.set(id, handle),
    client: {
      views: {
        async open(order: unknown) {
          did.push(`open ${JSON.stringify(order)}`)
          if (viewId === null) throw new Error('expired_trigger_id')
          return { view: { id: viewId } }
        },
      },
    },
  } as unknown as App
  const conversation: Conversation = {
    onCommand: async (name, text, exchange) => void (exchanges.push(exchange), did.push(`command ${name} ${text}`)),
    onPress: async (id, exchange) => void (exchanges.push(exchange), did.push(`press ${id}`)),
    checkName: (id, typed) => (typed === 'edge-a' ? undefined : `${id} is not ${typed}`),
    onConfirmed: async (id, typed, exchange) => void (exchanges.push(exchange), did.push(`confirmed ${id} ${typed}`)),
    onForm: async (id, values, viewId, exchange) => void (exchanges.push(exchange), did.push(`form ${id} ${viewId} ${JSON.stringify(values)}`)),
  }
  const background = (work: Promise<void>): void => void work
  listenToSlack({ app, conversation, clock: { nowMs: () => 0 }, repeats: { check: repeat }, log, background })
  const send = (kind: string, request: Record<string, unknown>) =>
    handlers.get(kind)?.({
      ack: async (answer?: unknown) => void did.push(`ack${answer === undefined ? '' : ` ${JSON.stringify(answer)}`}`),
      respond: async (message: unknown) => void did.push(`respond ${JSON.stringify(message)}`),
      ...request,
    })
  return { did, exchanges, log, patterns, send }
}

const COMMAND = { command: { command: '/store', text: 'list', trigger_id: 't1', user_id: 'U1', user_name: 'ann', channel_id: 'C1' } }
const PRESS = { body: { trigger_id: 't2', user: { id: 'U1', name: 'ann' }, channel: { id: 'C1' }, response_url: 'http://x' }, action: { value: 'button-1' } }
const view = (typed: string | null) => ({
  private_metadata: 'm1',
  hash: 'h1',
  id: 'V9',
  title: { text: 'Title' },
  state: { values: { name: { name: { value: typed } }, zone: {} } },
})
const SUBMIT = { body: { user: { id: 'U1', name: 'ann' } } }

describe('a command', () => {
  test('is acknowledged, then run for the person who sent it', async () => {
    const it = open()
    await it.send('command', COMMAND)
    expect(it.did).toEqual(['ack', 'command store list'])
    expect(it.exchanges).toMatchObject([{ user: 'U1', userName: 'ann', channel: 'C1' }])
    await it.exchanges[0]?.respond?.({ text: 'hello', blocks: [], isShared: true, replaces: false })
    await it.exchanges[0]?.respond?.({ text: 'hello', blocks: [], isShared: false, replaces: true })
    expect(it.did.slice(2)).toEqual([
      'respond {"text":"hello","blocks":[],"response_type":"in_channel","replace_original":false}',
      'respond {"text":"hello","blocks":[],"response_type":"ephemeral","replace_original":true}',
    ])
    expect(await it.exchanges[0]?.openModal?.(loadingModal('Wait'))).toBe('V1')
    expect(it.did.at(-1)).toStartWith('open {"trigger_id":"t1","view":{"type":"modal"')
  })

  test('opens no modal once its trigger has expired', async () => {
    const it = open(undefined, null)
    await it.send('command', COMMAND)
    expect(await it.exchanges[0]?.openModal?.(loadingModal('Wait'))).toBeUndefined()
    expect(it.log.lines).toMatchObject([{ level: 'warn', message: 'a modal could not be opened' }])
  })

  test('is one of three', () => {
    const [pattern] = open().patterns
    expect(['/slipway', '/store', '/image', '/slipways', '/task', 'x/store', '/store x'].map((name) => pattern?.test(name))).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
      false,
    ])
  })
})

describe('a request', () => {
  test.each([
    ['command', COMMAND, 'request t1'],
    ['action', PRESS, 'request t2'],
    ['slipway:confirm', { ...SUBMIT, view: view('edge-a') }, 'request m1:h1'],
    ['slipway:form', { ...SUBMIT, view: view('edge-a') }, 'request m1:h1'],
  ])('of the kind %s that Slack repeats is acknowledged and not run', async (kind, request, key) => {
    for (const repeat of ['repeated', 'full'] as const) {
      const keys: string[] = []
      const it = open((checked) => (keys.push(checked), repeat))
      await it.send(kind, request)
      expect(it.did).toHaveLength(1)
      expect(it.did[0]).toStartWith('ack')
      expect(it.exchanges).toEqual([])
      expect(keys).toEqual([key])
      expect(it.log.lines.map(({ message }) => message)).toEqual(repeat === 'full' ? ['a request was dropped, because too many came in the last minutes'] : [])
    }
  })
})

describe('a press', () => {
  test('is run for the person who pressed, by the name that Slack gives', async () => {
    const it = open()
    await it.send('action', PRESS)
    await it.send('action', { ...PRESS, body: { trigger_id: 't3', user: { id: 'U1', username: 'u-ann' }, response_url: '' } })
    await it.send('action', { ...PRESS, body: { trigger_id: undefined, user: { id: 'U1' } } })
    expect(it.did).toEqual(['ack', 'press button-1', 'ack', 'press button-1', 'ack', 'press button-1'])
    expect(it.exchanges.map((one) => [one.userName, one.channel, one.respond === undefined, one.openModal === undefined])).toEqual([
      ['ann', 'C1', false, false],
      ['u-ann', 'U1', true, false],
      ['U1', 'U1', true, true],
    ])
  })

  test('without a value does nothing', async () => {
    const it = open()
    await it.send('action', { ...PRESS, action: {} })
    expect(it.did).toEqual(['ack'])
  })
})

describe('a submission', () => {
  test('of another name is answered below the input and not run', async () => {
    const it = open()
    await it.send('slipway:confirm', { ...SUBMIT, view: view('edge-b') })
    await it.send('slipway:confirm', { ...SUBMIT, view: view(null) })
    expect(it.did).toEqual([
      'ack {"response_action":"errors","errors":{"name":"m1 is not edge-b"}}',
      'ack {"response_action":"errors","errors":{"name":"m1 is not "}}',
    ])
  })

  test('of the name is run, without the space around it', async () => {
    const it = open()
    await it.send('slipway:confirm', { ...SUBMIT, view: view(' edge-a ') })
    expect(it.did).toEqual(['ack', 'confirmed m1 edge-a'])
    expect(it.exchanges).toEqual([{ user: 'U1', userName: 'ann', channel: 'U1', respond: undefined, openModal: undefined }])
  })

  test('of a form shows at once that it is worked on', async () => {
    const it = open()
    await it.send('slipway:form', { ...SUBMIT, view: view('edge-a') })
    expect(it.did).toHaveLength(2)
    expect(it.did[0]).toStartWith('ack {"response_action":"update","view":{"type":"modal","title":{"type":"plain_text","text":"Title"}')
    expect(it.did[1]).toBe('form m1 V9 {"name":"edge-a","zone":""}')
  })
})
