// Times of samples as whole minutes, hours and days since 1970, and the keys of their rows.

export const MINUTE_MS = 60_000
export const HOUR_MS = 3_600_000
export const DAY_MS = 86_400_000

/** Hours of which minutes are kept, the current one aside: two days. */
export const MINUTE_HOURS = 48
/** Days of which hours are kept, the current one aside. */
export const HOUR_DAYS = 400

/** Most series in a database: each store that was ever sampled has one, until its last sample is deleted. Series 0 is the fleet. */
export const SERIES_MAX = 2 ** 20
/** Blocks of one series and level: enough until the year 3883. */
const BLOCKS = 2 ** 24

/** A block of level 0 has the minutes of an hour; one of level 1 the hours of a day. */
export type Level = 0 | 1

/** The key of a minute that is not in a block yet: rows of one minute lie together and at the end of the table. */
export function minuteKey(minute: number, series: number): number {
  return minute * SERIES_MAX + series
}

export function minuteOf(key: number): number {
  return Math.floor(key / SERIES_MAX)
}

export function seriesOf(key: number): number {
  return key % SERIES_MAX
}

/** The key of the block of an hour or a day: blocks of one series lie together. */
export function blockKey(level: Level, series: number, block: number): number {
  return (series * 2 + level) * BLOCKS + block
}
