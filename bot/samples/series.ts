// Samples as a series with an even step and a bounded number of points. A point without a sample is a gap: nothing is put between what is known.

import { HOUR_MS, MINUTE_HOURS, MINUTE_MS } from './keys.ts'
import { mergeSamples } from './sample.ts'
import type { Sample } from './sample.ts'
import type { Samples } from './samples.ts'

/** Most points of a series. */
export const POINTS_MAX = 1_000
/** Steps between points in milliseconds. */
const STEPS_MS = [1, 2, 3, 5, 10, 15, 30, 60, 120, 180, 360, 600, 720, 1440].map((minutes) => minutes * MINUTE_MS)

export interface Series {
  /** Time of the first point. */
  readonly startMs: number
  readonly stepMs: number
  /** One for each step; undefined for a gap. */
  readonly points: readonly (Sample | undefined)[]
}

/** Returns the series of a store, or of the fleet, over the time before now. */
export function readSeries(
  samples: Pick<Samples, 'minutes' | 'hours'>,
  storeId: string,
  { nowMs, spanMs }: { readonly nowMs: number; readonly spanMs: number },
): Series {
  const isMinutes = spanMs <= MINUTE_HOURS * HOUR_MS
  const least = Math.max(isMinutes ? MINUTE_MS : HOUR_MS, spanMs / POINTS_MAX)
  const stepMs = STEPS_MS.find((step) => step >= least) ?? Math.ceil(least / HOUR_MS) * HOUR_MS
  const endMs = (Math.floor(nowMs / stepMs) + 1) * stepMs
  const count = Math.min(POINTS_MAX, Math.ceil(spanMs / stepMs))
  const startMs = endMs - count * stepMs
  const hours = isMinutes ? [] : samples.hours(storeId, startMs, endMs)
  // The current hour has no sample of its own yet.
  const minutesMs = isMinutes ? startMs : Math.max(startMs, (hours.at(-1)?.timeMs ?? startMs - HOUR_MS) + HOUR_MS)
  const found = [...hours, ...samples.minutes(storeId, minutesMs, endMs)]
  const byPoint = Map.groupBy(found, ({ timeMs }) => Math.floor((timeMs - startMs) / stepMs))
  const points = Array.from({ length: count }, (_unused, i) => {
    const group = byPoint.get(i)
    return group && mergeSamples(group.map(({ sample }) => sample))
  })
  return { startMs, stepMs, points }
}
