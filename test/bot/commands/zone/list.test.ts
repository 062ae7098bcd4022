// The list of zones: the worst state of their stores, sums that are shown only when every store is known, and stores without a zone.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { openScriptedFleet, refuse, storeOf } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const store = (name: string, images: number, used: number, available: number) =>
  storeOf({ name, images: { available: images, deleted: 0, other: 0 }, capacity: { total: 1e12, used, free: 1e12 - used, reserved: 0, available } })
const refused = refuse('unauthenticated', 'The token is not valid.')

test('a zone has the sums of its stores, and the state of the worst', async () => {
  using it = openScriptedFleet({
    'edge-a': { 'GET /store': store('edge-a', 2, 4e11, 6e11) },
    'edge-b': { 'GET /store': store('edge-b', 3, 1e11, 9e11), 'GET /health': { state: 'degraded', checks: [], asOf: '2026-01-01T00:00:00.000Z' } },
  })
  const view = await it.run('zone list')
  expect(view.text).toBe('1 zone')
  expect(view.columns.map(({ key }) => key)).toEqual(['zone', 'state', 'stores', 'images', 'used', 'free'])
  expect(view.rows).toEqual([
    {
      tone: 'warning',
      cells: {
        ...{ zone: 'zone-1', state: 'Degraded', stores: 'edge-a (Running), edge-b (Degraded)' },
        ...{ images: '5', used: '500 GB', free: '1.5 TB', description: '–' },
      },
    },
  ])
  expect(view.json).toMatchObject({ items: [{ state: 'degraded', images: 5, used: 5e11, available: 1.5e12 }], unattached: [] })
})

test('a sum that would lack a store is not shown', async () => {
  using it = openScriptedFleet({ 'edge-a': { 'GET /store': store('edge-a', 2, 4e11, 6e11) }, 'edge-b': { 'GET /store': refused, 'GET /health': refused } })
  const [row] = (await it.run('zone list')).rows
  expect([row?.tone, row?.cells['images'], row?.cells['used'], row?.cells['free']]).toEqual(['bad', '–', '–', '–'])
})

test('stores without a zone are named, and zones without a store have a row', async () => {
  using it = openScriptedFleet({ 'edge-a': {}, 'edge-b': {} })
  await it.run('zone detach zone-1 edge-a')
  expect((await it.run('zone list')).notes).toContain('1 store without a zone: edge-a.')
  await it.run('zone detach zone-1 edge-b')
  const none = await it.run('zone list')
  expect([none.text, none.columns, none.notes[0]]).toEqual(['0 zones', [], '2 stores without a zone: edge-a, edge-b.'])
  expect(none.json).toMatchObject({ items: [], unattached: ['edge-a', 'edge-b'] })
  await it.run('zone add zone-2 description="Second site"')
  const one = await it.run('zone list')
  expect([one.text, one.columns.at(-1)]).toEqual(['1 zone', { key: 'description', label: 'Description', isMinor: true }])
  expect(one.rows).toEqual([
    { tone: 'plain', cells: { zone: 'zone-2', state: 'no stores', stores: '–', images: '0', used: '0 B', free: '0 B', description: 'Second site' } },
  ])
})

test('a bot without stores and zones says so', async () => {
  using it = openScriptedFleet({})
  expect((await it.run('zone list')).text).toBe('No store is registered yet.')
})
