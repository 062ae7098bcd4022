// Requests of Slack that were run already. A recorded request verifies for five minutes, and Slack itself sends one again
// when an answer was late: neither is run twice, also not after a restart of the bot.

import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'

/** How long a request is remembered, in milliseconds: a signature verifies from 5 minutes before its time to 5 minutes after it. */
export const REPEAT_MS = 11 * 60_000
/** Requests that are remembered; only what Slack has signed gets here. At this number new ones are refused rather than old ones forgotten. */
export const REPEATS_MAX = 20_000

/** Whether a request is the first with its key. */
export type Repeat = 'new' | 'repeated' | 'full'

export interface Repeats {
  /** Remembers the key; durable when it returns. */
  check(key: string): Repeat
}

/** Opens the memory of the bot's database. */
export function createRepeats(database: BotDatabase, clock: Pick<Clock, 'nowMs'>): Repeats {
  const insert = database.query<null, { key: string; until: number }>('INSERT OR IGNORE INTO slack_requests (key, until_ms) VALUES ($key, $until)')
  const expire = database.query<null, { now: number }>('DELETE FROM slack_requests WHERE until_ms <= $now')
  const count = database.query<{ count: number }, []>('SELECT count(*) AS count FROM slack_requests')
  const check = database.transaction((key: string): Repeat => {
    const nowMs = clock.nowMs()
    expire.run({ now: nowMs })
    if ((count.get()?.count ?? 0) >= REPEATS_MAX) return 'full'
    return insert.run({ key, until: nowMs + REPEAT_MS }).changes > 0 ? 'new' : 'repeated'
  })
  return { check: (key) => check.immediate(key) }
}
