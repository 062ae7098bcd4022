// `store health` of more zones and disks than an answer names: the worst first, and how many more there are.

import { expect, test } from 'bun:test'
import { openScriptedFleet, storeOf } from '../../scripted-fleet.ts'
import type { ScriptedFleet } from '../../scripted-fleet.ts'

/** A fleet of stores, each in a zone of its own and with a disk that will be full on another day of January, the last store the first. */
async function open(count: number, state: 'degraded' | 'error'): Promise<ScriptedFleet> {
  const names = Array.from({ length: count }, (_, i) => `site-${i + 1}`)
  const check = { name: 'space', limit: '10 GB', measured: '5 GB free', impact: 'Uploads will be refused soon.', action: 'Delete images.' }
  const fleet = openScriptedFleet(
    Object.fromEntries(
      names.map((name, i) => {
        const failsAt = `2026-01-${String(20 - i).padStart(2, '0')}T10:00:00.000Z`
        const checks = [{ ...check, state: state === 'error' ? 'failed' : 'warning', failsAt }]
        return [
          name,
          {
            'GET /store': storeOf({ name, id: `${String(i + 1).repeat(8)}-2222-4333-8444-555555555555` }),
            'GET /health': { state, checks, asOf: '2026-01-01T00:00:00.000Z' },
          },
        ]
      }),
    ),
  )
  for (const [i, name] of names.entries()) await fleet.run(`store edit ${name} zone=zone-${i + 1}`)
  return fleet
}

async function fieldsOf(count: number, state: 'degraded' | 'error'): Promise<string[]> {
  using fleet = await open(count, state)
  return (await fleet.run('store health')).fields.map(({ label, value }) => `${label}: ${value}`)
}

const full = (...days: readonly string[]): string => days.map((day) => `${day.split(' ')[0]} about 2026-01-${day.split(' ')[1]}`).join(', ')

test('five disks and five zones are named', async () => {
  expect(await fieldsOf(5, 'degraded')).toEqual([
    'Zones: zone-1: 1 of 1 not Running, zone-2: 1 of 1 not Running, zone-3: 1 of 1 not Running, zone-4: 1 of 1 not Running, zone-5: 1 of 1 not Running',
    `Full: ${full('site-5 16', 'site-4 17', 'site-3 18', 'site-2 19', 'site-1 20')}, at the rate of the last days`,
  ])
})

test('of seven, two are counted: the disks that are full last', async () => {
  expect(await fieldsOf(7, 'degraded')).toEqual([
    'Zones: zone-1: 1 of 1 not Running, zone-2: 1 of 1 not Running, zone-3: 1 of 1 not Running, zone-4: 1 of 1 not Running, zone-5: 1 of 1 not Running; 2 more',
    `Full: ${full('site-7 14', 'site-6 15', 'site-5 16', 'site-4 17', 'site-3 18')}; 2 more later, at the rate of the last days`,
  ])
})

test('of seven zones without a healthy store, two are counted', async () => {
  const fields = await fieldsOf(7, 'error')
  expect(fields.map((field) => field.split(':')[0])).toEqual([
    'Zone zone-1',
    'Zone zone-2',
    'Zone zone-3',
    'Zone zone-4',
    'Zone zone-5',
    'More zones',
    'Zones',
    'Full',
  ])
  expect(fields[5]).toBe('More zones: 2 without a healthy store')
  expect((await fieldsOf(5, 'error')).map((field) => field.split(':')[0])).toEqual([
    ...['Zone zone-1', 'Zone zone-2', 'Zone zone-3', 'Zone zone-4', 'Zone zone-5'],
    ...['Zones', 'Full'],
  ])
})

test('up to three stores with trouble have a sentence each', async () => {
  using three = await open(3, 'degraded')
  expect((await three.run('store health')).text).toBe('3 stores: 3 Degraded. site-1 is Degraded. site-2 is Degraded. site-3 is Degraded.')
  using four = await open(4, 'degraded')
  expect((await four.run('store health')).text).toBe('4 stores: 4 Degraded.')
})
