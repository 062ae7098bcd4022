// Bench `samples`: a year of samples of 1,000 stores in the bot's database, of which half are busy at any time. How large they are, how long the event loop of the
// bot is held by one minute and by the end of an hour, and how long the series of a chart takes to read.
//
// Every minute is recorded for the last two days, and one minute of each hour before: older minutes are deleted, so only their hours have a size.

import { mkdtempSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../bot/samples/keys.ts'
import { NO_SAMPLE } from '../../bot/samples/sample.ts'
import type { Sample } from '../../bot/samples/sample.ts'
import { createSamples, FLEET_SERIES } from '../../bot/samples/samples.ts'
import { readSeries } from '../../bot/samples/series.ts'
import { openDatabase } from '../../bot/system/database.ts'
import { createRandom } from '../support/properties.ts'
import type { Figure } from './figure.ts'
import { figure, quantile } from './figure.ts'
import { removeFolder } from './measure.ts'

const STORES = 1_000
const DAYS = 365
const MINUTE_DAYS = 2
const START_MS = Date.UTC(2026, 0, 1)
const READS = 20
const MB = 1e6

/** Measures the samples. */
export async function benchSamples(): Promise<Figure[]> {
  const home = mkdtempSync(join(tmpdir(), 'slipway-bench-samples-'))
  try {
    return measure(home)
  } finally {
    removeFolder(home)
  }
}

function measure(home: string): Figure[] {
  using database = openDatabase(home)
  const samples = createSamples(database, () => true)
  const stores = createStores()
  const minutesMs: number[] = []
  const hoursMs: number[] = []
  const endMs = START_MS + DAYS * DAY_MS
  for (let timeMs = START_MS; timeMs < endMs;) {
    const taken = stores.next()
    const beforeMs = performance.now()
    samples.record(taken, timeMs)
    const isDense = timeMs >= endMs - MINUTE_DAYS * DAY_MS
    if (isDense) (timeMs % HOUR_MS === 0 ? hoursMs : minutesMs).push(performance.now() - beforeMs)
    timeMs += isDense ? MINUTE_MS : HOUR_MS
  }
  database.run('PRAGMA wal_checkpoint(TRUNCATE)')
  const read = (storeId: string, spanMs: number): number => {
    const times = Array.from({ length: READS }, () => {
      const beforeMs = performance.now()
      readSeries(samples, storeId, { nowMs: endMs, spanMs })
      return performance.now() - beforeMs
    })
    return quantile(times, 0.99)
  }
  return [
    figure('samples', `${STORES} stores, ${DAYS} days: database`, statSync(join(home, 'bot/bot.db')).size / MB, 'MB'),
    figure('samples', 'a minute of all stores written, p50', quantile(minutesMs, 0.5), 'ms'),
    figure('samples', 'a minute of all stores written, p99', quantile(minutesMs, 0.99), 'ms'),
    figure('samples', 'a minute that ends an hour, p50', quantile(hoursMs.slice(1), 0.5), 'ms'),
    figure('samples', 'a minute that ends an hour, highest', Math.max(...hoursMs.slice(1)), 'ms'),
    figure('samples', 'two days of a store read, p99', read('store 500', MINUTE_DAYS * DAY_MS), 'ms'),
    figure('samples', '400 days of a store read, p99', read('store 500', 400 * DAY_MS), 'ms'),
    figure('samples', '400 days of the fleet read, p99', read(FLEET_SERIES, 400 * DAY_MS), 'ms'),
  ]
}

/** Stores that take images in half of their minutes, serve them in half, and are silent now and then. */
function createStores() {
  const random = createRandom(1)
  const states = Array.from({ length: STORES }, (_unused, i) => ({
    id: `store ${i}`,
    used: random.below(1e9),
    stored: random.below(1e8),
    slices: random.below(1e7),
  }))
  return {
    next(): Map<string, Sample> {
      return new Map(
        states.map((store) => {
          if (random.chance(0.001)) return [store.id, { ...NO_SAMPLE, stopped: 1 }]
          const ingest = random.chance(0.5) ? random.below(2e8) : 0
          const egress = random.chance(0.5) ? random.below(5e8) : 0
          const grown = Math.floor((ingest * 60) / 4096)
          store.used = (store.used + grown) % 1e10
          store.stored = (store.stored + Math.floor(grown / 3)) % 1e10
          store.slices += Math.floor(grown / 24)
          const { used, stored, slices } = store
          const space = { total: 2e10, used, usedMin: used, usedMax: used, stored, images: stored * 3, slices, scrubbed: 29_000_000 }
          const rates = { rated: 1, ratedSpans: 1, ingest, ingestMax: ingest, egress, egressMax: egress }
          return [store.id, { ...NO_SAMPLE, running: 1, measured: 1, spans: 1, ...space, ...rates }]
        }),
      )
    },
  }
}
