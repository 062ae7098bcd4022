// The parts of the home tab: the page within Slack's limits for a fleet of any size, looks, reach and buttons.

import { describe, expect, test } from 'bun:test'
import type { Incident } from '../../../../bot/alerts/incidents.ts'
import type { Observation } from '../../../../bot/fleet/judge.ts'
import { openKeptFleet } from '../../../../bot/fleet/kept-fleet.ts'
import { createRegistry } from '../../../../bot/fleet/registry.ts'
import { CLEAR_VAULT } from '../../../../bot/credentials/vault.ts'
import { createButtons } from '../../../../bot/slack/buttons.ts'
import { createLooks } from '../../../../bot/slack/home/looks.ts'
import { homePage, strangerPage } from '../../../../bot/slack/home/page.ts'
import type { HomeFacts } from '../../../../bot/slack/home/page.ts'
import { homeReach } from '../../../../bot/slack/home/reach.ts'
import { createReusedButtons } from '../../../../bot/slack/home/reused-buttons.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { createZones } from '../../../../bot/fleet/zones/zones.ts'
import { viewRefusal } from '../../../support/clients/fake-slack/block-rules.ts'
import { visibleText } from '../../../support/clients/fake-slack/shown.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

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
