// A chart as SVG: title, legend, axes in the units of the console, and the lines or the band, in the light colours of the page. Nothing is drawn in a gap.

import type { Chart, ChartLine } from '../../../protocol/views/chart.ts'
import { plainText } from '../../../protocol/views/phrases.ts'
import { timeTicks, valueTicks } from './ticks.ts'

/** Size of every picture in pixels. */
export const PICTURE_WIDTH = 1_000
export const PICTURE_HEIGHT = 420

/** The plot between the axes. */
const PLOT = { left: 96, right: PICTURE_WIDTH - 24, top: 78, bottom: PICTURE_HEIGHT - 48 } as const
/** Longest title and label, in characters, and most lines that are drawn. */
const TITLE_MAX = 90
const LABEL_MAX = 30
const LINES_MAX = 6
/** Most points of a line: each has two pixels. */
export const POINTS_MAX = 440

const COLOURS = { text: '#1b1f24', dim: '#4c5661', grid: '#c7ced6', background: '#ffffff' } as const
const LINES = ['#0b57b5', '#b3470a', '#14692f'] as const
const TONES = { good: '#14692f', warning: '#c98500', bad: '#a8161f', plain: '#4c5661' } as const
/** The last line of a band, so that two bad ones can be told apart. */
const SECOND_BAD = '#6d1a7c'
const DASHES = ['', '10 6', '3 5'] as const

/** Returns the SVG, with at most so many points a line. The heading says whose chart it is and of which time. */
export function chartSvg(given: Chart, heading: string, pointsMax: number = POINTS_MAX): string {
  const chart = thin(given, pointsMax)
  const { lines } = chart
  const count = Math.max(1, ...lines.map(({ values }) => values.length))
  const endMs = chart.startMs + count * chart.stepMs
  const highest = Math.max(0, ...lines.flatMap((line) => line.values.map((value) => value ?? 0)))
  const values = valueTicks(highest, chart.unit)
  const top = values.at(-1)?.value ?? 1
  const x = (timeMs: number): number => PLOT.left + ((timeMs - chart.startMs) / (endMs - chart.startMs)) * (PLOT.right - PLOT.left)
  const y = (value: number): number => PLOT.bottom - (Math.min(value, top) / top) * (PLOT.bottom - PLOT.top)
  const at = (i: number): number => x(chart.startMs + i * chart.stepMs)
  const drawn = chart.kind === 'band' ? bandPaths(lines, count, at, y) : lines.map((line, i) => linePath(line, i, count, at, y))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${PICTURE_WIDTH}" height="${PICTURE_HEIGHT}" font-family="DejaVu Sans" font-size="14" fill="${COLOURS.text}">`,
    `<rect width="100%" height="100%" fill="${COLOURS.background}"/>`,
    text(PLOT.left, 28, shorten(`${chart.title} · ${heading}`, TITLE_MAX), 'font-size="18"'),
    ...legend(lines, chart.kind),
    ...values.flatMap(({ value, label }) => [
      path(`M${PLOT.left} ${fixed(y(value))}H${PLOT.right}`, `stroke="${COLOURS.grid}"`),
      text(PLOT.left - 10, y(value) + 5, label, `text-anchor="end" fill="${COLOURS.dim}"`),
    ]),
    ...timeTicks(chart.startMs, endMs).flatMap(({ value, label }) => [
      path(`M${fixed(x(value))} ${PLOT.bottom}v6`, `stroke="${COLOURS.dim}"`),
      // A label at an edge would be cut off.
      ...(x(value) < PLOT.left + 10 || x(value) > PLOT.right - 30
        ? []
        : [text(x(value), PLOT.bottom + 24, label, `text-anchor="middle" fill="${COLOURS.dim}"`)]),
    ]),
    text(PLOT.left - 10, PLOT.bottom + 24, 'UTC', `text-anchor="end" fill="${COLOURS.dim}"`),
    ...drawn,
    path(`M${PLOT.left} ${PLOT.bottom}H${PLOT.right}`, `stroke="${COLOURS.dim}"`),
    '</svg>',
  ].join('')
}

/** The chart with at most as many points as are drawn. Neighbours become their mean, and a gap only where none is known. */
function thin(chart: Chart, pointsMax: number): Chart {
  const lines = chart.lines.slice(0, LINES_MAX)
  const each = Math.ceil(Math.max(1, ...lines.map(({ values }) => values.length)) / pointsMax)
  const mean = (values: readonly (number | null)[]): number | null => {
    const known = values.filter((value) => value !== null)
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value / known.length, 0)
  }
  const thinned = (values: readonly (number | null)[]): (number | null)[] =>
    Array.from({ length: Math.ceil(values.length / each) }, (_unused, i) => mean(values.slice(i * each, (i + 1) * each)))
  return { ...chart, stepMs: chart.stepMs * each, lines: lines.map((line) => ({ ...line, values: thinned(line.values) })) }
}

