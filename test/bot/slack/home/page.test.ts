// What the home tab says in words: its heading, each store, zone and alert, what is left out, and whose buttons are shown.

import { describe, expect, test } from 'bun:test'
import type { Incident } from '../../../../bot/alerts/incidents.ts'
import type { Observation } from '../../../../bot/fleet/judge.ts'
import { homePage } from '../../../../bot/slack/home/page.ts'
import type { HomeFacts } from '../../../../bot/slack/home/page.ts'
import type { Press } from '../../../../bot/views/blocks.ts'
import type { Role } from '../../../../protocol/access.ts'
import { visibleText } from '../../../support/clients/fake-slack/shown.ts'

function storeOf(name: string, members: Partial<Observation> = {}, zone = 'zone-1'): Observation {
  const record = {
    ...{ name, url: 'http://edge.example', token: 't', zone, provider: 'local', storeId: null, addedMs: 0 },
    ...{ lastSeenMs: null, stoppedSinceMs: 0, stoppedReason: null, reconnectMs: null, reconnectAsked: 0, maintenance: null },
  } as unknown as Observation['record']
  const words = { finding: '', impact: '', action: '' }
  return { record, state: 'running', sinceMs: null, lastSeenMs: 0, ...words, checks: [], store: null, tasks: null, asOfMs: 0, ...members }
}

function alertOf(id: number, members: Partial<Incident> = {}): Incident {
  return {
    ...{ id, store: 'edge-a', zone: 'zone-1', condition: 'store-stopped', severity: 'critical', sinceMs: 0, openedMs: 0, flaps: 0 },
    ...{ finding: '', impact: '', action: '', ackedBy: null, ackedMs: null, resolvedMs: null },
    ...members,
  }
}

/** The lines of a home, and what its buttons run. */
function lines(facts: Partial<HomeFacts>): { text: string[]; presses: Press[] } {
  const presses: Press[] = []
  const { blocks } = homePage(
    {
      ...{ actor: { name: 'ann', role: 'admin' }, roleText: 'you are admin', seen: [], incidents: [], quietOf: () => undefined, zones: [], changed: '' },
      ...{ usual: [], asOfMs: 0, nowMs: 60_000, ...facts },
    },
    (press) => `id${presses.push(press)}`,
  )
  const ids = [...JSON.stringify(blocks).matchAll(/"action_id":"([^"]*)"/g)].map(([, id]) => id)
  expect(new Set(ids).size).toBe(ids.length)
  return { text: visibleText({ blocks: blocks as never }).split('\n'), presses }
}

const GOOD = storeOf('edge-a')
const BAD = storeOf('edge-b', { state: 'stopped', sinceMs: 0, finding: 'It does not answer.', impact: 'Uploads fail.', action: 'Start it.' })

describe('the heading', () => {
  test.each<[string, Partial<HomeFacts>]>([
    ['● No stores', {}],
    ['● All stores are well', { seen: [GOOD] }],
    ['▲ All stores are well', { seen: [GOOD], incidents: [alertOf(1)] }],
    ['▲ All stores are well', { seen: [GOOD], zones: [{ zone: 'zone-9', finding: 'it has no store', impact: 'i', action: 'a', stores: [] }] }],
    ['✖ 1 of 1 store needs attention', { seen: [BAD] }],
    ['✖ 1 of 2 stores needs attention', { seen: [GOOD, BAD] }],
    ['✖ 2 of 3 stores need attention', { seen: [GOOD, BAD, { ...BAD, record: { ...BAD.record, name: 'edge-c' } }] }],
  ])('%s', (heading, facts) => {
    expect(lines(facts).text[0]).toBe(heading)
  })
})

describe('a store in trouble', () => {
  test('has its zone, since when, what is wrong, what it means and what to do', () => {
    const { text, presses } = lines({ seen: [GOOD, BAD] })
    expect(text.slice(1, 2)).toEqual(['2 stores: 1 Stopped, 1 Running.'])
    const at = text.indexOf('Stores, the worst first')
    expect(text.slice(at, at + 5)).toEqual([
      'Stores, the worst first',
      '✖ *edge-b* · zone-1 · Stopped · since 1970-01-01 00:00:00 UTC',
      '*Finding:* It does not answer.',
      '*Impact:* Uploads fail.',
      '*Next:* Start it.',
    ])
    expect(presses.map(({ command, page }) => [command, page])).toEqual(expect.arrayContaining([['store health edge-b', 0]]))
  })

  test('without a zone or a time says so, and has no empty lines', () => {
    const { text } = lines({ seen: [storeOf('edge-z', { state: 'error' }, '')] })
    const at = text.indexOf('Stores, the worst first')
    expect(text[at + 1]).toBe('✖ *edge-z* · no zone · Error')
    expect(text.join('\n')).not.toContain('Finding')
  })

  test('has at most 600 characters of each sentence', () => {
    const { text } = lines({ seen: [{ ...BAD, finding: 'f'.repeat(600), impact: 'i'.repeat(601) }] })
    expect(text).toContain(`*Finding:* ${'f'.repeat(600)}`)
    expect(text).toContain(`*Impact:* ${'i'.repeat(599)}…`)
  })

  test('is one of at most twelve, and others are counted', () => {
    const many = (count: number) => Array.from({ length: count }, (_unused, n) => storeOf(`edge-${n}`, { state: 'stopped' }))
    expect(lines({ seen: many(12) }).text.filter((line) => /edge-\d+\* · /.test(line))).toHaveLength(12)
    expect(lines({ seen: many(12) }).text.join('\n')).not.toContain(' more store')
    const thirteen = lines({ seen: many(13) }).text
    expect(thirteen.filter((line) => /edge-\d+\* · /.test(line))).toHaveLength(12)
    expect(thirteen).toContain('1 more store: `/slipway store health`')
  })
})

