// Samples in the bot's database: minutes of two days and hours of 400. A minute is one transaction for all stores. The minutes of an hour are rows of their own
// until it is over; then they become one block for each store, and one sample of the hour in the block of its day.

import type { BotDatabase } from '../system/database.ts'
import { blockKey, DAY_MS, HOUR_DAYS, HOUR_MS, MINUTE_HOURS, MINUTE_MS, minuteKey, minuteOf, SERIES_MAX, seriesOf } from './keys.ts'
import { packSlots, unpackSlots } from './pack.ts'
import type { Slot } from './pack.ts'
import { createSeriesNumbers } from './series-numbers.ts'
import { addSamples, mergeSamples } from './sample.ts'
import type { Sample } from './sample.ts'

const MINUTES_A_HOUR = 60
const HOURS_A_DAY = 24
/** A clock that was set back by less waits until the time is there again, in minutes; for more, what is in the future is deleted. */
const SET_BACK_MAX = 5

/** The series of the fleet, which has the id of no store. */
export const FLEET_SERIES = ''

/** A sample and the time at which it begins. */
export interface TimedSample {
  readonly timeMs: number
  readonly sample: Sample
}

export interface Samples {
  /** Records a minute of stores by their ids, and of the fleet, which is their sum. Durable when it returns; a minute that is recorded already is kept as it is. */
  record(samples: ReadonlyMap<string, Sample>, nowMs: number): void
  /** Returns the minutes of a store, or of the fleet, that begin in a range, in their order. Minutes in which nothing is known are absent. */
  minutes(storeId: string, fromMs: number, toMs: number): TimedSample[]
  /** Returns the hours, without the current one. */
  hours(storeId: string, fromMs: number, toMs: number): TimedSample[]
}

interface Row {
  key: number
  bytes: Uint8Array
}

