// A small registry of metrics and its text in the exposition format of Prometheus (version 0.0.4).

import type { Audience } from '../contract/images.ts'

export type Labels = Readonly<Record<string, string>>

/** Most series of one metric. Further ones are dropped, so that labels from clients cannot fill the memory. */
const SERIES_MAX = 1000

export interface Counter {
  add(amount: number, labels?: Labels): void
}

export interface Histogram {
  observe(value: number, labels?: Labels): void
}

/** One value of a gauge or counter that is read when the metrics are scraped. */
export interface Reading {
  readonly value: number
  readonly labels?: Labels
}

export interface Metrics {
  counter(name: string, help: string): Counter
  /** `bounds` are the upper bounds of the buckets, ascending; the bucket without a bound is added. */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram
  /** Adds values that are read at each scrape. A reading that throws is omitted, so that one broken part does not hide the others. */
  reading(name: string, help: string, type: 'gauge' | 'counter', read: (audience: Audience | undefined) => Reading[] | Promise<Reading[]>): void
  /** Returns the text, with metrics in the order of their creation. Readings get the audience. */
  render(audience?: Audience): Promise<string>
}

type Lines = (audience: Audience | undefined) => string[] | Promise<string[]>

/** Creates an empty registry. Adding a name twice throws. */
export function createMetrics(): Metrics {
  const metrics = new Map<string, { readonly head: string; readonly lines: Lines }>()

  const add = (name: string, help: string, type: string, lines: Lines): void => {
    if (metrics.has(name)) throw new Error(`two metrics with the name ${name}`)
    const escaped = help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
    metrics.set(name, { head: `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n`, lines })
  }

  return {
    counter(name, help) {
      const series = new Map<string, number>()
      add(name, help, 'counter', () => [...series].map(([labels, value]) => `${name}${labels} ${value}`))
      return {
        add(amount, labels = {}) {
          const key = formatLabels(labels)
          const known = series.get(key)
          if (known !== undefined || series.size < SERIES_MAX) series.set(key, (known ?? 0) + amount)
        },
      }
    },

    histogram(name, help, bounds) {
      const series = new Map<string, { readonly labels: Labels; readonly counts: number[]; sum: number; count: number }>()
      add(name, help, 'histogram', () => [...series.values()].flatMap((one) => histogramLines(name, bounds, one)))
      return {
        observe(value, labels = {}) {
          const key = formatLabels(labels)
          let one = series.get(key)
          if (!one) {
            if (series.size >= SERIES_MAX) return
            one = { labels, counts: bounds.map(() => 0), sum: 0, count: 0 }
            series.set(key, one)
          }
          one.sum += value
          one.count++
          const bucket = bounds.findIndex((bound) => value <= bound)
          if (bucket >= 0) one.counts[bucket] = (one.counts[bucket] ?? 0) + 1
        },
      }
    },

    reading(name, help, type, read) {
      add(name, help, type, async (audience) => (await read(audience)).map(({ value, labels }) => `${name}${formatLabels(labels ?? {})} ${value}`))
    },

    async render(audience) {
      const parts = await Promise.all(
        [...metrics.values()].map(async ({ head, lines }) => {
          try {
            return head + (await lines(audience)).map((line) => `${line}\n`).join('')
          } catch {
            // The health checks report the part that broke; here only its values are missing.
            return ''
          }
        }),
      )
      return parts.join('')
    },
  }
}

function histogramLines(
  name: string,
  bounds: readonly number[],
  { labels, counts, sum, count }: { readonly labels: Labels; readonly counts: readonly number[]; readonly sum: number; readonly count: number },
): string[] {
  let below = 0
  const buckets = bounds.map((bound, index) => {
    below += counts[index] ?? 0
    return `${name}_bucket${formatLabels({ ...labels, le: String(bound) })} ${below}`
  })
  const own = formatLabels(labels)
  return [...buckets, `${name}_bucket${formatLabels({ ...labels, le: '+Inf' })} ${count}`, `${name}_sum${own} ${sum}`, `${name}_count${own} ${count}`]
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}
