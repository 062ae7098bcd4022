// Names and parts of ids that name a store, a zone or another thing, and what an answer of an agent becomes.

import { describe, expect, test } from 'bun:test'
import type { CommandContext } from '../../../bot/commands/command.ts'
import { answerOf, gapNotes, gapsJson, isPartOf, oldestAsOf, oneStore, oneZone, orUndefined, someStores, storesIn } from '../../../bot/commands/select.ts'
import type { Contact } from '../../../bot/fleet/fleet.ts'
import { openBot } from '../../../bot/open.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import { makeProblem, problem, ProblemError } from '../../../protocol/problems.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

describe('a part of img_01jd0abcdefgh', () => {
  test.each([
    ['img_01jd0abcdefgh', true],
    ['img_01jd', true],
    ['01jd', true],
    ['efgh', true],
    ['img_efgh', true],
    ['img_01j', false],
    ['fgh', false],
    ['abcd', false],
    ['mg_01jd', false],
    ['g_01jd0', false],
    ['_01jd', false],
    ['upl_01jd', false],
    ['', false],
  ])('%j: %p', (text, isPart) => {
    expect(isPartOf(text, 'img_01jd0abcdefgh')).toBe(isPart)
  })
})

test('what is not found is undefined; every other refusal is thrown', async () => {
  expect(await orUndefined(Promise.resolve(1))).toBe(1)
  expect(await orUndefined(Promise.reject(problem('not-found', 'x')))).toBeUndefined()
  await expect(orUndefined(Promise.reject(problem('forbidden', 'no')))).rejects.toThrow('no')
  await expect(orUndefined(Promise.reject(new Error('broken')))).rejects.toThrow('broken')
})

test('a refusal of an agent is thrown as it came', () => {
  const document = makeProblem('image-protected', 'disk is protected')
  const error = new ProblemError(document)
  const contact = { kind: 'refused', error, problem: document } as Contact<never>
  expect(() => answerOf(contact)).toThrow(error)
})

type Placed = readonly [name: string, zone?: string, storeId?: string]

/** The context of a bot with these stores, whose agents are never asked. */
function open(...stores: readonly Placed[]): CommandContext & Disposable {
  const clock = createManualClock()
  const bot = openBot('', { clock, database: openMemoryDatabase(), fetch: () => Promise.reject(new Error('there is no network')) })
  for (const [name, zone = 'zone-1', storeId = null] of stores)
    bot.fleet.registry.add({ name, url: `http://${name}.example`, token: 'x', zone, provider: 'local', storeId }, clock.nowMs())
  return { ...bot.context({ name: 'ann', role: 'admin' }, 'console'), [Symbol.dispose]: () => bot[Symbol.dispose]() }
}

/** What was chosen, or the sentence of the refusal with its next step. */
function chosen(choose: () => { readonly name: string } | readonly { readonly name: string }[]): unknown {
  try {
    const found = choose()
    return 'name' in found ? found.name : found.map(({ name }) => name)
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    return `${error.code}: ${error.problem.detail} ${error.problem.action}`
  }
}

