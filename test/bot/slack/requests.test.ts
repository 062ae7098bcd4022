// How requests that Bolt delivers become commands, presses and submissions: each is acknowledged first, and run once.

import type { App } from '@slack/bolt'
import { describe, expect, test } from 'bun:test'
import type { ModalView } from '@slack/types'
import type { Conversation, FormOutcome } from '../../../bot/slack/conversation.ts'
import type { Exchange } from '../../../bot/slack/exchange.ts'
import type { Pickers } from '../../../bot/slack/forms/pickers.ts'
import { loadingModal } from '../../../bot/slack/modals.ts'
import type { Repeat } from '../../../bot/slack/receive/repeats.ts'
import { listenToSlack } from '../../../bot/slack/requests.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'

type Handle = (request: Record<string, unknown>) => Promise<void>

/** What Slack answers takes a while. */
async function later(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve()
}

/** Bolt's app with its handlers, and what they do, in order. `background` is what goes on after a request was answered. */
function open(
  repeat: (key: string) => Repeat = () => 'new',
  viewId: string | null = 'V1',
  form = Promise.resolve<FormOutcome>({ kind: 'shown', view: loadingModal('Again') }),
) {
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
    action: ({ action_id: pattern }: { readonly action_id: RegExp }, handle: Handle) => handlers.set(pattern.test('pick:x') ? 'pick' : 'action', handle),
    view: (id: string | { readonly callback_id: string }, handle: Handle) => handlers.set(typeof id === 'string' ? id : id.callback_id, handle),
    options: (_pattern: RegExp, handle: Handle) => handlers.set('options', handle),
    client: {
      views: {
        async open(order: unknown) {
          did.push(`open ${JSON.stringify(order)}`)
          if (viewId === null) throw new Error('expired_trigger_id')
          return viewId === '' ? {} : { view: { id: viewId } }
        },
      },
    },
  } as unknown as App
  const conversation: Conversation = {
    onCommand: async (name, text, exchange) => void (exchanges.push(exchange), did.push(`command ${name} ${text}`)),
    onPress: async (id, exchange) => void (exchanges.push(exchange), did.push(`press ${id}`)),
    checkName: (id, typed) => (typed === 'edge-a' ? undefined : `${id} is not ${typed}`),
    onConfirmed: async (id, typed, exchange) => void (exchanges.push(exchange), did.push(`confirmed ${id} ${typed}`)),
    onForm(id, values, exchange) {
      exchanges.push(exchange)
      did.push(`form ${id} ${JSON.stringify(values)}`)
      return form
    },
    onPick: async (id, choice, exchange) => void (exchanges.push(exchange), did.push(`pick ${id} ${choice}`)),
  }
  const pickers: Pickers = {
    async options(place, typed, asker) {
      did.push(`options ${JSON.stringify(place)} ${typed} ${JSON.stringify(asker)}`)
      if (typed === 'broken') throw new Error('the database is locked')
      return [{ text: { type: 'plain_text', text: 'edge-a · zone-1' }, value: 'edge-a' }]
    },
  }
  const clock = createManualClock()
  const port = {
    async updateModal(id: string, { title }: ModalView) {
      await later()
      did.push(`update ${id} ${title.text}`)
    },
  }
  const background: Promise<void>[] = []
  listenToSlack({ app, conversation, pickers, port, clock, repeats: { check: repeat }, log, background: (work) => background.push(work) })
  const send = (kind: string, request: Record<string, unknown>) =>
    handlers.get(kind)?.({
      async ack(answer?: unknown) {
        await later()
        did.push(`ack${answer === undefined ? '' : ` ${JSON.stringify(answer)}`}`)
      },
      respond: async (message: unknown) => void did.push(`respond ${JSON.stringify(message)}`),
      ...request,
    })
  return { did, exchanges, log, patterns, send, clock, background }
}

