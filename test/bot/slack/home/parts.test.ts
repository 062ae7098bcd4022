// The parts of the home tab: the page within Slack's limits for a fleet of any size, the rate of publishing, looks, reach and buttons.

import { describe, expect, test } from 'bun:test'
import type { HomeView } from '@slack/types'
import type { Incident } from '../../../../bot/alerts/incidents.ts'
import type { Observation } from '../../../../bot/fleet/judge.ts'
import { openKeptFleet } from '../../../../bot/fleet/kept-fleet.ts'
import { createRegistry } from '../../../../bot/fleet/registry.ts'
import { CLEAR_VAULT } from '../../../../bot/credentials/vault.ts'
import { createButtons } from '../../../../bot/slack/buttons.ts'
import { createLooks } from '../../../../bot/slack/home/looks.ts'
import { homePage, strangerPage } from '../../../../bot/slack/home/page.ts'
import type { HomeFacts } from '../../../../bot/slack/home/page.ts'
import { createPublisher } from '../../../../bot/slack/home/publisher.ts'
import type { Published } from '../../../../bot/slack/home/publisher.ts'
import { homeReach } from '../../../../bot/slack/home/reach.ts'
import { createReusedButtons } from '../../../../bot/slack/home/reused-buttons.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { createZones } from '../../../../bot/fleet/zones/zones.ts'
import { viewRefusal } from '../../../support/clients/fake-slack/block-rules.ts'
import { visibleText } from '../../../support/clients/fake-slack/shown.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const HOSTILE = '<!channel> *bold* `x` & </a>'

function observation(n: number, state: Observation['state']): Observation {
  const record = {
    ...{ name: `edge-${n}`, url: 'http://edge.example', token: 't', zone: `zone-${n % 9}`, provider: 'local', storeId: null, addedMs: 0 },
    ...{ lastSeenMs: null, stoppedSinceMs: 0, stoppedReason: null, reconnectMs: null, reconnectAsked: 0, maintenance: null },
  } as unknown as Observation['record']
  const long = `${HOSTILE} `.repeat(200)
  return { record, state, sinceMs: 0, lastSeenMs: 0, finding: long, impact: long, action: long, checks: [], store: null, tasks: null, asOfMs: 0 }
}

function incident(id: number): Incident {
  return {
    ...{ id, store: `edge-${id}`, zone: 'zone-1', condition: 'store-stopped', severity: 'critical', sinceMs: 0, openedMs: 0, flaps: 3 },
    ...{ finding: `${HOSTILE} `.repeat(100), impact: '', action: `${HOSTILE} `.repeat(100), ackedBy: null, ackedMs: null, resolvedMs: null },
  }
}

const FACTS: HomeFacts = {
  ...{ actor: { name: 'ann', role: 'admin' }, roleText: 'you are admin', seen: [], incidents: [], quietOf: () => undefined, zones: [], changed: '', usual: [] },
  ...{ asOfMs: 0, nowMs: 60_000 },
}