/** Opens the samples of a database. `isRegistered` says whether the store with an id is still in the registry: the series of any other goes with its last sample. */
export function createSamples(database: BotDatabase, isRegistered: (storeId: string) => boolean): Samples {
  const numbers = createSeriesNumbers(database)
  const putMinute = database.query<null, { key: number; bytes: Uint8Array }>('INSERT OR IGNORE INTO sample_minutes (key, bytes) VALUES ($key, $bytes)')
  const minutesBetween = database.query<Row, { from: number; to: number }>(
    'SELECT key, bytes FROM sample_minutes WHERE key >= $from AND key < $to ORDER BY key',
  )
  const dropMinutes = database.query<null, { from: number; to: number }>('DELETE FROM sample_minutes WHERE key >= $from AND key < $to')
  const lastKey = database.query<{ key: number }, []>('SELECT key FROM sample_minutes ORDER BY key DESC LIMIT 1')
  const firstKey = database.query<{ key: number }, []>('SELECT key FROM sample_minutes ORDER BY key LIMIT 1')
  const putBlock = database.query<null, { key: number; bytes: Uint8Array }>('INSERT OR REPLACE INTO sample_blocks (key, bytes) VALUES ($key, $bytes)')
  const blocksBetween = database.query<Row, { from: number; to: number }>('SELECT key, bytes FROM sample_blocks WHERE key >= $from AND key < $to ORDER BY key')
  const anyBlock = database.query<{ key: number }, { from: number; to: number }>('SELECT key FROM sample_blocks WHERE key >= $from AND key < $to LIMIT 1')
  const dropBlocks = database.query<null, { from: number; to: number }>('DELETE FROM sample_blocks WHERE key >= $from AND key < $to')

  /** Moves the minutes of an hour into blocks, and adds the hour to the blocks of its day. */
  const packHour = (hour: number): void => {
    const range = { from: minuteKey(hour * MINUTES_A_HOUR, 0), to: minuteKey((hour + 1) * MINUTES_A_HOUR, 0) }
    for (const [series, rows] of Map.groupBy(minutesBetween.all(range), ({ key }) => seriesOf(key))) {
      const slots = rows.flatMap(({ key, bytes }): Slot[] => unpackSlots(bytes).map(({ sample }) => ({ slot: minuteOf(key) % MINUTES_A_HOUR, sample })))
      putBlock.run({ key: blockKey(0, series, hour), bytes: packSlots(slots) })
      const [day, slot] = [Math.floor(hour / HOURS_A_DAY), hour % HOURS_A_DAY]
      const key = blockKey(1, series, day)
      const earlier = blocksBetween.all({ from: key, to: key + 1 }).flatMap(({ bytes }) => unpackSlots(bytes).filter((one) => one.slot < slot))
      putBlock.run({ key, bytes: packSlots([...earlier, { slot, sample: mergeSamples(slots.map(({ sample }) => sample)) }]) })
    }
    dropMinutes.run(range)
  }
  /** Deletes samples beyond their retention, and series without any. */
  const prune = (hour: number): void => {
    const day = Math.floor(hour / HOURS_A_DAY)
    for (const { number, storeId } of numbers.all()) {
      dropBlocks.run({ from: blockKey(0, number, 0), to: blockKey(0, number, hour - MINUTE_HOURS) })
      dropBlocks.run({ from: blockKey(1, number, 0), to: blockKey(1, number, day - HOUR_DAYS) })
      const hasBlocks = anyBlock.get({ from: blockKey(0, number, 0), to: blockKey(0, number + 1, 0) }) !== null
      if (!hasBlocks && number !== 0 && !isRegistered(storeId)) numbers.remove(number)
    }
  }
  /** Deletes what a clock that was wrong has recorded from a minute on. */
  const dropFuture = (minute: number): void => {
    const hour = Math.floor(minute / MINUTES_A_HOUR)
    const day = Math.floor(hour / HOURS_A_DAY)
    dropMinutes.run({ from: minuteKey(minute, 0), to: Number.MAX_SAFE_INTEGER })
    for (const { number } of numbers.all()) {
      dropBlocks.run({ from: blockKey(0, number, hour), to: blockKey(1, number, 0) })
      dropBlocks.run({ from: blockKey(1, number, day + 1), to: blockKey(0, number + 1, 0) })
    }
  }
  const recordAll = database.transaction((samples: ReadonlyMap<string, Sample>, nowMs: number) => {
    const minute = Math.floor(nowMs / MINUTE_MS)
    const hour = Math.floor(minute / MINUTES_A_HOUR)
    const last = lastKey.get()
    const lastMinute = last ? minuteOf(last.key) : -1
    if (lastMinute - minute > SET_BACK_MAX) dropFuture(minute)
    else if (lastMinute >= minute) return
    let isHourOver = false
    for (let first = firstKey.get(); first; first = firstKey.get()) {
      const firstHour = Math.floor(minuteOf(first.key) / MINUTES_A_HOUR)
      if (firstHour >= hour) break
      packHour(firstHour)
      isHourOver = true
    }
    if (isHourOver) prune(hour)
    const put = (series: number | undefined, sample: Sample): void => {
      if (series !== undefined) putMinute.run({ key: minuteKey(minute, series), bytes: packSlots([{ slot: 0, sample }]) })
    }
    if (samples.size === 0) return
    put(0, addSamples([...samples.values()]))
    for (const [storeId, sample] of samples) put(numbers.take(storeId, SERIES_MAX), sample)
  })

  const blocks = (level: 0 | 1, series: number, [from, to]: readonly [number, number]): readonly (readonly [number, Slot[]])[] =>
    blocksBetween
      .all({ from: blockKey(level, series, from), to: blockKey(level, series, to + 1) })
      .map(({ key, bytes }) => [key - blockKey(level, series, 0), unpackSlots(bytes)])
  const timed = (level: 0 | 1, series: number, [fromMs, toMs]: readonly [number, number]): TimedSample[] => {
    const [blockMs, slotMs] = level === 0 ? [HOUR_MS, MINUTE_MS] : [DAY_MS, HOUR_MS]
    return blocks(level, series, [Math.floor(fromMs / blockMs), Math.floor(toMs / blockMs)])
      .flatMap(([block, slots]) => slots.map(({ slot, sample }) => ({ timeMs: block * blockMs + slot * slotMs, sample })))
      .filter(({ timeMs }) => timeMs >= fromMs && timeMs < toMs)
  }
  /** The minutes that are in no block yet: at most those of the current hour and of one that the service did not end. */
  const loose = (series: number, fromMs: number, toMs: number): TimedSample[] => {
    const first = firstKey.get()
    const last = lastKey.get()
    if (!first || !last) return []
    const from = Math.max(Math.ceil(fromMs / MINUTE_MS), minuteOf(first.key))
    const to = Math.min(Math.ceil(toMs / MINUTE_MS), minuteOf(last.key) + 1)
    const found: TimedSample[] = []
    for (let minute = from; minute < to; minute++) {
      const key = minuteKey(minute, series)
      for (const row of minutesBetween.all({ from: key, to: key + 1 }))
        for (const { sample } of unpackSlots(row.bytes)) found.push({ timeMs: minute * MINUTE_MS, sample })
    }
    return found
  }
  return {
    record: (samples, nowMs) => recordAll.immediate(samples, nowMs),
    minutes(storeId, fromMs, toMs) {
      const series = numbers.find(storeId)
      return series === undefined ? [] : [...timed(0, series, [fromMs, toMs]), ...loose(series, fromMs, toMs)]
    },
    hours(storeId, fromMs, toMs) {
      const series = numbers.find(storeId)
      return series === undefined ? [] : timed(1, series, [fromMs, toMs])
    },
  }
}
