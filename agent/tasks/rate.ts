// How fast a task moves and when it will be done, from what it reported over the last seconds. Pure.

import type { Progress } from '../../protocol/task.ts'

/** Reports older than this in milliseconds do not count, as long as there are newer ones. */
const WINDOW_MS = 10_000
/** Reports that are remembered; closer ones than this many a window replace one another. */
const SAMPLES_MAX = 20

export interface Sample {
  readonly atMs: number
  readonly done: number
}

/** The samples with one more report. */
export function addSample(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  const previous = samples.at(-1)
  // Progress that went back is a new pass: its rate begins anew.
  if (previous && sample.done < previous.done) return [sample]
  const beforePrevious = samples.at(-2)
  const isClose = previous && beforePrevious && sample.atMs - beforePrevious.atMs < WINDOW_MS / SAMPLES_MAX
  const kept = isClose ? samples.slice(0, -1) : samples
  const recent = kept.filter((candidate) => sample.atMs - candidate.atMs <= WINDOW_MS)
  // One sample before the window stays when nothing else is left, so that a slow task has a rate too.
  return [...(recent.length > 0 ? recent : kept.slice(-1)), sample].slice(-SAMPLES_MAX)
}

/** Units a second between the first and the last sample; 0 while there is nothing to tell. */
export function rateOf(samples: readonly Sample[]): number {
  const first = samples[0]
  const last = samples.at(-1)
  if (!first || !last || last.atMs <= first.atMs) return 0
  return ((last.done - first.done) * 1000) / (last.atMs - first.atMs)
}

/** Progress as it is shown. */
export function makeProgress(done: number, total: number | null, unit: Progress['unit'], samples: readonly Sample[]): Progress {
  const rate = rateOf(samples)
  const left = total === null ? null : Math.max(0, total - done)
  const etaSeconds = left === null ? null : left === 0 ? 0 : rate > 0 ? Math.round(left / rate) : null
  return { done, total, unit, rate: Math.round(rate * 10) / 10, etaSeconds }
}
