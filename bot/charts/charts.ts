// Charts of samples: which lines there are, their units, and what they say in words.

import { formatDuration, formatSize } from '../../protocol/units.ts'
import type { Chart, ChartLine, ChartUnit } from '../../protocol/views/chart.ts'
import { stateTone, stateWord, UNKNOWN } from '../../protocol/views/phrases.ts'
import { DAY_MS, MINUTE_MS } from '../samples/keys.ts'
import { UNIT_BYTES } from '../samples/sample.ts'
import type { Sample } from '../samples/sample.ts'
import type { Series } from '../samples/series.ts'

/** The charts, by what a person asks for. */
export const CHART_NAMES = ['used', 'saved', 'rate', 'slices', 'health'] as const
export type ChartName = (typeof CHART_NAMES)[number]

const STATES = ['running', 'degraded', 'stopped', 'error'] as const

/** A line before its figures: its value in a sample, and its extremes where a mean hides them. */
interface LineSpec {
  readonly label: string
  readonly tone?: ChartLine['tone']
  readonly value: (sample: Sample, endMs: number) => number | null
  readonly lowest?: (sample: Sample) => number
  readonly highest?: (sample: Sample) => number
}

interface ChartSpec {
  readonly name: ChartName | 'scrub'
  readonly title: string
  readonly unit: ChartUnit
  readonly kind: Chart['kind']
  readonly lines: readonly LineSpec[]
}

const measured =
  (member: (sample: Sample) => number): LineSpec['value'] =>
  (sample) =>
    sample.measured === 0 ? null : member(sample)
const rated =
  (member: (sample: Sample) => number): LineSpec['value'] =>
  (sample) =>
    sample.rated === 0 ? null : member(sample)
const bytes = (units: number): number => units * UNIT_BYTES
const knownOf = (sample: Sample): number => STATES.reduce((sum, state) => sum + sample[state], 0)

const CHARTS: readonly ChartSpec[] = [
  {
    name: 'used',
    title: 'Used space',
    unit: 'bytes',
    kind: 'lines',
    lines: [
      {
        label: 'Used',
        value: measured(({ used }) => bytes(used)),
        lowest: ({ usedMin }) => bytes(usedMin),
        highest: ({ usedMax }) => bytes(usedMax),
      },
      { label: 'Capacity', value: measured(({ total }) => bytes(total)) },
    ],
  },
  {
    name: 'saved',
    title: 'Images and what their slices take',
    unit: 'bytes',
    kind: 'lines',
    lines: [
      { label: 'Images', value: measured(({ images }) => bytes(images)) },
      { label: 'Stored', value: measured(({ stored }) => bytes(stored)) },
      { label: 'Saved', value: measured(({ images, stored }) => bytes(Math.max(0, images - stored))) },
    ],
  },
  {
    name: 'rate',
    title: 'Content in and out',
    unit: 'bytes/s',
    kind: 'lines',
    lines: [
      { label: 'Ingest', value: rated(({ ingest }) => ingest), highest: ({ ingestMax }) => ingestMax },
      { label: 'Egress', value: rated(({ egress }) => egress), highest: ({ egressMax }) => egressMax },
    ],
  },
  { name: 'slices', title: 'Slices', unit: 'count', kind: 'lines', lines: [{ label: 'Slices', value: measured(({ slices }) => slices) }] },
  {
    name: 'scrub',
    title: 'Age of the last scrub, which reads every slice',
    unit: 'days',
    kind: 'lines',
    lines: [
      {
        label: 'Since the last scrub',
        value: (sample, endMs) => (sample.measured === 0 || sample.scrubbed === 0 ? null : Math.max(0, endMs - sample.scrubbed * MINUTE_MS) / DAY_MS),
      },
    ],
  },
  {
    name: 'health',
    title: 'Health',
    unit: 'percent',
    kind: 'band',
    lines: STATES.map((state) => ({
      label: stateWord(state),
      tone: stateTone(state),
      value: (sample) => (knownOf(sample) === 0 ? null : (100 * sample[state]) / knownOf(sample)),
    })),
  },
]

