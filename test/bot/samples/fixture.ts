// Samples with given members, and a database for them.

import { createSamples } from '../../../bot/samples/samples.ts'
import { NO_SAMPLE } from '../../../bot/samples/sample.ts'
import type { Sample } from '../../../bot/samples/sample.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'

/** Midnight, so that an hour and a day begin. */
export const MIDNIGHT_MS = Date.UTC(2026, 0, 1)

/** The sample of one minute of a store that answers. */
export function minuteOf(used: number, members: Partial<Sample> = {}): Sample {
  return { ...NO_SAMPLE, running: 1, measured: 1, spans: 1, total: 10_000, used, usedMin: used, usedMax: used, ...members }
}

/** Opens samples in memory; the stores in `registered` are in the registry. */
export function openSamples(registered: ReadonlySet<string> = new Set()) {
  const database = openMemoryDatabase()
  const count = (table: 'sample_minutes' | 'sample_blocks' | 'sample_series'): number =>
    database.query<{ n: number }, []>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? 0
  return { database, count, samples: createSamples(database, (storeId) => registered.has(storeId)), [Symbol.dispose]: () => database.close() }
}

/** Stores whose minutes a process records that is killed. */
export const SAMPLED_STORES = ['a', 'b', 'c'] as const

/** What a store uses in a minute. */
export function usedAt(store: string, minute: number): number {
  return store.charCodeAt(0) * 1000 + ((minute * 37) % 101)
}
