// Pictures of charts: that they are PNG files of the right size that show the lines, gaps as gaps, within their bounds, whatever the chart has.

import { describe, expect, test } from 'bun:test'
import { inflateSync } from 'node:zlib'
import { chartSvg, PICTURE_HEIGHT, PICTURE_WIDTH } from '../../../bot/charts/picture/chart-svg.ts'
import { createPictures } from '../../../bot/charts/picture/pictures.ts'
import { timeTicks, valueTicks } from '../../../bot/charts/picture/ticks.ts'
import type { Chart } from '../../../protocol/views/chart.ts'

const HOUR_MS = 3_600_000
const START_MS = Date.UTC(2026, 0, 1)

function chartOf(values: readonly (number | null)[], members: Partial<Chart> = {}): Chart {
  return {
    name: 'used',
    title: 'Used space',
    unit: 'bytes',
    kind: 'lines',
    startMs: START_MS,
    stepMs: HOUR_MS,
    lines: [{ label: 'Used', values }],
    summary: 'Used: 1 GB.',
    ...members,
  }
}

/** Reads width, height and the rows of a PNG of 8 bits with 4 channels (PNG 3rd edition §9.2: every row has its filter). */
function pixelsOf(png: Uint8Array): { readonly width: number; readonly height: number; at(x: number, y: number): string } {
  const view = new DataView(png.buffer, png.byteOffset, png.length)
  expect(Buffer.from(png.subarray(0, 8)).toString('latin1')).toBe('\u0089PNG\r\n\u001A\n')
  const parts: Uint8Array[] = []
  for (let at = 8; at < png.length; at += view.getUint32(at) + 12)
    if (Buffer.from(png.subarray(at + 4, at + 8)).toString() === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + view.getUint32(at)))
  const [width, height, depth, type] = [view.getUint32(16), view.getUint32(20), png[24], png[25]]
  expect([depth, type]).toEqual([8, 6])
  const raw = inflateSync(Buffer.concat(parts))
  const stride = width * 4
  const rows = new Uint8Array(stride * height)
  const pixel = (x: number, y: number): number => (x < 0 || y < 0 ? 0 : (rows[y * stride + x] ?? 0))
  for (let y = 0; y < height; y++)
    for (let x = 0; x < stride; x++) {
      const [left, up, corner] = [x < 4 ? 0 : pixel(x - 4, y), pixel(x, y - 1), x < 4 ? 0 : pixel(x - 4, y - 1)]
      const near = [left, up, corner].toSorted((a, b) => Math.abs(left + up - corner - a) - Math.abs(left + up - corner - b))[0] ?? 0
      const filter = raw[y * (stride + 1)] ?? 0
      rows[y * stride + x] = (raw[y * (stride + 1) + 1 + x] ?? 0) + ([0, left, up, (left + up) >> 1, near][filter] ?? 0)
    }
  return { width, height, at: (x, y) => Buffer.from(rows.subarray(y * stride + x * 4, y * stride + x * 4 + 3)).toString('hex') }
}

async function drawOne(chart: Chart, heading = 'edge-a: the last 2d'): Promise<Uint8Array> {
  const [picture] = (await createPictures()([chart], heading)) ?? []
  if (!picture) throw new Error('there is no picture')
  return picture.png
}

