// A chart as lines of text: a row of bars for each line, with a space where nothing is known.

import type { Chart } from '../../protocol/views/chart.ts'

const BARS = '▁▂▃▄▅▆▇█'
/** Bars of a row; narrower terminals get fewer. */
const WIDTH_MAX = 60

/** Returns the rows of charts: label and bars. The lines of a chart have one scale, from 0 to the highest value. */
export function sparklines(charts: readonly Chart[], width: number | undefined): string[] {
  const labelWidth = Math.max(0, ...charts.flatMap(({ lines }) => lines.map(({ label }) => Bun.stringWidth(label))))
  const room = Math.max(10, Math.min(WIDTH_MAX, (width ?? Number.POSITIVE_INFINITY) - labelWidth - 4))
  return charts.flatMap(({ title, lines }) => {
    const highest = Math.max(...lines.flatMap(({ values }) => values.map((value) => value ?? 0)), 0)
    return [
      title,
      ...lines.map(({ label, values }) => `  ${label}${' '.repeat(labelWidth - Bun.stringWidth(label))}  ${bars(values, highest, room)}`.trimEnd()),
    ]
  })
}

/** Each bar is the mean of the values that it stands for. */
function bars(values: readonly (number | null)[], highest: number, room: number): string {
  const each = values.length / Math.min(room, values.length)
  return Array.from({ length: Math.min(room, values.length) }, (_unused, i) => {
    const known = values.slice(Math.floor(i * each), Math.floor((i + 1) * each)).filter((value) => value !== null)
    if (known.length === 0) return ' '
    const share = highest === 0 ? 0 : known.reduce((sum, value) => sum + value / known.length, 0) / highest
    return BARS.charAt(Math.min(BARS.length - 1, Math.floor(share * BARS.length)))
  }).join('')
}
