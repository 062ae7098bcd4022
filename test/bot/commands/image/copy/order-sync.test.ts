// How a sync is ordered: the grants that its sources give, the keys that bind them, and agents of earlier versions.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { orderSync } from '../../../../../bot/commands/image/copy/order-sync.ts'
import type { SyncOrder } from '../../../../../bot/commands/image/copy/order-sync.ts'
import { imageOf, openScriptedFleet, refuse, storeOf } from '../../scripted-fleet.ts'
import type { Asked, Script } from '../../scripted-fleet.ts'
import { taskOf } from '../../sessions/fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const ID = imageOf(1).id
const grant = (name: string): object => ({ id: `tok_${name}`, token: `grant-of-${name}`, expiresAt: '2026-01-04T00:00:00.000Z' })
/** A store that announces its key. */
const keyed = (name: string, letter: string): Script => ({
  'GET /store': storeOf({ name, protocol: { sync: [2], key: letter.repeat(43) } }),
})

/** Orders a sync from edge-a, with edge-b as another source, to edge-x. */
function open(scripts: Partial<Record<'edge-a' | 'edge-b' | 'edge-x', Script>> = {}) {
  const orders: unknown[] = []
  const grants: string[] = []
  const source = (name: string): Script => ({
    'POST /sync/grants': ({ body }: Asked) => {
      grants.push(`${name} ${JSON.stringify(body)}`)
      return grant(name)
    },
  })
  const fleet = openScriptedFleet({
    'edge-a': { ...source('edge-a'), ...scripts['edge-a'] },
    'edge-b': { ...source('edge-b'), ...scripts['edge-b'] },
    'edge-x': {
      'POST /sync': ({ body }: Asked) => {
        orders.push(body)
        return taskOf('x', 'sync', 'running', { id: 'tsk_1', endedAt: null })
      },
      ...scripts['edge-x'],
    },
  })
  const storeNamed = (name: string) => {
    const store = fleet.bot.fleet.registry.find(name)
    if (!store) throw new Error(`there is no ${name}`)
    return store
  }
  const granted: string[] = []
  const order = (members: Partial<SyncOrder> = {}) =>
    orderSync(fleet.bot.context({ name: 'ann', role: 'admin' }, 'console'), {
      ...{ source: storeNamed('edge-a'), target: storeNamed('edge-x'), images: [ID], ...members },
      onGrant: ({ name }, id) => void granted.push(`${name} ${id}`),
    })
  return { ...fleet, orders, grants, granted, storeNamed, order, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

const A = { url: 'http://edge-a.example', token: 'grant-of-edge-a' }
const B = { url: 'http://edge-b.example', token: 'grant-of-edge-b' }

test('one source is named alone, with a grant for three days for these images', async () => {
  using it = open()
  expect(await it.order({ request: { limits: { priority: 'low' } } })).toMatchObject({ store: 'edge-x', task: { id: 'tsk_1' } })
  expect([it.orders, it.grants, it.granted]).toEqual([
    [{ source: A, limits: { priority: 'low' }, images: [ID] }],
    [`edge-a {"images":["${ID}"],"hours":72}`],
    ['edge-a tok_edge-a'],
  ])
})

test('several sources are named together, and one that gives no grant is left out', async () => {
  using it = open()
  await it.order({ others: [it.storeNamed('edge-b')] })
  expect([it.orders, it.granted]).toEqual([[{ sources: [A, B], images: [ID] }], ['edge-a tok_edge-a', 'edge-b tok_edge-b']])
  using less = open({ 'edge-b': { 'POST /sync/grants': refuse('not-found', 'There is no image.') } })
  await less.order({ others: [less.storeNamed('edge-b')] })
  expect([less.orders, less.granted]).toEqual([[{ source: A, images: [ID] }], ['edge-a tok_edge-a']])
})

test('a target of an earlier version is asked again with one source, and another refusal is not asked again', async () => {
  const bodies: unknown[] = []
  const sync = ({ body }: Asked): unknown => {
    bodies.push(body)
    return 'sources' in (body as object) ? refuse('invalid-input', 'Unknown member sources.') : taskOf('x', 'sync', 'running', { id: 'tsk_1', endedAt: null })
  }
  using it = open({ 'edge-x': { 'POST /sync': sync } })
  expect((await it.order({ others: [it.storeNamed('edge-b')] })).task.id).toBe('tsk_1')
  expect(bodies).toEqual([
    { sources: [A, B], images: [ID] },
    { source: A, images: [ID] },
  ])
  for (const [code, others] of [
    ['conflict', true],
    ['invalid-input', false],
  ] as const) {
    using other = open({ 'edge-x': { 'POST /sync': () => (bodies.push('again'), refuse(code, 'Not so.')) } })
    bodies.length = 0
    expect(other.order(others ? { others: [other.storeNamed('edge-b')] } : {})).rejects.toThrow('Not so.')
    await Promise.resolve()
    while (bodies.length === 0) await new Promise(setImmediate)
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    expect(bodies).toEqual(['again'])
  }
})

test.each([
  ['not-found', 'There is nothing at /v1/sync/grants.', 'The agent of edge-a is too old to give edge-x a grant for these images only.'],
  ['method-not-allowed', 'POST is not allowed.', 'The agent of edge-a is too old to give edge-x a grant for these images only.'],
  ['not-found', 'There is no image.', 'There is no image.'],
  ['forbidden', 'You may not.', 'You may not.'],
] as const)('a source that answers %s (%s) gives: %s', async (code, detail, says) => {
  using it = open({ 'edge-a': { 'POST /sync/grants': refuse(code, detail) } })
  expect(it.order()).rejects.toThrow(says)
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  expect([it.orders, it.granted]).toEqual([[], []])
})

test('a source that does not answer is named', async () => {
  using it = open({ 'edge-a': { 'POST /sync/grants': () => new Response('<html>') } })
  expect(it.order()).rejects.toThrow(/edge-a has been Stopped/)
})

test('a grant is bound to the key of the target and kept for repairs, unless one of the two has no key or nothing is to be copied', async () => {
  const both = { 'edge-a': keyed('edge-a', 'A'), 'edge-x': keyed('edge-x', 'X') }
  const bound = `"targetKey":"${'X'.repeat(43)}"`
  for (const [scripts, request, members, source] of [
    [both, {}, `,${bound},"healing":true`, { ...A, healing: true }],
    [both, { dryRun: true }, `,${bound}`, A],
    [{ 'edge-a': both['edge-a'] }, {}, '', A],
    [{ 'edge-x': both['edge-x'] }, {}, '', A],
  ] as const) {
    using it = open(scripts)
    await it.order({ request })
    expect([it.grants, it.orders]).toEqual([[`edge-a {"images":["${ID}"]${members},"hours":72}`], [{ source, ...request, images: [ID] }]])
  }
})
