// The home tab in operation: which events and presses are taken, what is published then, and what becomes of answers of Slack. Slack is a server of the test.

import type { App } from '@slack/bolt'
import { describe, expect, test } from 'bun:test'
import { openBot } from '../../../../bot/open.ts'
import type { Authority } from '../../../../bot/slack/authorise.ts'
import type { Conversation } from '../../../../bot/slack/conversation.ts'
import type { Exchange } from '../../../../bot/slack/exchange.ts'
import { boltLogger } from '../../../../bot/slack/receive/bolt-log.ts'
import type { Repeat } from '../../../../bot/slack/receive/repeats.ts'
import { runHome } from '../../../../bot/slack/home/run-home.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { until } from '../../../support/until.ts'

type Handle = (request: Record<string, unknown>) => Promise<void>

interface Setting {
  readonly repeat?: (key: string) => Repeat
  /** What Slack answers to views.publish. */
  readonly answer?: () => Response
  readonly onPress?: (id: string, exchange: Exchange) => Promise<void>
}

/** A home whose Slack answers like this; `did` has what was sent to Slack, in order. */
function open({ repeat = () => 'new', answer = () => Response.json({ ok: true }), onPress = async () => {} }: Setting = {}) {
  const did: string[] = []
  const log = createMemoryLog()
  const clock = createManualClock()
  const bot = openBot('', { clock, database: openMemoryDatabase(), fetch: () => Promise.reject(new Error('there is no network')) })
  bot.fleet.registry.add({ name: 'edge-a', url: 'http://127.0.0.1:1', token: 'x', zone: 'zone-1', provider: 'local', storeId: null }, clock.nowMs())
  const slack = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    async fetch(request) {
      const body = new URLSearchParams(await request.text())
      did.push(`${new URL(request.url).pathname.slice(1)} ${body.get('user_id')}`)
      return answer()
    },
  })
  const handlers = new Map<string, Handle>()
  const app = {
    event: (name: string, handle: Handle) => handlers.set(name, handle),
    action({ action_id: pattern }: { readonly action_id: RegExp }, handle: Handle) {
      for (const id of ['slipway-home:0', 'slipway:0', 'x slipway-home:0']) if (pattern.test(id)) handlers.set(id, handle)
    },
  } as unknown as App
  const authority: Authority = {
    refresh: async () => {},
    actorOf: ({ user }) => ({ id: user, name: user, role: 'admin' }),
    press: () => ({ kind: 'expired' }),
    submit: () => ({ kind: 'expired' }),
  }
  const working: Promise<void>[] = []
  const home = runHome({
    ...{ app, bot, log, authority, botToken: 'xoxb-fake' },
    buttons: { register: () => 'id', find: () => undefined },
    groups: { refresh: async () => {}, groupsOf: () => new Set<string>() },
    conversation: { onPress } as unknown as Conversation,
    port: {
      updateModal: async (id, { title }) => void did.push(`update ${id} ${title.text}`),
      whisper: async (channel, user, { text }) => void did.push(`whisper ${channel} ${user} ${text}`),
      share: async () => {},
    },
    repeats: { check: repeat },
    clientOptions: { slackApiUrl: slack.url.href, logger: boltLogger(createMemoryLog()) },
    background: (work) => void working.push(work.catch((error: unknown) => void did.push(`failed ${String(error)}`))),
  })
  const send = (kind: string, request: Record<string, unknown>) =>
    handlers.get(kind)?.({
      async ack() {
        // Slack waits for it: nothing else begins before it was sent.
        await Promise.resolve()
        did.push('ack')
      },
      client: {
        views: {
          async open({ trigger_id: trigger, view }: { readonly trigger_id: string; readonly view: { readonly title: { readonly text: string } } }) {
            did.push(`open ${trigger} ${view.title.text}`)
            if (trigger === 'late') throw new Error('expired_trigger_id')
            return { view: { id: 'V1' } }
          },
        },
      },
      ...request,
    })
  const visit = (user: string, members: object = {}) => send('app_home_opened', { event: { tab: 'home', user, ...members }, body: { event_id: `E-${user}` } })
  return {
    ...{ did, log, clock, bot, handlers, home, send, visit },
    settled: () => Promise.all(working),
    published: (count: number) => until(`${count} homes`, () => did.filter((one) => one.startsWith('views.publish')).length >= count),
    async [Symbol.asyncDispose]() {
      await home[Symbol.asyncDispose]()
      await slack.stop(true)
      bot[Symbol.dispose]()
    },
  }
}

