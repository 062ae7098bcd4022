// Exact arithmetic of usage: calendar months in UTC, and sums of bytes times milliseconds as integers. Figures are rounded only when they are written.
// UTC has no daylight saving time, so a month always has 24 hours a day.

/** 1 GB in bytes, and an hour in milliseconds. */
const GB = 1_000_000_000n
const HOUR_MS = 3_600_000n
const DAY_MS = 86_400_000n
/** The least common multiple of 28, 29, 30 and 31: in this unit, every month has a whole number of days. */
const MONTH_DAYS_MULTIPLE = 377_580n
/** Decimals of hours and costs. */
const DECIMALS = 6

/** One calendar month in UTC, limited to a range. */
export interface MonthPart {
  /** `2026-11`. */
  readonly month: string
  readonly fromMs: number
  readonly toMs: number
  /** Days of the whole month. */
  readonly days: number
}

/** Returns the months of a range, the first and the last cut to it. */
export function monthsOf(fromMs: number, toMs: number): MonthPart[] {
  const parts: MonthPart[] = []
  for (let startMs = fromMs; startMs < toMs;) {
    const start = new Date(startMs)
    const [year, month] = [start.getUTCFullYear(), start.getUTCMonth()]
    const nextMs = Date.UTC(year, month + 1)
    const days = (nextMs - Date.UTC(year, month)) / Number(DAY_MS)
    parts.push({ month: start.toISOString().slice(0, 7), fromMs: startMs, toMs: Math.min(nextMs, toMs), days })
    startMs = nextMs
  }
  return parts
}

/** A sum of usage. `byteMs` and `storedByteMs` are bytes times milliseconds; the weighted one is in shares of months, for the cost. */
export interface Sum {
  byteMs: bigint
  storedByteMs: bigint
  monthByteMs: bigint
}

export function noSum(): Sum {
  return { byteMs: 0n, storedByteMs: 0n, monthByteMs: 0n }
}

/** Adds bytes that were used for some time of one month. */
export function addTo(sum: Sum, { days }: MonthPart, used: { readonly length: number; readonly storedSize: number | null; readonly ms: number }): void {
  const byteMs = BigInt(used.length) * BigInt(used.ms)
  sum.byteMs += byteMs
  sum.storedByteMs += BigInt(used.storedSize ?? 0) * BigInt(used.ms)
  sum.monthByteMs += byteMs * (MONTH_DAYS_MULTIPLE / BigInt(days))
}

/** A price as an exact fraction: `units` divided by `scale`. */
export interface Price {
  readonly text: string
  readonly units: bigint
  readonly scale: bigint
}

/** Parses a decimal number such as `0.05`. The configuration has checked its form. */
export function parsePrice(text: string): Price {
  const [whole = '0', fraction = ''] = text.split('.')
  return { text, units: BigInt(whole + fraction), scale: 10n ** BigInt(fraction.length) }
}

/** Returns the figures of a sum as decimal texts. The cost is null without a price. */
export function figuresOf(sum: Sum, price: Price | undefined): { gbHours: string; storedGbHours: string; cost: string | null } {
  return {
    gbHours: formatFraction(sum.byteMs, GB * HOUR_MS),
    storedGbHours: formatFraction(sum.storedByteMs, GB * HOUR_MS),
    cost: price ? formatFraction(sum.monthByteMs * price.units, GB * MONTH_DAYS_MULTIPLE * DAY_MS * price.scale) : null,
  }
}

/** Formats a fraction of integers that are not negative with DECIMALS decimals, rounded half up. */
function formatFraction(numerator: bigint, denominator: bigint): string {
  const units = (numerator * 10n ** BigInt(DECIMALS) * 2n + denominator) / (denominator * 2n)
  const digits = units.toString().padStart(DECIMALS + 1, '0')
  return `${digits.slice(0, -DECIMALS)}.${digits.slice(-DECIMALS)}`
}
