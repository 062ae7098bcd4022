// Stores small documents by key in the agent's database.

import type { KeptValues } from '../contract/store.ts'
import type { AgentDatabase } from './database.ts'

/** Longest document in characters of JSON. */
const VALUE_LENGTH_MAX = 4 * 1024 * 1024

/** Creates the kept values of a database. A document is cached in memory after it was read once. */
export function createKeptValues(database: AgentDatabase): KeptValues {
  const read = database.sql.query<{ value: string }, [string]>('SELECT value FROM kept WHERE key = ?')
  const write = database.sql.query<unknown, [string, string]>(
    'INSERT INTO kept (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  )
  const known = new Map<string, string | undefined>()
  return {
    read(key) {
      if (!known.has(key)) known.set(key, read.get(key)?.value)
      const text = known.get(key)
      return text === undefined ? undefined : JSON.parse(text)
    },
    write(key, value) {
      const text = JSON.stringify(value)
      if (text.length > VALUE_LENGTH_MAX) throw new RangeError(`the kept value ${key} has ${text.length} characters, the limit is ${VALUE_LENGTH_MAX}`)
      if (known.get(key) === text) return
      database.durably(() => write.run(key, text))
      known.set(key, text)
    },
  }
}