const press = (members: object = {}, action: object = { value: 'button-1' }) => ({
  body: { user: { id: 'U1', name: 'ann' }, trigger_id: 't1', view: { type: 'home', id: 'V0' }, ...members },
  action,
})

describe('the home', () => {
  test('is published for who opens its tab, not another tab, and not for an event that Slack repeats', async () => {
    const keys: string[] = []
    await using it = open({ repeat: (key) => (keys.push(key), key === 'event E-U3' ? 'repeated' : 'new') })
    await it.visit('U2', { tab: 'messages' })
    await it.visit('U3')
    await it.visit('U1')
    await it.published(1)
    expect([it.did, keys]).toEqual([['views.publish U1'], ['event E-U3', 'event E-U1']])
  })

  test('is not published for an event when too many requests came', async () => {
    await using it = open({ repeat: (key) => (key === 'event E-U1' ? 'full' : 'new') })
    await it.visit('U1')
    await it.visit('U2')
    await it.published(1)
    expect(it.did).toEqual(['views.publish U2'])
  })

  test('listens to its own buttons only', async () => {
    await using it = open()
    expect([...it.handlers.keys()]).toEqual(['app_home_opened', 'slipway-home:0'])
  })

  test('that Slack refuses is logged with the reason of Slack, and one that does not arrive with that of the network', async () => {
    await using it = open({ answer: () => Response.json({ ok: false, error: 'not_enabled' }) })
    await it.visit('U1')
    await until('a warning', () => it.log.lines.length > 0)
    expect(it.log.lines).toMatchObject([{ level: 'warn', message: 'a home tab could not be published', fields: { user: 'U1', reason: 'not_enabled' } }])
    await using broken = open({ answer: () => new Response('broken', { status: 500 }) })
    await broken.visit('U1')
    await until('a warning', () => broken.log.lines.length > 0)
    expect(broken.log.lines).toMatchObject([{ level: 'warn', fields: { user: 'U1', reason: expect.stringContaining('500') } }])
    expect(broken.did).toEqual(['views.publish U1'])
  })

  test('is published again after the seconds for which Slack asks', async () => {
    let count = 0
    await using it = open({
      answer: () => (count++ === 0 ? new Response('', { status: 429, headers: { 'retry-after': '30' } }) : Response.json({ ok: true })),
    })
    await it.visit('U1')
    await it.clock.untilSleeping(1)
    it.clock.advance(29_999)
    await Bun.sleep(0)
    expect(it.did).toEqual(['views.publish U1'])
    it.clock.advance(1)
    await it.published(2)
    expect(it.log.lines).toEqual([])
  })
})