const COMMAND = { command: { command: '/store', text: 'list', trigger_id: 't1', user_id: 'U1', user_name: 'ann', channel_id: 'C1' } }
const PRESS = { body: { trigger_id: 't2', user: { id: 'U1', name: 'ann' }, channel: { id: 'C1' }, response_url: 'http://x' }, action: { value: 'button-1' } }
const PICK = { body: { ...PRESS.body, trigger_id: 't5' }, action: { action_id: 'pick:b1', selected_option: { value: 'edge-a' } } }
const view = (typed: string | null) => ({
  private_metadata: 'm1',
  hash: 'h1',
  id: 'V9',
  title: { text: 'Title' },
  state: { values: { name: { name: { value: typed } }, zone: {} } },
})
const SUBMIT = { body: { trigger_id: 't4', user: { id: 'U1', name: 'ann' } } }

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

  test('has no modal when Slack does not name the one that it opened', async () => {
    const it = open(undefined, '')
    await it.send('command', COMMAND)
    expect(await it.exchanges[0]?.openModal?.(loadingModal('Wait'))).toBeUndefined()
    expect(it.log.lines).toEqual([])
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
    ['slipway:form', { ...SUBMIT, view: view('edge-a') }, 'request t4'],
    ['pick', PICK, 'request t5'],
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
    for (const values of [{}, { name: {} }]) await it.send('slipway:confirm', { ...SUBMIT, view: { ...view(null), state: { values } } })
    expect(it.did).toEqual([
      'ack {"response_action":"errors","errors":{"name":"m1 is not edge-b"}}',
      'ack {"response_action":"errors","errors":{"name":"m1 is not "}}',
      'ack {"response_action":"errors","errors":{"name":"m1 is not "}}',
      'ack {"response_action":"errors","errors":{"name":"m1 is not "}}',
    ])
  })

  test('of the name is run, without the space around it', async () => {
    const it = open()
    await it.send('slipway:confirm', { ...SUBMIT, view: view(' edge-a ') })
    expect(it.did).toEqual(['ack', 'confirmed m1 edge-a'])
    expect(it.exchanges).toEqual([{ user: 'U1', userName: 'ann', channel: 'U1', respond: undefined, openModal: undefined }])
  })

  const submitForm = { ...SUBMIT, view: view('edge-a') }

  test.each<[FormOutcome, string[]]>([
    [{ kind: 'shown', view: loadingModal('Again') }, ['ack {"response_action":"update","view":{"type":"modal","title":{"type":"plain_text","text":"Again"}']],
    [{ kind: 'errors', errors: { name: 'No.' }, view: loadingModal('Again') }, ['ack {"response_action":"errors","errors":{"name":"No."}}']],
    [{ kind: 'done', view: loadingModal('Done'), answer: () => Promise.resolve() }, ['ack']],
  ])('of a form that ends at once is answered in the acknowledgement: %j', async (outcome, acks) => {
    const it = open(undefined, undefined, Promise.resolve(outcome))
    await it.send('slipway:form', submitForm)
    expect(it.did.map((one, i) => one.slice(0, [Infinity, acks[0]?.length][i]))).toEqual(['form m1 {"name":"edge-a"}', ...acks])
  })

  test('of a form whose command is done at once is answered after its acknowledgement', async () => {
    const did: string[] = []
    const it = open(undefined, undefined, Promise.resolve({ kind: 'done', view: loadingModal('Done'), answer: async () => void did.push('answer') }))
    await it.send('slipway:form', submitForm)
    await Promise.all(it.background)
    expect([it.did.at(-1), did]).toEqual(['ack', ['answer']])
  })

  test('of a form whose command takes longer shows that it runs, then its end', async () => {
    const { promise, resolve } = Promise.withResolvers<FormOutcome>()
    const it = open(undefined, undefined, promise)
    const sent = it.send('slipway:form', submitForm)
    await it.clock.untilSleeping(1)
    expect(it.did).toEqual(['form m1 {"name":"edge-a"}'])
    it.clock.advance(199)
    expect(it.did).toHaveLength(1)
    it.clock.advance(1)
    await sent
    expect(it.did[1]).toStartWith('ack {"response_action":"update","view":{"type":"modal","title":{"type":"plain_text","text":"Title"}')
    const answer = async (): Promise<void> => {
      it.did.push('answer begins')
      await later()
      it.did.push('answer')
    }
    resolve({ kind: 'done', view: loadingModal('Done'), answer })
    // A stop of the service waits for the answer.
    await Promise.all(it.background)
    expect(it.did.slice(2)).toEqual(['update V9 Done', 'answer begins', 'answer'])
  })
})

describe('a picker', () => {
  test('gets its options from what the message or the form is', async () => {
    const it = open()
    const options = 'ack {"options":[{"text":{"type":"plain_text","text":"edge-a · zone-1"},"value":"edge-a"}]}'
    const asked = { type: 'block_suggestion', value: 'edg', user: { id: 'U1', name: 'ann' } }
    await it.send('options', { body: { ...asked, action_id: 'pick:b1', channel: { id: 'C1' } } })
    await it.send('options', { body: { ...asked, action_id: 'zone', view: view('edge-a') } })
    await it.send('options', { body: { ...asked, action_id: 'zone' } })
    expect(it.did).toEqual([
      'options {"button":"b1"} edg {"user":"U1","userName":"ann","channel":"C1"}',
      options,
      'options {"modal":"m1","key":"zone","filled":{"name":"edge-a"}} edg {"user":"U1","userName":"ann","channel":"U1"}',
      options,
      'options {"modal":"","key":"zone","filled":{}} edg {"user":"U1","userName":"ann","channel":"U1"}',
      options,
    ])
  })

  test('has no options when they cannot be found, or when it is of another kind', async () => {
    const it = open()
    await it.send('options', { body: { type: 'block_suggestion', value: 'broken', user: { id: 'U1', name: 'ann' }, action_id: 'pick:b1' } })
    await it.send('options', { body: { type: 'dialog_suggestion' } })
    expect([it.did[1], it.did[2]]).toEqual(['ack {"options":[]}', 'ack {"options":[]}'])
    expect(it.log.lines).toMatchObject([{ level: 'error', message: 'a picker has no options' }])
  })

  test('completes its command with what was chosen', async () => {
    const it = open()
    await it.send('pick', PICK)
    await it.send('pick', { ...PICK, action: { action_id: 'pick:b1', selected_option: null } })
    expect(it.did).toEqual(['ack', 'pick b1 edge-a', 'ack'])
    expect(it.exchanges).toMatchObject([{ user: 'U1', userName: 'ann', channel: 'C1' }])
  })
})
