// Forecasts when the space of a store will be used up, from samples of the last days. Pure.

/** Free bytes above the reserve at a time in milliseconds since 1970. */
export interface SpaceSample {
  readonly atMs: number
  readonly availableBytes: number
}

export const SAMPLE_EVERY_MS = 3_600_000
/** Two weeks of samples. */
const SAMPLES_MAX = 14 * 24
/** A forecast needs samples of at least a day. */
const SPAN_MIN_MS = 86_400_000
/** No date further away than this is forecast, in milliseconds. */
const HORIZON_MS = 365 * 86_400_000

/** Returns the samples with one more; undefined while the last one is recent enough. */
export function addSpaceSample(samples: readonly SpaceSample[], sample: SpaceSample): readonly SpaceSample[] | undefined {
  const last = samples.at(-1)
  if (last && sample.atMs >= last.atMs && sample.atMs - last.atMs < SAMPLE_EVERY_MS) return undefined
  // Samples with a time in the future, from a clock that was wrong, would distort the forecast for days.
  return [...samples.filter((known) => known.atMs < sample.atMs), sample].slice(-SAMPLES_MAX)
}

/** Returns when a straight line through the samples (least squares) reaches zero; null when it does not, or when there are too few samples. */
export function forecastFullMs(samples: readonly SpaceSample[], nowMs: number): number | null {
  const first = samples[0]
  const last = samples.at(-1)
  if (!first || !last || last.atMs - first.atMs < SPAN_MIN_MS) return null
  const count = samples.length
  const meanMs = samples.reduce((sum, sample) => sum + (sample.atMs - first.atMs), 0) / count
  const meanBytes = samples.reduce((sum, sample) => sum + sample.availableBytes, 0) / count
  let covariance = 0
  let variance = 0
  for (const { atMs, availableBytes } of samples) {
    covariance += (atMs - first.atMs - meanMs) * (availableBytes - meanBytes)
    variance += (atMs - first.atMs - meanMs) ** 2
  }
  const bytesPerMs = covariance / variance
  if (!(bytesPerMs < 0)) return null
  const leftMs = last.availableBytes / -bytesPerMs - (nowMs - last.atMs)
  return leftMs > HORIZON_MS ? null : nowMs + Math.max(0, leftMs)
}