describe('alerts and zones', () => {
  test('are counted, and at most ten alerts and five zones are shown', () => {
    const zones = Array.from({ length: 6 }, (_unused, n) => ({ zone: `far-${n}`, finding: 'it has no store', impact: 'i', action: 'a', stores: [] }))
    const alerts = (count: number) => Array.from({ length: count }, (_unused, n) => alertOf(n + 1))
    const { text } = lines({ seen: [GOOD], zones, incidents: alerts(11) })
    expect(text.filter((line) => line.includes('Zone far-'))).toHaveLength(5)
    expect(text).toContain('11 alerts in force')
    expect(text.filter((line) => line.includes('· since 1970'))).toHaveLength(10)
    expect(text).toContain('1 more alert: `/slipway alert list`')
    expect(lines({ seen: [GOOD], incidents: alerts(10) }).text.join('\n')).not.toContain('more alert')
    expect(lines({ seen: [GOOD], incidents: alerts(1) }).text).toContain('1 alert in force')
    expect(lines({ seen: [GOOD] }).text.join('\n')).not.toContain('in force')
  })

  test('say what is wrong: a zone without a store is a warning, one whose stores fail is bad', () => {
    const zone = { finding: 'it has no store', impact: 'Nothing works.', action: 'Attach one.' }
    const { text } = lines({
      seen: [GOOD],
      zones: [
        { ...zone, zone: 'far', stores: [] },
        { ...zone, zone: 'near', stores: ['edge-a'] },
      ],
    })
    expect(text.filter((line) => line.includes('Zone '))).toEqual([
      '▲ *Zone far*: it has no store. Nothing works. Attach one.',
      '✖ *Zone near*: it has no store. Nothing works. Attach one.',
    ])
  })

  test('have the state of each alert, and whether somebody is told of it', () => {
    const said = (members: Partial<Incident>, quiet?: string) =>
      lines({ seen: [GOOD], incidents: [alertOf(7, members)], quietOf: () => quiet }).text.find((line) => line.includes('A7'))
    expect(said({ zone: '' })).toContain(' · no zone · critical · since 1970-01-01 00:00:00 UTC · ')
    expect(said({}, 'silenced until noon')).toContain('silenced until noon')
    expect(said({})).not.toContain('silenced')
  })
})

describe('the buttons', () => {
  const usual: HomeFacts['usual'] = [
    { label: 'Stores', command: 'store list', role: 'viewer' },
    { label: 'Audit', command: 'audit list', role: 'admin' },
  ]

  test('are those that the role of the person includes, in the whole fleet or in one store', () => {
    const commands = (facts: Partial<HomeFacts>) => lines(facts).presses.map(({ command }) => command)
    expect(commands({ usual })).toEqual(['store list', 'audit list'])
    expect(commands({ usual, actor: { name: 'ann', role: 'operator' } })).toEqual(['store list'])
    const there = {
      name: 'ann',
      role: 'viewer' as const,
      roleIn: ({ name }: { readonly name: string }): Role => (name === 'edge-b' ? 'operator' : 'viewer'),
    }
    const other = { ...BAD, record: { ...BAD.record, name: 'edge-c' } }
    const pressed = commands({ actor: there, seen: [BAD, other] })
    expect([pressed.includes('store reconnect edge-b'), pressed.includes('store reconnect edge-c')]).toEqual([true, false])
    // The case of the name of a store does not matter.
    const acked = commands({ actor: there, seen: [BAD], incidents: [alertOf(3, { store: 'EDGE-B' })] })
    expect(acked).toContain('alert ack A3')
    expect(commands({ actor: there, seen: [other], incidents: [alertOf(3, { store: 'edge-c' })] })).not.toContain('alert ack A3')
  })

  test('of a home have Refresh last, and those of a store have none', () => {
    const { text } = lines({ seen: [BAD], usual })
    expect(text.filter((line) => line === 'Refresh' || line.endsWith('Refresh'))).toHaveLength(1)
  })
})

test('what changed is said only if something did, and the foot says how old everything is', () => {
  expect(lines({ changed: 'edge-a stopped.' }).text).toContain('*Changed:* edge-a stopped.')
  const { text } = lines({})
  expect(text.join('\n')).not.toContain('Changed')
  expect(text.at(-1)).toBe('as of 1970-01-01 00:00:00 UTC (1 min ago) · you are admin')
})
