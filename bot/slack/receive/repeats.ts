// Remembers requests of Slack that were run. The signature of a recorded request stays valid for five minutes, and Slack repeats a
// request when the answer is late: no request is run twice, even after a restart of the bot.

import type { Clock } from '../../system/clock.ts'
import type { BotDatabase } from '../../system/database.ts'

/** How long a request is remembered, in milliseconds: a signature is valid from 5 minutes before its timestamp to 5 minutes after it. */
export const REPEAT_MS = 11 * 60_000
/** Most requests that are remembered; all of them were signed by Slack. At this number, new requests are refused rather than old ones forgotten. */
export const REPEATS_MAX = 20_000

/** Whether a request is the first with its key; `full` when no more can be remembered. */
export type Repeat = 'new' | 'repeated' | 'full'

export interface Repeats {
  /** Records the key; durable when it returns. */
  check(key: string): Repeat
}

/** Opens the recorded requests in the bot's database. */
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
