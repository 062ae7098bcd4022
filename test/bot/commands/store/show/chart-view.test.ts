// What surrounds a chart: its text, its columns, and the buttons for other times.

import { expect, test } from 'bun:test'
import { minuteOf } from '../../../samples/fixture.ts'
import { openScriptedFleet, storeOf } from '../../scripted-fleet.ts'

/** edge-a has samples of so many minutes. */
function open(minutes: number) {
  const it = openScriptedFleet({ 'edge-a': {} })
  const { id } = storeOf()
  it.bot.fleet.registry.change('edge-a', { storeId: id })
  for (let minute = 0; minute < minutes; minute++) {
    it.bot.samples.record(new Map([[id, minuteOf(1000, { total: 2000 })]]), it.clock.nowMs())
    it.clock.advance(60_000)
  }
  it.clock.advance(-1)
  return it
}

test('without samples there is no table, and the text says why', async () => {
  using it = open(0)
  const view = await it.run('store show edge-a --chart period=1h')
  expect([view.text, view.columns, view.rows, view.notes]).toEqual([
    'There are no samples of edge-a in this time. The service takes one a minute while it runs.',
    [],
    [],
    [],
  ])
})

test('one sample is a table with a note on what is not known', async () => {
  using it = open(1)
  const view = await it.run('store show edge-a --chart period=1h')
  expect([view.text, view.columns.length > 0, view.rows.length > 0]).toEqual(['', true, true])
  expect(view.notes).toEqual(['Nothing is known of 59 min of these 1 h: charts have gaps there.'])
})

test('one chart is summed up in the text, and no note follows when all is known', async () => {
  using it = open(60)
  const view = await it.run('store show edge-a --chart=used period=1h')
  expect([view.text === '', view.text, view.notes]).toEqual([false, view.charts?.[0]?.summary ?? '', []])
})

test.each([
  ['--chart', '--chart'],
  ['--chart=used', '--chart=used'],
])('%s has a button for each other time', async (chart, kept) => {
  using it = open(1)
  const commands = async (period: string) =>
    (await it.run(`store show edge-a ${chart} period=${period}`)).actions.map(({ label, command }) => `${label}: ${command}`)
  expect(await commands('2d')).toEqual([
    `Last 6 h: store show edge-a ${kept} period=6h`,
    `Last 30 d: store show edge-a ${kept} period=30d`,
    `Last 400 d: store show edge-a ${kept} period=400d`,
  ])
})

test('the agent is asked only with --fresh', async () => {
  using it = open(1)
  await it.run('store show edge-a --chart')
  expect(it.asked).toEqual([])
  await it.run('store show edge-a --chart --fresh')
  expect(it.asked).toContain('edge-a GET /health')
})
