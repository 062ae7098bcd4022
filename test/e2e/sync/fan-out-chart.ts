// Draws what a source sends to many targets as an SVG: directly, and through two stores as it was measured.

import type { FanOutPoint } from './fan-out.ts'

const WIDTH = 720
const HEIGHT = 360
const LEFT = 56
const BOTTOM = 48
const TOP = 24
const RIGHT = 24
/** Top of the vertical axis, in images: a line that goes higher leaves the chart. */
const IMAGES_MAX = 12

/** Returns an SVG with the multiples of the image that the source has sent when so many targets have it. */
export function fanOutChart(points: readonly FanOutPoint[]): string {
  const most = points.at(-1)?.targets ?? 1
  const x = (targets: number): number => LEFT + (targets / most) * (WIDTH - LEFT - RIGHT)
  const y = (images: number): number => HEIGHT - BOTTOM - (Math.min(images, IMAGES_MAX) / IMAGES_MAX) * (HEIGHT - BOTTOM - TOP)
  const line = (values: readonly (readonly [number, number])[], color: string): string =>
    `<polyline fill="none" stroke="${color}" stroke-width="2" points="${values.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(' ')}"/>`
  const text = (at: readonly [number, number], words: string, more = ''): string =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" ${more}>${words}</text>`
  const ticks = [0, 3, 6, 9, 12].map(
    (images) =>
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(images)}" y2="${y(images)}" stroke="#ddd"/>${text([LEFT - 8, y(images) + 4], String(images), 'text-anchor="end"')}`,
  )
  const marks = [0, 0.25, 0.5, 0.75, 1].map((share) => text([x(share * most), HEIGHT - BOTTOM + 18], String(Math.round(share * most)), 'text-anchor="middle"'))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    ...ticks,
    ...marks,
    line(
      [
        [0, 0],
        [Math.min(most, IMAGES_MAX), Math.min(most, IMAGES_MAX)],
      ],
      '#999',
    ),
    line(
      points.map(({ targets, source }) => [targets, source] as const),
      '#0a6',
    ),
    text([x(Math.min(most, IMAGES_MAX)) + 8, y(IMAGES_MAX) + 12], 'every target copies from the source', 'fill="#666"'),
    text([x(most * 0.5), y(points.at(-1)?.source ?? 0) - 8], 'targets copy from two stores (measured)', 'fill="#0a6"'),
    text([x(most / 2), HEIGHT - 10], 'targets that have the image', 'text-anchor="middle"'),
    text([16, HEIGHT / 2], 'sent by the source, in images', `text-anchor="middle" transform="rotate(-90 16 ${HEIGHT / 2})"`),
    '</svg>',
  ].join('\n')
}
