// Estimates the rate and the remaining time of a task from its reports of the last seconds. Pure functions.

import type { Progress } from '../../protocol/task.ts'

/** Reports older than this, in milliseconds, are ignored while newer ones exist. */
const WINDOW_MS = 10_000
/** Most reports that are kept. The newest report is replaced while it is less than WINDOW_MS / SAMPLES_MAX after the one before it. */
const SAMPLES_MAX = 20

export interface Sample {
  readonly atMs: number
  readonly done: number
}

/** Returns the samples with one more report. */
export function addSample(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  const previous = samples.at(-1)
  // Progress that decreased belongs to a new pass, whose rate starts from zero.
  if (previous && sample.done < previous.done) return [sample]
  const beforePrevious = samples.at(-2)
  const isClose = previous && beforePrevious && sample.atMs - beforePrevious.atMs < WINDOW_MS / SAMPLES_MAX
  const kept = isClose ? samples.slice(0, -1) : samples
  const recent = kept.filter((candidate) => sample.atMs - candidate.atMs <= WINDOW_MS)
  // The newest sample before the window is kept when no other is left, so that a slow task has a rate too.
  return [...(recent.length > 0 ? recent : kept.slice(-1)), sample].slice(-SAMPLES_MAX)
}

/** Returns the units per second between the first and the last sample; 0 while there are fewer than two. */
export function rateOf(samples: readonly Sample[]): number {
  const first = samples[0]
  const last = samples.at(-1)
  if (!first || !last || last.atMs <= first.atMs) return 0
  return ((last.done - first.done) * 1000) / (last.atMs - first.atMs)
}

/** Returns progress as clients see it. */
export function makeProgress(done: number, total: number | null, unit: Progress['unit'], samples: readonly Sample[]): Progress {
  const rate = rateOf(samples)
  const left = total === null ? null : Math.max(0, total - done)
  const etaSeconds = left === null ? null : left === 0 ? 0 : rate > 0 ? Math.round(left / rate) : null
  return { done, total, unit, rate: Math.round(rate * 10) / 10, etaSeconds }
}
