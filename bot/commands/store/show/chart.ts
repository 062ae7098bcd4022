// Charts of a store and of the fleet over a period, from the samples that the service takes: `store show S --chart` and `store health --chart`.

import { problem } from '../../../../protocol/problems.ts'
import { nearestName } from '../../../../protocol/nearest.ts'
import { formatTime } from '../../../../protocol/time.ts'
import { formatDuration, parseDuration } from '../../../../protocol/units.ts'
import type { Chart } from '../../../../protocol/views/chart.ts'
import type { Column, Field, View } from '../../../../protocol/views/view.ts'
import { makeView } from '../../../../protocol/views/view.ts'
import { CHART_NAMES, drawCharts, formatValue } from '../../../charts/charts.ts'
import type { ChartName } from '../../../charts/charts.ts'
import { DAY_MS, HOUR_DAYS, HOUR_MS } from '../../../samples/keys.ts'
import { quoteWord } from '../../../views/quote.ts'
import { FLEET_SERIES } from '../../../samples/samples.ts'
import { readSeries } from '../../../samples/series.ts'
import { judge } from '../../../fleet/judge.ts'
import type { Observation } from '../../../fleet/judge.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import { keptSightings, seeStores } from '../../../fleet/see.ts'
import { forecastFields } from '../health/fleet-health.ts'
import type { CommandContext } from '../../command.ts'

const ALL = 'all'
const PERIOD_DEFAULT = '2d'
/** Times that an answer leads to. */
const PERIODS = ['6h', '2d', '30d', '400d']

/** Options of the commands that show charts. */
export const CHART_OPTIONS = {
  chart: { about: 'shows how it was over time: all charts, or one of them', value: [ALL, ...CHART_NAMES].join('|'), choices: [ALL, ...CHART_NAMES], bare: ALL },
  period: { about: 'the time up to now that charts show, from 1h to 400d; 2d without it', value: '2d' },
} as const

const COLUMNS: readonly Column[] = [
  { key: 'line', label: 'Line' },
  { key: 'latest', label: 'Latest', align: 'right' },
  { key: 'lowest', label: 'Lowest', align: 'right' },
  { key: 'highest', label: 'Highest', align: 'right' },
  { key: 'mean', label: 'Mean', align: 'right' },
]

interface ChartsAsked {
  /** A store by its id, or the fleet. */
  readonly series: string
  /** `edge-a`, `all stores`. */
  readonly subject: string
  /** The command line without its options. */
  readonly line: string
  readonly order: ChartOrder
  /** What is known of the time to come. */
  readonly forecast: readonly Field[]
}

/** What charts are shown, and of how long a time. */
export interface ChartOrder {
  readonly wanted: ChartName | typeof ALL
  readonly spanMs: number
}

/** Reads the options; undefined without `chart`. Throws `invalid-input` for a chart or a period that there is not. */
export function parseCharts({ chart, period }: { readonly chart?: string; readonly period?: string }): ChartOrder | undefined {
  if (chart !== undefined) return { wanted: parseChart(chart), spanMs: parsePeriod(period ?? PERIOD_DEFAULT) }
  if (period === undefined) return undefined
  throw problem('invalid-input', 'period= is the time that charts show.', { action: 'Add --chart, or leave period= out.' })
}

/** The charts of a store, with when it will be full. No agent is asked, unless `isFresh`: only the forecast comes from it. */
export async function storeCharts(context: CommandContext, store: StoreRecord, order: ChartOrder, isFresh: boolean): Promise<View> {
  const seen = await knownOf(context, [store], isFresh)
  const { name } = store
  // A store that never answered has no id, and no samples: no series has this one.
  const series = seen[0]?.store?.id ?? store.storeId ?? 'none'
  return chartView(context, { series, subject: name, line: `store show ${quoteWord(name)}`, order, forecast: forecastFields(seen) })
}

/** The charts of the fleet, as those of a store. */
export async function fleetCharts(context: CommandContext, stores: readonly StoreRecord[], order: ChartOrder, isFresh: boolean): Promise<View> {
  const seen = await knownOf(context, stores, isFresh)
  return chartView(context, { series: FLEET_SERIES, subject: 'All stores', line: 'store health all', order, forecast: forecastFields(seen) })
}

/** What the service knows of stores now, or what their agents say. */
async function knownOf(context: CommandContext, stores: readonly StoreRecord[], isFresh: boolean): Promise<Observation[]> {
  if (isFresh) return seeStores(context, stores, true)
  return [...keptSightings(context.fleet, stores, context.clock.nowMs()).values()].map(judge)
}

/** The View of charts. */
function chartView({ samples, clock }: CommandContext, { series, subject, line, order, forecast }: ChartsAsked): View {
  const { wanted, spanMs } = order
  const nowMs = clock.nowMs()
  const read = readSeries(samples, series, { nowMs, spanMs })
  const known = read.points.filter((point) => point !== undefined).length
  const { charts, figures } = drawCharts(read, wanted)
  const span = formatDuration(spanMs)
  return makeView({
    title: `${subject}: the last ${span}`,
    text:
      known === 0
        ? `There are no samples of ${subject} in this time. The service takes one a minute while it runs.`
        : charts.length === 1
          ? (charts[0]?.summary ?? '')
          : '',
    fields: forecast,
    columns: known === 0 ? [] : COLUMNS,
    rows:
      known === 0
        ? []
        : figures.map(({ label, unit, ...line }) => ({
            cells: {
              line: label,
              latest: formatValue(line.latest, unit),
              lowest: formatValue(line.lowest, unit),
              highest: formatValue(line.highest, unit),
              mean: formatValue(line.mean, unit),
            },
          })),
    notes: known === 0 || known === read.points.length ? [] : [gapNote(read.points.length - known, read.points.length, read.stepMs)],
    charts: known === 0 ? [] : charts,
    actions: PERIODS.filter((other) => parseDuration(other) !== spanMs).map((other) => ({
      label: `Last ${formatDuration(parseDuration(other) ?? 0)}`,
      command: `${line} --chart${wanted === ALL ? '' : `=${wanted}`} period=${other}`,
      role: 'viewer' as const,
    })),
    asOfMs: nowMs,
    json: {
      subject,
      from: formatTime(read.startMs),
      stepSeconds: read.stepMs / 1000,
      charts: charts.map(chartJson),
      forecast: forecast.map(({ value }) => value),
      asOf: formatTime(nowMs),
    },
  })
}

function gapNote(gaps: number, points: number, stepMs: number): string {
  return `Nothing is known of ${formatDuration(gaps * stepMs)} of these ${formatDuration(points * stepMs)}: charts have gaps there.`
}

function chartJson({ name, title, unit, lines }: Chart): Record<string, unknown> {
  return { name, title, unit, lines: lines.map(({ label, values }) => ({ label, values })) }
}

function parseChart(text: string): ChartName | typeof ALL {
  const known = [ALL, ...CHART_NAMES] as const
  const found = known.find((name) => name === text)
  if (found !== undefined) return found
  const meant = nearestName(text, known)
  throw problem('invalid-input', `There is no chart "${text}".`, {
    action: meant === undefined ? `Use one of: ${known.join(', ')}.` : `Did you mean ${meant}?`,
  })
}

function parsePeriod(text: string): number {
  const ms = parseDuration(text)
  if (ms !== undefined && ms >= HOUR_MS && ms <= HOUR_DAYS * DAY_MS) return ms
  throw problem('invalid-input', `period=${text} is no time from 1h to ${HOUR_DAYS}d.`, { action: 'Write it as 6h, 2d, 30d or 400d.' })
}