describe('a picture', () => {
  test('is a PNG with the line in its colour, and nothing in a gap', async () => {
    // Half of the highest tick, so that no line of the grid lies there: 5 GB of 10 GB would be one.
    const png = pixelsOf(await drawOne(chartOf(Array.from({ length: 48 }, (_unused, i) => (i >= 20 && i < 28 ? null : 5_500_000_000)))))
    expect([png.width, png.height]).toEqual([PICTURE_WIDTH, PICTURE_HEIGHT])
    const columnHas = (x: number): boolean => Array.from({ length: PICTURE_HEIGHT - 150 }, (_unused, i) => png.at(x, 90 + i)).includes('0b57b5')
    expect([columnHas(300), columnHas(536), columnHas(800)]).toEqual([true, false, true])
    expect(png.at(2, 2)).toBe('ffffff')
    // Words are there, so the font is.
    const row = Array.from({ length: 400 }, (_unused, i) => [20, 22, 24, 26].map((y) => png.at(96 + i, y))).flat()
    expect(row.filter((colour) => colour !== 'ffffff').length).toBeGreaterThan(100)
  })

  test('of shares has each in its colour, one above the other', async () => {
    const share = (label: string, tone: 'good' | 'bad', value: number) => ({ label, tone, values: [value, value] })
    const png = pixelsOf(await drawOne(chartOf([], { unit: 'percent', kind: 'band', lines: [share('Running', 'good', 75), share('Stopped', 'bad', 25)] })))
    expect([png.at(500, 350), png.at(500, 90)]).toEqual(['14692f', 'a8161f'])
  })

  test('stays below 200 kB with the most points, at any height', async () => {
    const noise = (seed: number) => Array.from({ length: 1000 }, (_unused, i) => ((i * 7919 + seed * 104_729) % 1009) * 1e9)
    const lines = ['A', 'B', 'C', 'D', 'E', 'F'].map((label, i) => ({ label, values: noise(i) }))
    const png = await drawOne(chartOf([], { unit: 'bytes/s', lines }))
    expect(png.length).toBeLessThan(200_000)
    expect(pixelsOf(png).width).toBe(PICTURE_WIDTH)
  })

  test('is drawn of any name, and of a chart without values', async () => {
    for (const heading of ['<script>&"\u0000\u0008\uFFFE', '\uD800', 'ä'.repeat(5000), ''])
      expect((await drawOne(chartOf([1, null, 2]), heading)).length).toBeGreaterThan(1000)
    for (const values of [[], [null], [0], [Number.MAX_SAFE_INTEGER]]) expect((await drawOne(chartOf(values))).length).toBeGreaterThan(1000)
  })
})

test('of eight answers that wait, all get their pictures; a ninth gets none, and a later one does', async () => {
  const draw = createPictures()
  const asked = await Promise.all(Array.from({ length: 9 }, () => draw([chartOf([1, 2])], 'x')))
  expect(asked.map((pictures) => pictures?.length)).toEqual([...Array.from({ length: 8 }, () => 1), undefined])
  expect(await draw([chartOf([1, 2])], 'x')).toHaveLength(1)
})

test('an answer has at most eight pictures', async () => {
  expect(
    await createPictures()(
      Array.from({ length: 9 }, () => chartOf([1])),
      'x',
    ),
  ).toHaveLength(8)
})

describe('the SVG', () => {
  test('has at most 440 points a line and 6 lines; neighbours are their mean', () => {
    const lines = Array.from({ length: 7 }, () => ({ label: 'x'.repeat(1000), values: Array.from({ length: 1000 }, () => 5) }))
    const svg = chartSvg(chartOf([], { lines }), '')
    expect(svg.match(/stroke-linejoin/g)).toHaveLength(6)
    for (const [, path = ''] of svg.matchAll(/<path d="([^"]+)"[^>]*stroke-linejoin/g)) expect(path.match(/[ML]/g)?.length).toBeWithin(300, 441)
    expect(svg.length).toBeLessThan(60_000)
  })

  test('draws a single point between gaps as a dot', () => {
    expect(chartSvg(chartOf([null, 5, null]), '')).toMatch(/d="M[\d.]+ [\d.]+h0\.1"/)
  })
})

describe('ticks', () => {
  test.each<[number, Chart['unit'], string[]]>([
    [4.2e12, 'bytes', ['0 B', '1.0 TB', '2.0 TB', '3.0 TB', '4.0 TB', '5.0 TB']],
    [0, 'bytes', ['0 B', '1 B']],
    [3, 'count', ['0', '1', '2', '3']],
    [120e6, 'bytes/s', ['0 B/s', '50 MB/s', '100 MB/s', '150 MB/s']],
    [0, 'percent', ['0 %', '25 %', '50 %', '75 %', '100 %']],
  ])('up to %p %s: %j', (highest, unit, labels) => {
    expect(valueTicks(highest, unit).map(({ label }) => label)).toEqual(labels)
  })

  test('of time are round hours, with the day at midnight, or days; never more than nine', () => {
    expect(timeTicks(START_MS - 6 * HOUR_MS, START_MS + 6 * HOUR_MS).map(({ label }) => label)).toEqual([
      '18:00',
      '20:00',
      '22:00',
      '2026-01-01',
      '02:00',
      '04:00',
      '06:00',
    ])
    for (const hours of [1, 6, 48, 720, 9600, 100_000]) expect(timeTicks(START_MS + 1, START_MS + 1 + hours * HOUR_MS).length).toBeWithin(4, 10)
  })
})