/** What a line says in figures; null where nothing is known. */
export interface LineFigures {
  readonly chart: string
  readonly label: string
  readonly unit: ChartUnit
  readonly latest: number | null
  readonly lowest: number | null
  readonly highest: number | null
  readonly mean: number | null
}

export interface DrawnCharts {
  readonly charts: readonly Chart[]
  readonly figures: readonly LineFigures[]
}

/** Returns the charts of a series and their figures: all of them, or those with this name. */
export function drawCharts(series: Series, wanted: ChartName | 'all'): DrawnCharts {
  const { startMs, stepMs, points } = series
  const drawn = CHARTS.filter(({ name }) => wanted === 'all' || name === wanted || (wanted === 'slices' && name === 'scrub')).map((spec) => {
    const lines = spec.lines.map((line) => {
      const values = points.map((point, i) => (point ? line.value(point, startMs + (i + 1) * stepMs) : null))
      const known = points.filter((point, i): point is Sample => point !== undefined && values[i] !== null)
      const figures: LineFigures = {
        chart: spec.name,
        label: line.label,
        unit: spec.unit,
        ...figuresOf(values),
        ...(line.lowest && known.length > 0 ? { lowest: extreme(Math.min, known.map(line.lowest)) } : {}),
        ...(line.highest && known.length > 0 ? { highest: extreme(Math.max, known.map(line.highest)) } : {}),
      }
      return { figures, line: { label: line.label, ...(line.tone ? { tone: line.tone } : {}), values } }
    })
    const { name, title, unit, kind } = spec
    const figures = lines.map((one) => one.figures)
    const chart: Chart = { name, title, unit, kind, startMs, stepMs, lines: lines.map(({ line }) => line), summary: summaryOf(spec, figures) }
    return { chart, figures }
  })
  return { charts: drawn.map(({ chart }) => chart), figures: drawn.flatMap(({ figures }) => figures) }
}

function figuresOf(values: readonly (number | null)[]): Pick<LineFigures, 'latest' | 'lowest' | 'highest' | 'mean'> {
  const known = values.filter((value) => value !== null)
  if (known.length === 0) return { latest: null, lowest: null, highest: null, mean: null }
  const mean = known.reduce((sum, value) => sum + value / known.length, 0)
  return { latest: known.at(-1) ?? null, lowest: extreme(Math.min, known), highest: extreme(Math.max, known), mean }
}

function extreme(of: (a: number, b: number) => number, values: readonly number[]): number {
  return values.reduce((found, value) => of(found, value))
}

/** `Used: 4.0 TB, between 3.1 TB and 4.2 TB. Capacity: 10 TB.` */
function summaryOf({ title }: ChartSpec, figures: readonly LineFigures[]): string {
  const sentences = figures.flatMap(({ label, unit, latest, lowest, highest, mean }) => {
    if (latest === null || lowest === null || highest === null || mean === null) return []
    if (unit === 'percent') return mean === 0 ? [] : [`${label}: ${formatValue(mean, unit)} of the time.`]
    if (unit === 'bytes/s') return [`${label}: ${formatValue(mean, unit)} on average, ${formatValue(highest, unit)} at most.`]
    const range = lowest === highest ? '' : `, between ${formatValue(lowest, unit)} and ${formatValue(highest, unit)}`
    return [`${label}: ${formatValue(latest, unit)}${range}.`]
  })
  return sentences.length === 0 ? `${title}: nothing is known.` : sentences.join(' ')
}

/** A value in its unit, such as `4.0 TB` or `12 MB/s`. */
export function formatValue(value: number | null, unit: ChartUnit): string {
  if (value === null) return UNKNOWN
  switch (unit) {
    case 'bytes':
      return formatSize(Math.round(value))
    case 'bytes/s':
      return `${formatSize(Math.round(value))}/s`
    case 'count':
      return String(Math.round(value))
    case 'days':
      return formatDuration(value * DAY_MS)
    case 'percent':
      return `${value >= 99.95 || value === 0 ? Math.round(value) : value.toFixed(1)} %`
  }
}
