// `--chart` of store show and store health: figures, sparklines, JSON, gaps, forecast, and refusals.

import { describe, expect, test } from 'bun:test'
import { NO_SAMPLE } from '../../../../../bot/samples/sample.ts'
import { renderTerminal } from '../../../../../bot/views/terminal.ts'
import type { View } from '../../../../../protocol/views/view.ts'
import { minuteOf } from '../../../samples/fixture.ts'
import { openScriptedFleet, storeOf } from '../../scripted-fleet.ts'

const MINUTE_MS = 60_000
const gigabytes = (count: number): number => Math.round((count * 1e9) / 4096)
const STORE = storeOf()

/** A fleet of which one store grew by 1 GB a minute for an hour, took 5 MB/s in every second half hour, and was Stopped for ten minutes. */
function openCharted(checks: readonly unknown[] = []) {
  const health = { state: 'running', checks, asOf: '2026-01-01T00:00:00.000Z' }
  const fleet = openScriptedFleet({
    'edge-a': { 'GET /health': health },
    'edge-b': { 'GET /store': storeOf({ name: 'edge-b', id: '22222222-2222-4333-8444-555555555555' }) },
  })
  const { bot, clock } = fleet
  bot.fleet.registry.change('edge-a', { storeId: STORE.id })
  for (let minute = 0; minute < 60; minute++, clock.advance(MINUTE_MS)) {
    if (minute === 50) continue
    const ingest = minute < 30 ? 0 : 5_000_000
    const rates = { rated: 1, ratedSpans: 1, ingest, ingestMax: ingest }
    const space = { total: gigabytes(100), stored: gigabytes(2), images: gigabytes(6), slices: 1000 + minute, ...rates }
    const sample = minute >= 10 && minute < 20 ? { ...NO_SAMPLE, stopped: 1 } : minuteOf(gigabytes(10 + minute), space)
    bot.samples.record(new Map([[STORE.id, sample]]), clock.nowMs())
  }
  clock.advance(-1)
  return fleet
}

const figures = (view: View): Record<string, string[]> =>
  Object.fromEntries(view.rows.map(({ cells }) => [cells['line'], [cells['latest'], cells['lowest'], cells['highest'], cells['mean']].map(String)]))

describe('store show --chart', () => {
  test('says in figures how the store was, with gaps where nothing is known', async () => {
    using fleet = openCharted()
    const view = await fleet.run('store show edge-a --chart period=1h')
    expect(view.outcome).toBe('done')
    expect(figures(view)).toMatchObject({
      Used: ['69 GB', '10 GB', '69 GB', '42 GB'],
      Capacity: ['100 GB', '100 GB', '100 GB', '100 GB'],
      Saved: ['4.0 GB', '4.0 GB', '4.0 GB', '4.0 GB'],
      Ingest: ['5.0 MB/s', '0 B/s', '5.0 MB/s', '3.0 MB/s'],
      Running: ['100 %', '0 %', '100 %', '83.1 %'],
      Stopped: ['0 %', '0 %', '100 %', '16.9 %'],
    })
    expect(view.notes).toEqual(['Nothing is known of 1 min of these 1 h: charts have gaps there.'])
    const used = view.charts?.find(({ name }) => name === 'used')?.lines[0]?.values ?? []
    expect(used).toHaveLength(60)
    expect(used.flatMap((value, i) => (value === null ? [i] : []))).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 50])
  })

  test('draws one chart when one is named, as bars in the console and as a series in JSON', async () => {
    using fleet = openCharted()
    const view = await fleet.run('store show edge-a --chart=used period=1h')
    expect(view.charts?.map(({ name }) => name)).toEqual(['used'])
    const text = renderTerminal(view, { width: 120, color: false, nowMs: fleet.clock.nowMs() })
    const bars = text.split('\n').find((line) => /^ {2}Used +[▁▂▃▄▅▆▇█]/.test(line)) ?? ''
    const drawn = bars.replace(/^ {2}Used +/, '').split('')
    expect(drawn.flatMap((bar, i) => (bar === ' ' ? [i] : []))).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 50])
    expect([drawn.length, drawn.filter((bar) => bar !== ' ').join('')]).toEqual([
      60,
      drawn
        .filter((bar) => bar !== ' ')
        .toSorted()
        .join(''),
    ])
    const json = view.json as { stepSeconds: number; charts: { lines: { label: string; values: unknown[] }[] }[] }
    expect([json.stepSeconds, json.charts[0]?.lines[0]?.values.slice(8, 12)]).toEqual([60, [expect.any(Number), expect.any(Number), null, null]])
  })

  test('has at most 1,000 points, also for 400 days', async () => {
    using fleet = openCharted()
    const view = await fleet.run('store show edge-a --chart period=400d')
    for (const { lines } of view.charts ?? []) for (const { values } of lines) expect(values.length).toBeLessThanOrEqual(1000)
    expect(figures(view)['Used']?.[0]).toBe('42 GB')
  })

  test('says when the store will be full, where its agent knows', async () => {
    const check = { name: 'free-space', state: 'ok', measured: '', limit: null, impact: '', action: '', failsAt: '2026-02-03T00:00:00.000Z' }
    using fleet = openCharted([check])
    const view = await fleet.run('store show edge-a chart=used --fresh')
    expect(view.fields).toEqual([{ label: 'Full', value: 'edge-a about 2026-02-03, at the rate of the last days' }])
  })

  test('of a store without samples says so', async () => {
    using fleet = openCharted()
    const view = await fleet.run('store show edge-b --chart')
    expect([view.outcome, view.rows.length, view.charts]).toEqual(['done', 0, []])
    expect(view.text).toContain('There are no samples of edge-b')
  })

  test('is refused for a chart or a period that there is not, and for a period alone', async () => {
    using fleet = openCharted()
    const refused = async (line: string): Promise<string> => {
      const view = await fleet.run(line)
      expect(view.outcome).toBe('failed')
      return `${view.text} ${view.fields[0]?.value ?? ''}`
    }
    expect(await refused('store show edge-a --chart=usde')).toBe('There is no chart "usde". Did you mean used?')
    for (const period of ['59m', '401d', 'x', '-1d'])
      expect(await refused(`store show edge-a --chart period=${period}`)).toContain('is no time from 1h to 400d')
    expect(await refused('store show edge-a period=2d')).toContain('Add --chart')
    expect(await refused('store health zone=zone-1 --chart')).toContain('Leave zone= out')
  })
})

test('store health --chart shows the fleet, and one store when it is named', async () => {
  using fleet = openCharted()
  const all = await fleet.run('store health all --chart=used period=1h')
  expect([all.title, figures(all)['Used']?.[0]]).toEqual(['All stores: the last 1 h', '69 GB'])
  expect((await fleet.run('store health edge-a --chart=health')).title).toBe('edge-a: the last 2 d')
})
