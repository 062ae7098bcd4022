// A chart of a View: lines over time with an even step. The terminal shows it as sparklines, the page as a picture that can be read off, Slack as an image.
// What it says is also in the rows of the View, so nobody needs the picture.

import type { Tone } from './view.ts'

export type ChartUnit = 'bytes' | 'bytes/s' | 'count' | 'days' | 'percent'

export interface ChartLine {
  readonly label: string
  readonly tone?: Tone
  /** One for each step; null for a gap, which is never filled. */
  readonly values: readonly (number | null)[]
}

export interface Chart {
  /** Stable name, such as `used`. */
  readonly name: string
  readonly title: string
  readonly unit: ChartUnit
  /** `band`: the lines are shares of a whole, stacked on each other. */
  readonly kind: 'lines' | 'band'
  readonly startMs: number
  readonly stepMs: number
  readonly lines: readonly ChartLine[]
  /** What the chart says, in a sentence or two. */
  readonly summary: string
}
