// Charts on the page: who gets their series, how large these are, what the page loads, and that the table says the same without a script.

import { describe, expect, test } from 'bun:test'
import { CHART_ASSETS } from '../../../bot/web/charts/assets.ts'
import { ASSETS } from '../../../bot/web/layout.tsx'
import { minuteOf } from '../samples/fixture.ts'
import { storeOf } from '../commands/scripted-fleet.ts'
import { openTestPage } from './fixture.ts'

const MINUTE_MS = 60_000
/** All that a page loads, compressed, without Uppy, in bytes. */
const CODE_MAX = 60 * 1024

function openCharted() {
  const stage = openTestPage({ scripts: { 'edge-a': {}, 'edge-b': { 'GET /store': storeOf({ name: 'edge-b', id: '22222222-2222-4333-8444-555555555555' }) } } })
  stage.bot.fleet.registry.change('edge-a', { storeId: storeOf().id })
  for (let minute = 0; minute < 90; minute++, stage.clock.advance(MINUTE_MS)) {
    const rates = { rated: 1, ratedSpans: 1, ingest: minute * 1000, ingestMax: minute * 1000 }
    if (minute !== 40) stage.bot.samples.record(new Map([[storeOf().id, minuteOf(1_000_000 + minute, { total: 3_000_000, ...rates })]]), stage.clock.nowMs())
  }
  return stage
}

interface Series {
  readonly charts: { readonly name: string; readonly lines: { readonly label: string; readonly values: (number | null)[] }[] }[]
}

const hrefIn = (text: string): string => /data-charts="([^"]+)"/.exec(text)?.[1]?.replaceAll('&amp;', '&') ?? ''

describe('charts on the page', () => {
  test('are on the overview of a store and on home, each with its series and its table', async () => {
    using stage = openCharted()
    const visitor = await stage.enterAs('viewer')
    for (const [path, href] of [
      ['/stores/edge-a', '/series/store/show/edge-a?chart=all'],
      ['/', '/series/store/health/all?chart=all'],
    ] as const) {
      const { status, text } = await visitor.get(path)
      expect([status, hrefIn(text)]).toEqual([200, href])
      expect(text).toContain('data-chart="used"')
      expect(text.replaceAll(/<[^>]+>/g, ' ')).toMatch(/Used\s+4\.1 GB\s+4\.1 GB\s+4\.1 GB\s+4\.1 GB/)
      const answer = await visitor.get(href)
      const { charts } = JSON.parse(answer.text) as Series
      expect(charts.map(({ name }) => name)).toEqual(['used', 'saved', 'rate', 'slices', 'scrub', 'health'])
      expect(charts[0]?.lines[0]?.values.findLast((value) => value !== null)).toBeWithin(1_000_087 * 4096, 1_000_090 * 4096)
    }
  })

  test('have at most 1,000 points a line and gaps as null, in a bounded answer, whatever the period', async () => {
    using stage = openCharted()
    const visitor = await stage.enter()
    for (const period of ['1h', '6h', '2d', '30d', '400d']) {
      const { status, text } = await visitor.get(`/series/store/show/edge-a?chart=all&period=${period}`)
      const { charts } = JSON.parse(text) as Series
      expect([status, text.length < 300_000]).toEqual([200, true])
      for (const { lines } of charts) for (const { values } of lines) expect(values.length).toBeWithin(1, 1001)
      if (period === '6h')
        expect(charts[0]?.lines[0]?.values.slice(-91).map((value) => value === null)).toEqual(Array.from({ length: 91 }, (_unused, i) => i === 40 || i === 90))
    }
  })

  test('are given to nobody without a session, and the address runs nothing but charts', async () => {
    using stage = openCharted()
    const series = '/series/store/show/edge-a?chart=all'
    expect((await stage.request(series)).status).toBe(401)
    expect((await stage.request(series, { headers: { cookie: 'slipway=wrong' } })).status).toBe(401)
    const visitor = await stage.enter()
    const asked = stage.asked.length
    for (const path of ['/series/store/show/edge-a', '/series/store/enable/edge-a?chart=all', '/series/', '/series/store/%E0', '/series/image/list?chart=all'])
      expect([path, (await visitor.get(path)).status]).toEqual([path, 404])
    expect(stage.asked.length).toBe(asked)
    expect((await visitor.get('/series/store/show/edge-x?chart=all')).status).toBe(404)
    expect((await visitor.get('/series/store/show/edge-a?chart=all&period=9000d')).status).toBe(404)
    await visitor.post('/leave')
    expect((await visitor.get(series)).status).toBe(401)
  })

  test('load their script and style from this origin, on pages with a chart only', async () => {
    using stage = openCharted()
    const visitor = await stage.enter()
    const loads = (text: string): string[] => [...text.matchAll(/(?:src|href)="(\/assets\/charts-[^"]+)"/g)].map(([, path = '']) => path)
    for (const path of ['/', '/stores/edge-a', '/c/store/show/edge-a?chart=used']) expect(loads((await visitor.get(path)).text)).toHaveLength(2)
    for (const path of ['/stores', '/stores/edge-b', '/images']) expect([path, loads((await visitor.get(path)).text)]).toEqual([path, []])
    for (const asset of loads((await visitor.get('/')).text)) {
      const answer = await stage.request(asset)
      expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'public, max-age=31536000, immutable'])
    }
    const sizes = [...ASSETS, ...CHART_ASSETS].map(({ text }) => Bun.gzipSync(text).byteLength)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(CODE_MAX)
  })
})
