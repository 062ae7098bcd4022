// Figures of a bench: values measured for our store and for a peer on the same files in the same run, as a table and as JSON lines.

/** One measured value, with that of a peer if there is one. `ratio` is how many times better ours is. */
export interface Figure {
  readonly bench: string
  readonly case: string
  readonly value: number
  readonly unit: Unit
  readonly peer: string | null
  readonly peerValue: number | null
  readonly ratio: number | null
}

/** MB is 10^6 bytes. */
export type Unit = 's' | 'ms' | 'KiB' | 'MB' | 'MB/s' | 'slices/s' | 'requests/s' | 'CPU s' | 'CPU ms' | 'CPU µs' | 'rows/CPU s' | 'share' | 'count' | '×'

const MORE_IS_BETTER: ReadonlySet<Unit> = new Set(['MB/s', 'slices/s', 'requests/s', 'rows/CPU s', 'share'])

/** Creates a figure without a peer. */
export function figure(bench: string, name: string, value: number, unit: Unit): Figure {
  return { bench, case: name, value: rounded(value), unit, peer: null, peerValue: null, ratio: null }
}

/** Creates a figure with that of a peer. */
export function comparison(bench: string, name: string, value: number, unit: Unit, peer: string, peerValue: number): Figure {
  const ratio = MORE_IS_BETTER.has(unit) ? value / peerValue : peerValue / value
  return { bench, case: name, value: rounded(value), unit, peer, peerValue: rounded(peerValue), ratio: rounded(ratio) }
}

/** Returns the median; of an even number of values the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

/** Returns the value that this share of all values does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? NaN
}

/** Renders a Markdown table: a line for each case, a column for each peer with the ratio in brackets. */
export function renderTable(figures: readonly Figure[]): string {
  const peers = [...new Set(figures.flatMap(({ peer }) => (peer === null ? [] : [peer])))]
  const cases = Map.groupBy(figures, (one) => `${one.bench}: ${one.case} (${one.unit})`)
  const rows = [...cases].map(([name, group]) => [
    name,
    String(group[0]?.value ?? ''),
    ...peers.map((peer) => {
      const found = group.find((one) => one.peer === peer)
      return found ? `${found.peerValue} (${found.ratio}×)` : ''
    }),
  ])
  const header = ['case', 'slipway', ...peers]
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]): string => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`
  return [line(header), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)].join('\n')
}

/** Rounds to three significant digits. */
function rounded(value: number): number {
  return Number(value.toPrecision(3)) > 999 ? Math.round(value) : Number(value.toPrecision(3))
}
