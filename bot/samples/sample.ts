// A sample: what is known of a store, or of the fleet, over a minute or over many. Samples of the same store merge in time; samples of stores add up to that of
// the fleet. All members are whole numbers that are not negative.

/** Bytes are counted in units of 4 KiB, the block of file systems: so the sum over a fleet stays exact. */
export const UNIT_BYTES = 4096
/** Largest value of a member. Agents are not trusted to say what is possible. */
export const VALUE_MAX = 2 ** 52

export interface Sample {
  /** Minutes in each state; for the fleet, minutes of stores. Their sum is how much of the time is known. */
  readonly running: number
  readonly degraded: number
  readonly stopped: number
  readonly error: number
  /** Minutes in which the store said how full it is; the members from `total` to `scrubbed` are 0 without any. For the fleet, minutes of stores. */
  readonly measured: number
  /** Minutes in which its rates are known; the four rates are 0 without any. */
  readonly rated: number
  /** Minutes in which at least one store was measured: over these the means of a fleet are taken. Equal to `measured` for a store. */
  readonly spans: number
  /** As `spans`, for the rates. */
  readonly ratedSpans: number
  /** Size of the file system, at the end. */
  readonly total: number
  /** Used space of the file system: mean, lowest, highest. */
  readonly used: number
  readonly usedMin: number
  readonly usedMax: number
  /** Space of the slices, and length of the images, at the end. Their difference is saved. */
  readonly stored: number
  readonly images: number
  /** Number of slices at the end. */
  readonly slices: number
  /** End of the last scrub in minutes since 1970; 0 for none. For the fleet, the oldest. */
  readonly scrubbed: number
  /** Bytes of image content a second: mean and highest. */
  readonly ingest: number
  readonly ingestMax: number
  readonly egress: number
  readonly egressMax: number
}

/** The members, in the order in which they are packed. */
export const MEMBERS = [
  'running',
  'degraded',
  'stopped',
  'error',
  'measured',
  'rated',
  'spans',
  'ratedSpans',
  'total',
  'used',
  'usedMin',
  'usedMax',
  'stored',
  'images',
  'slices',
  'scrubbed',
  'ingest',
  'ingestMax',
  'egress',
  'egressMax',
] as const satisfies readonly (keyof Sample)[]

/** A sample of nothing. */
export const NO_SAMPLE: Sample = Object.fromEntries(MEMBERS.map((member) => [member, 0])) as unknown as Sample

/** Returns a value within the bounds of a member. */
export function bounded(value: number): number {
  return Number.isFinite(value) && value > 0 ? Math.min(VALUE_MAX, Math.floor(value)) : 0
}

/** Merges samples that follow each other in time: counts add up, means are weighted by the minutes behind them, what was at the end is that of the last. */
export function mergeSamples(samples: readonly Sample[]): Sample {
  const sum = (member: keyof Sample): number => bounded(samples.reduce((total, one) => total + one[member], 0))
  const measured = samples.filter((one) => one.measured > 0)
  const rated = samples.filter((one) => one.rated > 0)
  const last = measured.at(-1) ?? NO_SAMPLE
  const greatest = (among: readonly Sample[], member: keyof Sample): number => among.reduce((most, one) => Math.max(most, one[member]), 0)
  return {
    running: sum('running'),
    degraded: sum('degraded'),
    stopped: sum('stopped'),
    error: sum('error'),
    measured: sum('measured'),
    rated: sum('rated'),
    spans: sum('spans'),
    ratedSpans: sum('ratedSpans'),
    total: last.total,
    used: mean(measured, 'used', 'spans'),
    usedMin: measured.reduce((least, one) => Math.min(least, one.usedMin), measured.length === 0 ? 0 : VALUE_MAX),
    usedMax: greatest(measured, 'usedMax'),
    stored: last.stored,
    images: last.images,
    slices: last.slices,
    scrubbed: last.scrubbed,
    ingest: mean(rated, 'ingest', 'ratedSpans'),
    ingestMax: greatest(rated, 'ingestMax'),
    egress: mean(rated, 'egress', 'ratedSpans'),
    egressMax: greatest(rated, 'egressMax'),
  }
}

/** Mean of a member, weighted by the minutes behind it. */
function mean(samples: readonly Sample[], member: keyof Sample, weight: 'spans' | 'ratedSpans'): number {
  const minutes = samples.reduce((sum, one) => sum + one[weight], 0)
  // Shares first: the product of a value and a weight may be too large to be exact.
  return minutes === 0 ? 0 : bounded(Math.round(samples.reduce((sum, one) => sum + one[member] * (one[weight] / minutes), 0)))
}

/** Adds up the samples of stores over the same minute: the sample of the fleet. */
export function addSamples(samples: readonly Sample[]): Sample {
  const sum = (member: keyof Sample): number => bounded(samples.reduce((total, one) => total + one[member], 0))
  const scrubs = samples.flatMap(({ scrubbed }) => (scrubbed === 0 ? [] : [scrubbed]))
  const total = Object.fromEntries(MEMBERS.map((member) => [member, sum(member)])) as unknown as Sample
  return {
    ...total,
    spans: Math.min(1, total.spans),
    ratedSpans: Math.min(1, total.ratedSpans),
    scrubbed: scrubs.reduce((least, one) => Math.min(least, one), scrubs[0] ?? 0),
  }
}