describe('the page', () => {
  test('shows the zones from the first, and buttons in their style', () => {
    const zones = ['zone-1', 'zone-2'].map((zone) => ({ zone, finding: 'it has no store', impact: 'Nothing works.', action: 'Attach one.', stores: [] }))
    const usual = [
      { label: 'Add a store', command: 'store add', role: 'admin' as const, style: 'primary' as const },
      { label: 'Stores', command: 'store list', role: 'viewer' as const },
    ]
    const { blocks } = homePage({ ...FACTS, zones, usual }, () => 'id')
    const texts = blocks.map((block) => JSON.stringify(block)).filter((text) => text.includes('zone-'))
    expect(texts.map((text) => /zone-\d/.exec(text)?.[0])).toEqual(['zone-1', 'zone-2'])
    const [row] = blocks.flatMap((block) => ('elements' in block ? [block.elements] : []))
    expect(row?.slice(0, 2)).toEqual([
      { type: 'button', text: { type: 'plain_text', text: 'Add a store' }, action_id: expect.any(String), value: 'id', style: 'primary' },
      { type: 'button', text: { type: 'plain_text', text: 'Stores' }, action_id: expect.any(String), value: 'id' },
    ])
  })

  test('of 1,000 stores in trouble with 500 alerts is within the limits of Slack, and says what is not shown', () => {
    const zones = Array.from({ length: 50 }, (_unused, n) => ({ zone: `zone-${n}`, finding: HOSTILE.repeat(99), impact: 'i', action: 'a', stores: [] }))
    const page = homePage(
      {
        ...FACTS,
        zones,
        changed: HOSTILE.repeat(500),
        seen: Array.from({ length: 1000 }, (_unused, n) => observation(n, n % 2 === 0 ? 'stopped' : 'error')),
        incidents: Array.from({ length: 500 }, (_unused, n) => incident(n + 1)),
        usual: Array.from({ length: 12 }, () => ({ label: HOSTILE.repeat(9), command: 'store list', role: 'viewer' as const })),
      },
      () => 'id',
    )
    expect(viewRefusal(page, 'home')).toBeUndefined()
    expect(page.blocks.length).toBeLessThanOrEqual(61)
    const text = visibleText({ blocks: page.blocks as never })
    expect(text).toContain('✖ 1000 of 1000 stores need attention')
    expect(text).toContain('490 more alerts: `/slipway alert list`')
    expect(text).toContain('988 more stores: `/slipway store health`')
    expect(JSON.stringify(page)).not.toContain('<!channel>* ')
    // The worst come first.
    expect([text.includes('edge-23'), text.includes('edge-25')]).toEqual([true, false])
  })

  test('of a fleet without stores says so, and has the commands', () => {
    const page = homePage({ ...FACTS, usual: [{ label: 'Help', command: 'help', role: 'viewer' }] }, () => 'id')
    expect(viewRefusal(page, 'home')).toBeUndefined()
    expect(visibleText({ blocks: page.blocks as never })).toBe(
      ['● No stores', 'No store is registered where your role counts.', 'Help', 'Refresh', 'as of 1970-01-01 00:00:00 UTC (1 min ago) · you are admin'].join(
        '\n',
      ),
    )
  })

  test('of a stranger says the next step for the three reasons', () => {
    const text = (facts: Parameters<typeof strangerPage>[1]): string => visibleText({ blocks: strangerPage('U7', facts).blocks as never })
    expect(text({ hasAdmin: true, isInChannels: false })).toContain('role grant viewer user=U7')
    expect(text({ hasAdmin: false, isInChannels: false })).toContain('role claim CODE')
    expect(text({ hasAdmin: true, isInChannels: true })).toContain('in some channels only')
  })
})

describe('the reach of a person', () => {
  const PERSON = { user: 'U1', groups: new Set(['S1']) }
  const grant = (more: object) => ({ subject: 'user:U1', role: 'viewer' as const, zone: '', store: '', channel: '', ...more })

  test('is all, some, or none of the stores', () => {
    expect(homeReach([], PERSON)).toEqual({ kind: 'none', isInChannels: false })
    expect(homeReach([grant({ subject: 'user:U2' }), grant({ subject: 'group:S2' })], PERSON)).toEqual({ kind: 'none', isInChannels: false })
    expect(homeReach([grant({ channel: 'C1' })], PERSON)).toEqual({ kind: 'none', isInChannels: true })
    expect(homeReach([grant({})], PERSON)).toEqual({ kind: 'all' })
    expect(homeReach([grant({ zone: 'z' }), grant({ subject: 'group:S1' })], PERSON)).toEqual({ kind: 'all' })
    const some = homeReach([grant({ zone: 'z' }), grant({ store: 'Edge-A' })], PERSON)
    if (some.kind !== 'some') throw new Error(some.kind)
    const included = [
      ['z', 'x'],
      ['y', 'edge-a'],
      ['y', 'x'],
    ].map(([zone = '', name = '']) => some.includes({ zone, name }))
    expect(included).toEqual([true, true, false])
  })
})

describe('looks', () => {
  test('within ten minutes are one, and what changed is said since the one before', () => {
    const clock = createManualClock()
    const database = openMemoryDatabase()
    const kept = openKeptFleet(database, createRegistry(database, CLEAR_VAULT), createZones(database))
    const looks = createLooks(kept, clock)
    const startMs = clock.nowMs()
    looks.opened('U1')
    expect(looks.before('U1')).toBeUndefined()
    expect(looks.recent()).toEqual(['U1'])
    clock.advance(599_999)
    expect(looks.recent()).toEqual(['U1'])
    looks.opened('U1')
    expect(looks.before('U1')).toBeUndefined()
    clock.advance(600_001)
    expect(looks.recent()).toEqual([])
    looks.opened('U1')
    expect(looks.before('U1')).toEqual({ askedMs: startMs + 599_999, changeId: 0 })
    kept.changes.add({ store: 'edge-a', timeMs: 1, before: 'running', after: 'stopped' })
    clock.advance(60_000)
    looks.opened('U1')
    expect(looks.before('U1')).toEqual({ askedMs: startMs + 599_999, changeId: 0 })
    // Another process, or a restart, knows when the person last looked.
    const again = createLooks(kept, clock)
    again.opened('U1')
    expect(again.before('U1')).toEqual({ askedMs: startMs + 1_260_000, changeId: 1 })
  })
})

