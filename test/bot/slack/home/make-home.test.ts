// What the home tab of a person shows of a fleet: the stores, zones, alerts and commands within reach of the person's roles, and nothing of the others.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { createAuthority } from '../../../../bot/slack/authorise.ts'
import { createButtons } from '../../../../bot/slack/buttons.ts'
import { createLooks } from '../../../../bot/slack/home/looks.ts'
import { createMakeHome } from '../../../../bot/slack/home/make-home.ts'
import { createOpenModals } from '../../../../bot/slack/open-modals.ts'
import type { Role } from '../../../../protocol/access.ts'
import { visibleText } from '../../../support/clients/fake-slack/shown.ts'
import { openScriptedFleet } from '../../commands/scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ANY = { zone: '', store: '', channel: '' }
const DEGRADED = {
  state: 'degraded',
  asOf: '2026-01-01T00:00:00.000Z',
  checks: [
    { name: 'free-space', state: 'degraded', finding: 'Nearly full.', impact: 'Uploads may fail.', action: 'Delete images.', asOf: '2026-01-01T00:00:00.000Z' },
  ],
}

/** A fleet of three zones: edge-a and edge-b in zone-1, far-a in zone-2, and zone-3 without a store. Members of the group SOPS are given. */
function open(members: readonly string[] = []) {
  const fleet = openScriptedFleet({ 'edge-a': {}, 'edge-b': {}, 'far-a': { 'GET /health': DEGRADED } })
  const { bot, clock } = fleet
  const { database, roles, fleet: all } = bot
  const far = all.registry.find('far-a')
  if (!far) throw new Error('there is no far-a')
  all.registry.remove('far-a')
  all.registry.add({ ...far, zone: 'zone-2' }, 0)
  bot.context({ name: 'root', role: 'admin' }, 'console').zones.add({ name: 'zone-3', description: '' }, 0)
  const groups = { refresh: async () => {}, groupsOf: (user: string) => new Set(members.includes(user) ? ['SOPS'] : []) }
  const authority = createAuthority({ bot, roles, groups, buttons: createButtons(database, clock), modals: createOpenModals(database, clock) })
  const looks = createLooks(all.kept, clock)
  const make = createMakeHome({ bot, roles, authority, groups, looks, register: () => 'id' })
  const home = async (user: string) => {
    const { blocks } = await make(user)
    const labels = [...JSON.stringify(blocks).matchAll(/"type":"button","text":\{"type":"plain_text","text":"([^"]*)"/g)].map(([, label = '']) => label)
    return { text: visibleText({ blocks: blocks as never }), labels }
  }
  const grant = (subject: string, role: Role, place: Partial<typeof ANY> = {}): void => void roles.grant({ ...ANY, subject, role, ...place }, 'test', 0)
  return { ...fleet, grant, home, looks, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

const READS = ['Health', 'Stores', 'Images', 'Alerts', 'Tasks', 'Events']

test.each<[Role, string[]]>([
  ['viewer', [...READS, 'Policies', 'Roles', 'Help', 'Refresh']],
  ['uploader', [...READS, 'Policies', 'Roles', 'Help', 'Refresh']],
  ['operator', [...READS, 'Approvals', 'Policies', 'Roles', 'Audit', 'Help', 'Refresh']],
  ['admin', [...READS, 'Approvals', 'Policies', 'Add a store', 'Roles', 'Audit', 'Help', 'Refresh']],
])('a person with the role %s for the whole fleet has these buttons', async (role, labels) => {
  using it = open()
  it.grant('user:UANN', role)
  const { text, labels: shown } = await it.home('UANN')
  expect(shown.slice(0, labels.length)).toEqual(labels)
  expect(text).toContain(`you are ${role}`)
  expect(text).toContain('1 of 3 stores needs attention')
  // A zone without a store is of interest to people who see all zones.
  expect(text).toContain('Zone zone-3')
})

test('a person with roles in some places sees these, and reads which they are', async () => {
  using it = open(['UANN'])
  it.grant('user:UANN', 'operator', { zone: 'zone-2' })
  it.grant('group:SOPS', 'viewer', { store: 'EDGE-A' })
  it.grant('user:UANN', 'admin', { zone: 'zone-1', channel: 'C1' })
  it.grant('user:UBOB', 'viewer', { store: 'edge-b' })
  it.grant('group:SOTHER', 'viewer', { store: 'edge-b' })
  const { text } = await it.home('UANN')
  expect(text).toContain('1 of 2 stores needs attention')
  expect(text).toContain('far-a')
  expect([text.includes('edge-b'), text.includes('zone-3')]).toEqual([false, false])
  expect(text).toMatch(/your roles: (?:operator zone zone-2; viewer store (?:EDGE-A|edge-a)|viewer store (?:EDGE-A|edge-a); operator zone zone-2)$/m)
  expect((await it.home('UBOB')).text).toContain('your roles: viewer store edge-b')
})

test('at most five roles are named', async () => {
  using it = open()
  for (const store of ['edge-a', 'edge-b', 'far-a']) it.grant('user:UANN', 'viewer', { store })
  for (const zone of ['zone-1', 'zone-2', 'zone-3']) it.grant('user:UANN', 'viewer', { zone })
  expect(/your roles: (.*)$/m.exec((await it.home('UANN')).text)?.[1]?.split('; ')).toHaveLength(5)
})

test('a person without a role for the fleet reads how to get one, and a role in a channel does not count', async () => {
  using it = open()
  expect((await it.home('UANN')).text).toContain('role claim')
  it.grant('user:UROOT', 'admin')
  expect((await it.home('UANN')).text).toContain('role grant viewer user=UANN')
  it.grant('user:UANN', 'admin', { channel: 'C1' })
  const { text, labels } = await it.home('UANN')
  expect(text).toContain('in some channels only')
  expect([text.includes('edge-'), labels]).toEqual([false, []])
})

test('alerts are shown with the worst first, then the oldest, to people who see the store or the whole zone', async () => {
  using it = open()
  const { incidents } = it.bot.alerts
  const opened = (store: string, zone: string, condition: string, severity: 'info' | 'warning' | 'critical', sinceMs: number): void => {
    const facts = { severity, finding: `${condition} of ${store || zone}.`, impact: 'i', action: 'a' }
    incidents.open({ store, zone, condition }, facts, { sinceMs, nowMs: it.clock.nowMs() }, false)
  }
  opened('edge-a', 'zone-1', 'free-space', 'warning', 1_000)
  opened('edge-b', 'zone-1', 'free-space', 'critical', 3_000)
  opened('Edge-A', 'zone-1', 'store-error', 'critical', 2_000)
  opened('', 'zone-1', 'zone-down', 'warning', 500)
  opened('far-a', 'zone-2', 'free-space', 'warning', 1_000)
  const findings = async (user: string): Promise<string[]> =>
    [...(await it.home(user)).text.matchAll(/Finding:\S* (\S+ of \S+)\./g)].map(([, found = '']) => found)
  it.grant('user:UALL', 'viewer')
  expect(await findings('UALL')).toEqual([
    'store-error of Edge-A',
    'free-space of edge-b',
    'zone-down of zone-1',
    'free-space of edge-a',
    'free-space of far-a',
  ])
  it.grant('user:UZONE', 'viewer', { zone: 'zone-1' })
  expect(await findings('UZONE')).toEqual(['store-error of Edge-A', 'free-space of edge-b', 'zone-down of zone-1', 'free-space of edge-a'])
  // A zone of which the person sees one store of two is not theirs.
  it.grant('user:USTORE', 'viewer', { store: 'edge-a' })
  expect(await findings('USTORE')).toEqual(['store-error of Edge-A', 'free-space of edge-a'])
})

test('what has changed since the last look is said with its age', async () => {
  using it = open()
  it.grant('user:UANN', 'viewer')
  it.looks.opened('UANN')
  expect((await it.home('UANN')).text).not.toContain('Changed')
  it.clock.advance(3_600_000)
  it.looks.opened('UANN')
  expect((await it.home('UANN')).text).toContain('since you last looked, 1 h ago')
})