describe('a press in the home', () => {
  test('is acknowledged, opens a window, runs for the person, and publishes the home after that', async () => {
    const keys: string[] = []
    const exchanges: Exchange[] = []
    await using it = open({
      repeat: (key) => (keys.push(key), 'new'),
      async onPress(id, exchange) {
        exchanges.push(exchange)
        it.did.push(`press ${id}`)
        await exchange.respond?.({ text: 'Stores', blocks: [], isShared: false, replaces: false })
      },
    })
    await it.send('slipway-home:0', press())
    await it.settled()
    await it.published(1)
    expect(it.did).toEqual(['ack', 'open t1 Slipway', 'press button-1', 'update V1 Slipway', 'views.publish U1'])
    expect(exchanges).toMatchObject([{ user: 'U1', userName: 'ann', channel: 'U1', isCardless: true }])
    expect(keys).toEqual(['request t1'])
  })

  test('of a person without a name is by the user name, or the id', async () => {
    const names: string[] = []
    await using it = open({ onPress: async (_id, { userName }) => void names.push(userName) })
    await it.send('slipway-home:0', press({ user: { id: 'U1', username: 'u-ann' } }))
    await it.send('slipway-home:0', press({ user: { id: 'U1' } }))
    await it.settled()
    expect(names).toEqual(['u-ann', 'U1'])
  })

  test('in a window goes on in this window, and one with an answer elsewhere says where it is', async () => {
    await using it = open()
    await it.send('slipway-home:0', press({ view: { type: 'modal', id: 'V7' } }))
    await it.settled()
    await it.published(1)
    expect(it.did).toEqual(['ack', 'update V7 Slipway', 'views.publish U1'])
  })

  test('whose trigger has expired is answered in private', async () => {
    await using it = open({ onPress: async (_id, { respond }) => void (await respond?.({ text: 'Stores', blocks: [], isShared: false, replaces: false })) })
    await it.send('slipway-home:0', press({ trigger_id: 'late' }))
    await it.settled()
    await it.published(1)
    expect(it.did).toEqual(['ack', 'open late Slipway', 'whisper U1 U1 Stores', 'views.publish U1'])
    expect(it.log.lines).toMatchObject([{ level: 'warn', message: 'a window could not be opened' }])
  })

  test('that fails publishes the home all the same', async () => {
    await using it = open({ onPress: () => Promise.reject(new Error('broken')) })
    await it.send('slipway-home:0', press())
    await it.settled()
    await it.published(1)
    expect(it.did).toEqual(['ack', 'open t1 Slipway', 'failed Error: broken', 'views.publish U1'])
  })

  test('of Refresh publishes the home and opens no window', async () => {
    await using it = open()
    await it.send('slipway-home:0', press({}, { value: 'refresh' }))
    await it.published(1)
    await it.settled()
    expect(it.did).toEqual(['ack', 'views.publish U1'])
  })

  test('without a value, or that Slack repeats, does nothing', async () => {
    await using it = open({ repeat: () => 'repeated' })
    await it.send('slipway-home:0', press())
    await using empty = open()
    await empty.send('slipway-home:0', press({}, {}))
    await it.settled()
    await empty.settled()
    expect([it.did, empty.did]).toEqual([['ack'], ['ack']])
  })
})

describe('a change in the fleet', () => {
  const change = (it: ReturnType<typeof open>) => it.bot.fleet.kept.changes.add({ store: 'edge-a', timeMs: 1, before: 'running', after: 'stopped' })

  test('publishes the home of who looks at it, within 15 seconds, once', async () => {
    await using it = open()
    await it.visit('U1')
    await it.published(1)
    it.clock.advance(15_000)
    change(it)
    it.clock.advance(14_999)
    await Bun.sleep(0)
    expect(it.did).toHaveLength(1)
    it.clock.advance(1)
    await it.published(2)
    it.clock.advance(60_000)
    await it.visit('U2')
    await it.published(3)
    expect(it.did).toEqual(['views.publish U1', 'views.publish U1', 'views.publish U2'])
  })

  test('publishes nothing for who opened the home more than ten minutes ago', async () => {
    await using it = open()
    await it.visit('U1')
    await it.published(1)
    it.clock.advance(15_000)
    it.clock.advance(600_000)
    change(it)
    it.clock.advance(15_000)
    await it.visit('U2')
    await it.published(2)
    expect(it.did).toEqual(['views.publish U1', 'views.publish U2'])
  })

  test('that cannot be read is logged, and none is looked for after a stop', async () => {
    await using it = open()
    await it.visit('U1')
    await it.published(1)
    it.bot.database.run('DROP TABLE alert_incidents')
    it.clock.advance(15_000)
    expect(it.log.lines).toMatchObject([{ level: 'error', message: 'changes for home tabs could not be read' }])
    await it.home[Symbol.asyncDispose]()
    it.clock.advance(15_000)
    expect(it.log.lines).toHaveLength(1)
  })
})