describe('the store of a command', () => {
  test('that names none is the only one', () => {
    using none = open()
    using one = open(['edge-a'])
    using two = open(['edge-a'], ['edge-b'])
    expect([none, one, two].map((context) => chosen(() => oneStore(context, undefined)))).toEqual([
      'not-found: No store is registered. Add one: store add name=… url=http://HOST:8420 token=… zone=…',
      'edge-a',
      'invalid-input: There are 2 stores: edge-a, edge-b. Add store=NAME to say which one.',
    ])
    expect(chosen(() => oneStore(two, undefined, 'Write the name.'))).toBe('invalid-input: There are 2 stores: edge-a, edge-b. Write the name.')
  })

  test('is named by at least four characters of its id, if no other id begins with them', () => {
    const ids = ['aaaabbbb-2222-4333-8444-555555555555', 'aaaacccc-2222-4333-8444-555555555555', 'dddd1111-2222-4333-8444-555555555555']
    using context = open(...ids.map((id, i): Placed => [`edge-${i}`, 'zone-1', id]), ['edge-x'])
    expect(['aaaab', 'aaaac', 'dddd', 'EDGE-X'].map((name) => chosen(() => oneStore(context, name)))).toEqual(['edge-0', 'edge-1', 'edge-2', 'edge-x'])
    for (const name of ['aaaa', 'ddd', '2222-4333']) expect(chosen(() => oneStore(context, name))).toStartWith(`not-found: No store is called "${name}".`)
  })

  test('that is not known is answered with the nearest name, or with at most 20 names', () => {
    using none = open()
    expect(chosen(() => oneStore(none, 'edge'))).toBe('not-found: No store is called "edge". Add it: store add name=… url=… token=… zone=…')
    const named = (count: number): Placed[] => Array.from({ length: count }, (_unused, i): Placed => [`store-${String(i).padStart(2, '0')}`])
    using many = open(...named(21))
    expect(chosen(() => oneStore(many, 'store-0'))).toBe('not-found: No store is called "store-0". Did you mean store-00?')
    const first = named(20)
      .map(([name]) => name)
      .join(', ')
    expect(chosen(() => oneStore(many, 'x'))).toBe(`not-found: No store is called "x". Registered: ${first} and 1 more.`)
    using twenty = open(...named(20))
    expect(chosen(() => oneStore(twenty, 'x'))).toBe(`not-found: No store is called "x". Registered: ${first}.`)
  })

  test('for a zone is one that serves it: in the zone, or of a wider scope', () => {
    using context = open(['edge-a'], ['edge-b', 'zone-2'], ['edge-c', ''])
    expect(['zone-1', 'zone-2'].map((zone) => chosen(() => oneStore(context, undefined, undefined, zone)))).toEqual(['edge-a', 'edge-b'])
    expect(chosen(() => oneStore(context, 'edge-b', undefined, 'zone-2'))).toBe('edge-b')
    expect(['edge-b', 'edge-c'].map((name) => chosen(() => oneStore(context, name, undefined, 'zone-1')))).toEqual([
      'invalid-input: edge-b is in zone "zone-2", so it does not serve zone "zone-1". These stores serve it: edge-a.',
      'invalid-input: edge-c is attached to no zone, so it does not serve zone "zone-1". These stores serve it: edge-a.',
    ])
    context.zones.learnScope('edge-b', 'zone')
    expect(chosen(() => oneStore(context, 'edge-b', undefined, 'zone-9'))).toBe(
      'invalid-input: edge-b is in zone "zone-2" with the scope zone, so it does not serve zone "zone-9". Attach a store to it: zone attach zone-9 STORE.',
    )
    context.zones.learnScope('edge-b', 'region')
    expect(chosen(() => oneStore(context, undefined, undefined, 'zone-1'))).toBe(
      'invalid-input: There are 2 stores: edge-a, edge-b. Add store=NAME to say which one.',
    )
    // A name that is unknown is compared with the stores of the zone only.
    context.zones.learnScope('edge-b', 'zone')
    expect(chosen(() => oneStore(context, 'edge-bb', undefined, 'zone-1'))).toBe('not-found: No store is called "edge-bb". Did you mean edge-a?')
  })
})

describe('the stores of a command', () => {
  test('are the named one, those of a zone, or all', () => {
    using context = open(['edge-a'], ['edge-b', 'zone-2'], ['edge-c'])
    const cases: [string | undefined, string | undefined][] = [
      ...(
        [
          ['edge-b', undefined],
          ['all', undefined],
          [undefined, undefined],
          ['zone=zone-1', 'zone-1'],
          [undefined, 'zone-2'],
        ] as const
      ).map(([name, zone]): [string | undefined, string | undefined] => [name, zone]),
      ['all', 'zone-1'],
    ]
    expect(cases.map(([name, zone]) => chosen(() => someStores(context, name, zone)))).toEqual([
      ['edge-b'],
      ['edge-a', 'edge-b', 'edge-c'],
      ['edge-a', 'edge-b', 'edge-c'],
      ['edge-a', 'edge-c'],
      ['edge-b'],
      ['edge-a', 'edge-c'],
    ])
    expect(chosen(() => someStores(context, 'edge-b', 'zone-1'))).toStartWith('invalid-input: edge-b is in zone "zone-2"')
  })

  test('of a zone that has none are refused with what to do', () => {
    using context = open(['edge-a'], ['edge-b', 'zone-2'], ['edge-c', ''])
    context.zones.add({ name: 'empty', description: '' }, 0)
    expect(['empty', 'zone-9'].map((zone) => chosen(() => someStores(context, undefined, zone)))).toEqual([
      'not-found: No store is in zone "empty". Attach one: zone attach empty STORE.',
      'not-found: No store is in zone "zone-9". Zones: zone-1, zone-2.',
    ])
    using none = open(['edge-a', ''])
    expect(chosen(() => someStores(none, undefined, 'zone-9'))).toBe('not-found: No store is in zone "zone-9". Add a store first.')
  })
})

