// `usage list`: months, sums and stores that do not answer.

import { expect, setDefaultTimeout, test } from 'bun:test'
import type { Usage } from '../../../../protocol/images/usage.ts'
import { openScriptedFleet } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const sums = (gbHours: string, cost: string | null) => ({ gbHours, storedGbHours: '1.5', cost, byteMilliseconds: '0' })

function usageOf(months: readonly string[], members: Partial<Usage> = {}): Usage {
  const range = { from: '2026-10-01T00:00:00.000Z', to: '2026-12-01T00:00:00.000Z', asOf: '2026-12-01T00:00:00.000Z' }
  return {
    ...{ ...range, pricePerGbMonth: '0.05', total: sums('9', '0.4'), damagedRecords: 0, items: [], next: null },
    months: months.map((month) => ({ ...sums('4.5', '0.2'), month, hours: 720 })),
    ...members,
  }
}

test('has a row for each month of a store, and their sum when there are several', async () => {
  using it = openScriptedFleet({
    'edge-a': { 'GET /usage': usageOf(['2026-10', '2026-11']) },
    'edge-b': { 'GET /usage': usageOf(['2026-11'], { pricePerGbMonth: null }) },
  })
  const { rows, text, title, outcome } = await it.run('usage list')
  expect(rows.map(({ cells }) => [cells['store'], cells['month'], cells['gbHours'], cells['price'], cells['cost']])).toEqual([
    ['edge-a', '2026-10', '4.5', '0.05', '0.2'],
    ['edge-a', '2026-11', '4.5', '0.05', '0.2'],
    ['edge-a', 'total', '9', '0.05', '0.4'],
    ['edge-b', '2026-11', '4.5', '–', '0.2'],
  ])
  expect([outcome, title, text]).toEqual(['done', 'Usage', '2 stores. Hours and months are those of UTC.'])
})

test('names the only owner that the answers are about, and counts records that cannot be read', async () => {
  using it = openScriptedFleet({ 'edge-a': { 'GET /usage': usageOf(['2026-11'], { owner: 'ann', damagedRecords: 1 }) } })
  const { title, notes } = await it.run('usage list')
  expect([title, notes]).toEqual(['Usage of ann', ['1 record of removed images in edge-a cannot be read and may be missing from the sums.']])
  expect((await it.run('usage list owner=bob')).title).toBe('Usage of bob')
})

test('names no owner where the answers are about several, and says so of images without one', async () => {
  const answers = (...owners: (string | null)[]) =>
    Object.fromEntries(owners.map((owner, n) => [`edge-${n}`, { 'GET /usage': usageOf(['2026-11'], { owner }) }]))
  for (const [owners, title] of [
    [['ann', 'bob'], 'Usage'],
    [['ann', 'ann'], 'Usage of ann'],
    [[''], 'Usage of images without an owner'],
    [[null], 'Usage of images without an owner'],
  ] as const) {
    using it = openScriptedFleet(answers(...owners))
    expect((await it.run('usage list')).title).toBe(title)
  }
})

test('a time that cannot be read is refused with its name', async () => {
  using it = openScriptedFleet({ 'edge-a': { 'GET /usage': usageOf([]) } })
  expect((await it.run('usage list from=soon')).text).toBe('from=soon is not a time.')
  expect((await it.run('usage list to=never')).text).toBe('to=never is not a time.')
  expect(it.asked).toEqual([])
})

test('of a fleet without a store says so, and of a store that does not answer fails', async () => {
  using none = openScriptedFleet({})
  expect((await none.run('usage list')).text).toBe('No store is registered yet.')
  using it = openScriptedFleet({ 'edge-a': {}, 'edge-b': { 'GET /usage': usageOf([]) } })
  expect(await it.run('usage list')).toMatchObject({ outcome: 'failed', tone: 'bad', text: '1 store. Hours and months are those of UTC.' })
})