function colourOf(line: ChartLine, i: number): string {
  if (line.tone === undefined) return LINES[i % LINES.length] ?? LINES[0]
  return line.tone === 'bad' && i === 3 ? SECOND_BAD : TONES[line.tone]
}

/** A line in the middle of each step; a single point between two gaps is a dot. */
function linePath(line: ChartLine, i: number, count: number, at: (i: number) => number, y: (value: number) => number): string {
  const parts = runsOf(count, (point) => line.values[point] ?? null).map(({ from, values }) =>
    values.length === 1
      ? `M${fixed(at(from + 0.5))} ${fixed(y(values[0] ?? 0))}h0.1`
      : values.map((value, k) => `${k === 0 ? 'M' : 'L'}${fixed(at(from + k + 0.5))} ${fixed(y(value))}`).join(''),
  )
  const dash = DASHES[i] ? ` stroke-dasharray="${DASHES[i]}"` : ''
  return path(parts.join(''), `stroke="${colourOf(line, i)}" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round" fill="none"${dash}`)
}

/** The lines as shares that stand on each other, each step as wide as it lasted. */
function bandPaths(lines: readonly ChartLine[], count: number, at: (i: number) => number, y: (value: number) => number): string[] {
  const sum = (upTo: number, point: number): number | null =>
    lines
      .slice(0, upTo)
      .reduce<number | null>((total, { values }) => (total === null || (values[point] ?? null) === null ? null : total + (values[point] ?? 0)), 0)
  return lines.map((line, i) => {
    const parts = runsOf(count, (point) => (sum(lines.length, point) === null ? null : sum(i + 1, point))).map(({ from, values }) => {
      const tops = values.map((value, k) => `L${fixed(at(from + k))} ${fixed(y(value))}L${fixed(at(from + k + 1))} ${fixed(y(value))}`)
      const bottoms = values.map((_value, k) => {
        const low = fixed(y(sum(i, from + k) ?? 0))
        return `L${fixed(at(from + k + 1))} ${low}L${fixed(at(from + k))} ${low}`
      })
      return `M${tops.join('').slice(1)}${bottoms.toReversed().join('')}Z`
    })
    return path(parts.join(''), `fill="${colourOf(line, i)}"`)
  })
}

interface Run {
  readonly from: number
  readonly values: number[]
}

/** The stretches of points that are known. */
function runsOf(count: number, valueAt: (point: number) => number | null): Run[] {
  const runs: Run[] = []
  for (let point = 0; point < count; point++) {
    const value = valueAt(point)
    if (value === null) continue
    const last = runs.at(-1)
    if (last && last.from + last.values.length === point) last.values.push(value)
    else runs.push({ from: point, values: [value] })
  }
  return runs
}

function legend(lines: readonly ChartLine[], kind: Chart['kind']): string[] {
  let left: number = PLOT.left
  return lines.flatMap((line, i) => {
    const label = shorten(line.label, LABEL_MAX)
    const start = left
    left += 60 + label.length * 9
    const colour = colourOf(line, i)
    const mark =
      kind === 'band'
        ? `<rect x="${start}" y="46" width="32" height="12" fill="${colour}"/>`
        : path(`M${start} 52h32`, `stroke="${colour}" stroke-width="3"${DASHES[i] ? ` stroke-dasharray="${DASHES[i]}"` : ''}`)
    return [mark, text(start + 40, 57, label)]
  })
}

function path(d: string, attributes: string): string {
  return `<path d="${d}" ${attributes}/>`
}

function text(x: number, y: number, words: string, attributes = ''): string {
  return `<text x="${fixed(x)}" y="${fixed(y)}" ${attributes}>${escapeXml(words)}</text>`
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10)
}

function shorten(words: string, max: number): string {
  const plain = plainText(words)
  return plain.length <= max ? plain : `${plain.slice(0, max - 1)}…`
}

function escapeXml(words: string): string {
  // XML 1.0 §2.2: other characters cannot be written, not even as references.
  // oxlint-disable-next-line no-control-regex -- these are what has to go
  const allowed = words.toWellFormed().replaceAll(/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g, '')
  return allowed.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
