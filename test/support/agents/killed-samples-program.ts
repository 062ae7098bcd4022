// Records minutes of stores in the database of a bot, and kills itself with SIGKILL at a statement on blocks, within the roll-up of an hour:
// `bun killed-samples-program.ts HOME MINUTES STATEMENT`. It goes on at the last minute that is recorded, which it records again with other values. With statement 0 it
// dies once the first hour that it rolls up is durable; with -1 it records everything.

import { Database } from 'bun:sqlite'
import { MINUTE_MS } from '../../../bot/samples/keys.ts'
import { createSamples, FLEET_SERIES } from '../../../bot/samples/samples.ts'
import { openDatabase } from '../../../bot/system/database.ts'
import { MIDNIGHT_MS, minuteOf, SAMPLED_STORES, usedAt } from '../../bot/samples/fixture.ts'

const [home = '', minutes = '', at = ''] = process.argv.slice(2)
const die = (): void => void process.kill(process.pid, 'SIGKILL')
let statements = 0

const query = Database.prototype.query
Database.prototype.query = function counted(this: Database, sql: string) {
  const statement = query.call(this, sql)
  if (!sql.includes('sample_blocks')) return statement
  for (const name of ['run', 'get', 'all'] as const) {
    const original = statement[name].bind(statement) as (...values: unknown[]) => unknown
    Object.defineProperty(statement, name, {
      value: (...values: unknown[]) => {
        if (++statements === Number(at)) die()
        return original(...values)
      },
    })
  }
  return statement
} as typeof query

const database = openDatabase(home)
const samples = createSamples(database, () => true)
const last = samples.minutes(FLEET_SERIES, MIDNIGHT_MS, MIDNIGHT_MS + Number(minutes) * MINUTE_MS).at(-1)
const lastMinute = last ? (last.timeMs - MIDNIGHT_MS) / MINUTE_MS : -1
statements = 0
for (let minute = Math.max(0, lastMinute); minute < Number(minutes); minute++) {
  const wrong = minute === lastMinute ? 7 : 0
  samples.record(new Map(SAMPLED_STORES.map((store) => [store, minuteOf(usedAt(store, minute) + wrong)])), MIDNIGHT_MS + minute * MINUTE_MS)
  if (statements > 0 && at === '0') die()
}
