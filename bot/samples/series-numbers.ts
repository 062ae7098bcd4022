// The number of each series of samples. A series belongs to the id of a store, so it stays that of the store when it gets another name, and when it is removed
// and added again.

import type { BotDatabase } from '../system/database.ts'

export interface SeriesNumbers {
  find(storeId: string): number | undefined
  /** Returns the number of a store, a new one for a new store; undefined when all `max` numbers are in use. */
  take(storeId: string, max: number): number | undefined
  all(): { readonly number: number; readonly storeId: string }[]
  remove(number: number): void
}

/** Creates the numbers on the bot's database. */
export function createSeriesNumbers(database: BotDatabase): SeriesNumbers {
  const find = database.query<{ number: number }, { storeId: string }>('SELECT number FROM sample_series WHERE store_id = $storeId')
  const all = database.query<{ number: number; store_id: string }, []>('SELECT number, store_id FROM sample_series ORDER BY number')
  const insert = database.query<null, { number: number; storeId: string }>('INSERT INTO sample_series (number, store_id) VALUES ($number, $storeId)')
  // The lowest free number: series 0 is always there.
  const free = database.query<{ number: number }, []>(
    'SELECT number + 1 AS number FROM sample_series AS used WHERE NOT EXISTS (SELECT 1 FROM sample_series AS next WHERE next.number = used.number + 1) ORDER BY number LIMIT 1',
  )
  const remove = database.query<null, { number: number }>('DELETE FROM sample_series WHERE number = $number')
  const numbers: SeriesNumbers = {
    find: (storeId) => find.get({ storeId })?.number,
    take(storeId, max) {
      const known = numbers.find(storeId)
      if (known !== undefined) return known
      const number = free.get()?.number ?? 1
      if (number >= max) return undefined
      insert.run({ number, storeId })
      return number
    },
    all: () => all.all().map(({ number, store_id: storeId }) => ({ number, storeId })),
    remove: (number) => void remove.run({ number }),
  }
  return numbers
}
