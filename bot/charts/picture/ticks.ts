// Where the axes of a picture have their ticks, and what these say.

import { DAY_MS, HOUR_MS } from '../../samples/keys.ts'
import type { ChartUnit } from '../../../protocol/views/chart.ts'
import { formatValue } from '../charts.ts'

interface Tick {
  readonly value: number
  readonly label: string
}

const VALUE_TICKS_MAX = 6
const TIME_TICKS_MAX = 8
/** Hours between two ticks of the time; longer ones are days. */
const TIME_STEPS_MS = [0.25, 0.5, 1, 2, 3, 6, 12, 24, 48, 24 * 4, 24 * 7, 24 * 14, 24 * 28, 24 * 56].map((hours) => hours * HOUR_MS)

/** Returns ticks from 0 to the highest value, at round figures; the last one is the top of the axis. */
export function valueTicks(highest: number, unit: ChartUnit): Tick[] {
  if (unit === 'percent') return [0, 25, 50, 75, 100].map((value) => ({ value, label: `${value} %` }))
  const top = highest > 0 ? highest : 1
  const least = Math.max(top / (VALUE_TICKS_MAX - 1), unit === 'days' ? 0 : 1)
  const power = 10 ** Math.floor(Math.log10(least))
  const step = ([1, 2, 5].find((times) => times * power >= least) ?? 10) * power
  return Array.from({ length: Math.ceil(top / step) + 1 }, (_unused, i) => ({ value: i * step, label: formatValue(i * step, unit) }))
}

/** Returns the times between start and end that have a tick: hours, or days of UTC when the time is long. */
export function timeTicks(startMs: number, endMs: number): Tick[] {
  const least = (endMs - startMs) / TIME_TICKS_MAX
  const step = TIME_STEPS_MS.find((ms) => ms >= least) ?? Math.ceil(least / DAY_MS) * DAY_MS
  const first = Math.ceil(startMs / step)
  return Array.from({ length: Math.floor(endMs / step) - first + 1 }, (_unused, i) => {
    const value = (first + i) * step
    const [day = '', time = ''] = new Date(value).toISOString().split('T')
    return { value, label: step < DAY_MS && value % DAY_MS !== 0 ? time.slice(0, 5) : day }
  })
}