test('a zone that is not known is answered with the nearest, with all, or with how to add it', () => {
  using context = open(['edge-a'], ['edge-b', 'far-2'])
  expect(['zone-1', 'zone-11', 'x'].map((name) => chosen(() => oneZone(context, name)))).toEqual([
    'zone-1',
    'not-found: There is no zone "zone-11". Did you mean zone-1?',
    'not-found: There is no zone "x". Zones: far-2, zone-1.',
  ])
  using none = open()
  expect(chosen(() => oneZone(none, 'x'))).toBe('not-found: There is no zone "x". Add it with zone add x.')
})

describe('what is missing from an answer', () => {
  const startMs = Date.UTC(2026, 0, 1)
  const contactsOf = ({ fleet }: CommandContext): Contact<string>[] => {
    const [a, b, c] = fleet.registry.list()
    if (!a || !b || !c) throw new Error('there are three stores')
    const document = makeProblem('forbidden', 'The token was revoked.', { action: 'Make another.' })
    return [
      { kind: 'answered', store: a, value: 'x', asOfMs: startMs },
      { kind: 'refused', store: b, problem: document, error: new ProblemError(document), asOfMs: startMs },
      { kind: 'stopped', store: c, sinceMs: startMs, lastSeenMs: null, reason: 'It does not answer.', asOfMs: startMs + 120_000 },
    ]
  }

  test('is noted for each store that refused or did not answer, and for no other', () => {
    using context = open(['edge-a'], ['edge-b'], ['edge-c'])
    const contacts = contactsOf(context)
    expect(gapNotes(contacts, 'its tasks')).toEqual([
      'edge-b refused, so its tasks are not in this answer: The token was revoked. Make another.',
      'edge-c has been Stopped since 2026-01-01 00:00:00 UTC (2 min): its tasks are not in this answer.',
    ])
    expect(gapsJson(contacts)).toEqual([
      { store: 'edge-b', state: 'error', detail: 'The token was revoked.' },
      { store: 'edge-c', state: 'stopped', since: '2026-01-01T00:00:00.000Z', detail: 'It does not answer.' },
    ])
  })

  test('of one store is the refusal, with since when, what it means and what to do', () => {
    using context = open(['edge-a'], ['edge-b'], ['edge-c'])
    const [answered, , stopped] = contactsOf(context)
    expect(answered && answerOf(answered)).toBe('x')
    try {
      if (stopped) answerOf(stopped)
      throw new Error('nothing was thrown')
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error
      expect(error.code).toBe('peer-unreachable')
      expect(error.problem).toMatchObject({
        detail: 'edge-c has been Stopped since 2026-01-01 00:00:00 UTC (2 min): It does not answer.',
        action: expect.stringContaining('systemctl status slipway-agent@edge-c'),
        impact: expect.stringContaining('Uploads, downloads and syncs with this store fail'),
        ...{ state: 'stopped', store: 'edge-c', since: '2026-01-01T00:00:00.000Z' },
      })
    }
  })
})

test('an answer of several parts is as old as the oldest of them, and as the question when there are none', () => {
  expect(oldestAsOf([{ asOfMs: 3 }, { asOfMs: 1 }, { asOfMs: 2 }], 4)).toBe(1)
  expect(oldestAsOf([], 4)).toBe(4)
})

test('stores in a list are named once each, with spaces or without', () => {
  using context = open(['edge-1'], ['edge-2'])
  expect(chosen(() => storesIn(context, ' edge-2, edge-1,,edge-2 '))).toEqual(['edge-2', 'edge-1'])
  expect([storesIn(context), storesIn(context, '')]).toEqual([[], []])
  expect(chosen(() => storesIn(context, 'edge-1,edge-9'))).toStartWith('not-found: No store is called "edge-9".')
  expect(chosen(() => storesIn(context, 'edge-1', 'zone-9'))).toContain('zone-9')
})