describe('the buttons', () => {
  test('are registered once, and again when they are spent, have less than an hour, or differ', () => {
    const clock = createManualClock()
    const buttons = createButtons(openMemoryDatabase(), clock)
    const reused = createReusedButtons(buttons, clock)
    const read = { command: 'store list', page: 0, role: 'viewer' } as const
    const first = reused.register(read, false)
    expect(reused.register(read, false)).toBe(first)
    expect(reused.register({ ...read, page: 1 }, false)).not.toBe(first)
    expect(reused.register({ ...read, role: 'admin' }, false)).not.toBe(first)
    const write = reused.register({ ...read, command: 'alert ack A1' }, true)
    expect(reused.register({ ...read, command: 'alert ack A1' }, true)).toBe(write)
    buttons.spend(write)
    expect(reused.register({ ...read, command: 'alert ack A1' }, true)).not.toBe(write)
    clock.advance(23 * 3_600_000 - 1)
    expect(reused.register(read, false)).toBe(first)
    clock.advance(1)
    expect(reused.register(read, false)).not.toBe(first)
  })

  test('that are remembered are at most 5,000', () => {
    const clock = createManualClock()
    let registered = 0
    const reused = createReusedButtons({ register: () => `id${++registered}`, find: () => ({ press: {} as never, isSingleUse: false, isSpent: false }) }, clock)
    const register = (n: number) => reused.register({ command: `store show s${n}`, page: 0, role: 'viewer' }, false)
    for (let n = 0; n <= 5000; n++) register(n)
    expect(register(1)).toBe('id2')
    expect(register(0)).toBe('id5002')
  })
})

const EMPTY: HomeView = { type: 'home', blocks: [] }

/** A publisher whose Slack answers like this. */
function openPublisher(answer: (user: string) => Published = () => ({ kind: 'done' })) {
  const clock = createManualClock()
  const log = createMemoryLog()
  const published: string[] = []
  const publisher = createPublisher({
    make: async () => EMPTY,
    publish: async (user) => (published.push(user), answer(user)),
    clock,
    log,
  })
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 2000; turn++) await Promise.resolve()
  }
  return { clock, log, published, publisher, settle }
}

describe('publishing', () => {
  test('is at most 80 in a minute, and each person once however often it was asked for', async () => {
    const it = openPublisher()
    for (let n = 0; n < 100; n++) it.publisher.request(`U${n}`)
    for (let n = 0; n < 100; n++) it.publisher.request(`U${n}`)
    await it.settle()
    // The first was taken before it was asked for again.
    expect(it.published).toHaveLength(80)
    it.clock.advance(59_999)
    await it.settle()
    expect(it.published).toHaveLength(80)
    it.clock.advance(1)
    await it.settle()
    expect(it.published.slice(80)).toEqual([...Array.from({ length: 20 }, (_unused, n) => `U${n + 80}`), 'U0'])
    await it.publisher[Symbol.asyncDispose]()
  })

  test('waits as long as Slack says, and then publishes the same home', async () => {
    let isLimited = true
    const it = openPublisher(() => (isLimited ? { kind: 'limited', afterMs: 5_000 } : { kind: 'done' }))
    it.publisher.request('U1')
    await it.settle()
    it.clock.advance(4_999)
    await it.settle()
    expect(it.published).toEqual(['U1'])
    isLimited = false
    it.clock.advance(1)
    await it.settle()
    expect(it.published).toEqual(['U1', 'U1'])
    expect(it.log.lines).toEqual([])
  })

  test('that Slack refuses, or that fails, is logged and does not stop the others', async () => {
    const it = openPublisher((user) => {
      if (user === 'U2') throw new Error('broken')
      return user === 'U1' ? { kind: 'refused', reason: 'not_enabled' } : { kind: 'done' }
    })
    for (const user of ['U1', 'U2', 'U3']) it.publisher.request(user)
    await it.settle()
    expect(it.published).toEqual(['U1', 'U2', 'U3'])
    expect(it.log.lines).toMatchObject([
      { level: 'warn', fields: { user: 'U1', reason: 'not_enabled' } },
      { level: 'error', fields: { user: 'U2' } },
    ])
  })

  test('serves at most 1,000 who wait, and nobody after it was stopped', async () => {
    const it = openPublisher(() => ({ kind: 'limited', afterMs: 60_000 }))
    it.publisher.request('U0')
    await it.settle()
    for (let n = 1; n <= 2000; n++) it.publisher.request(`U${n}`)
    await it.publisher[Symbol.asyncDispose]()
    it.publisher.request('U1')
    await it.settle()
    expect(it.published).toEqual(['U0'])
  })
})
