// Keeps the outbox within its bounds. What is dropped is counted for its channel, and the next message to it says how many that were.

import type { BotDatabase } from '../system/database.ts'

/** Most messages and edits that wait. Above it the least important are dropped: replies in threads, then edits, then messages, each time the oldest. */
export const WAITING_MAX = 5_000
/** Most bytes of what waits. */
export const WAITING_BYTES_MAX = 32 * 1024 * 1024
/** What waits for longer is dropped, in milliseconds: it says nothing about the present. */
export const WAITING_AGE_MAX_MS = 24 * 3_600_000
/** Delivered messages that can still be edited; a later View with the key of a forgotten one is a new message. */
export const DELIVERED_MAX = 10_000
/** How long a delivered message can still be edited, since its last change, in milliseconds. */
export const DELIVERED_AGE_MAX_MS = 30 * 86_400_000

export interface Drops {
  /** Drops what is beyond the bounds. */
  enforce(nowMs: number): void
  /** Drops what waits of one message. */
  drop(key: string, channel: string): void
}

interface Candidate {
  key: string
  channel: string
}

/** Creates the bounds of the outbox on the bot's database. */
export function createDrops(database: BotDatabase): Drops {
  const size = database.query<{ count: number; bytes: number }, []>(
    'SELECT count(*) AS count, coalesce(sum(bytes), 0) AS bytes FROM outbox WHERE view IS NOT NULL',
  )
  const least = database.query<Candidate, []>(
    `SELECT key, channel FROM outbox WHERE view IS NOT NULL
     ORDER BY CASE WHEN ts IS NOT NULL THEN 1 WHEN thread_key <> '' THEN 0 ELSE 2 END, put_ms, rowid LIMIT 1`,
  )
  const old = database.query<Candidate, { before: number }>('SELECT key, channel FROM outbox WHERE view IS NOT NULL AND put_ms < $before')
  const removePost = database.query<null, { key: string }>('DELETE FROM outbox WHERE key = $key AND ts IS NULL')
  const removeEdit = database.query<null, { key: string }>('UPDATE outbox SET view = NULL, bytes = 0 WHERE key = $key')
  const count = database.query<null, { channel: string }>(
    `INSERT INTO outbox_channels (channel, dropped, told_ms) VALUES ($channel, 1, 0) ON CONFLICT (channel) DO UPDATE SET dropped = dropped + 1`,
  )
  const forgetOld = database.query<null, { before: number }>('DELETE FROM outbox WHERE view IS NULL AND changed_ms < $before')
  const forgetMany = database.query<null, { kept: number }>(
    `DELETE FROM outbox WHERE view IS NULL
     AND changed_ms <= (SELECT changed_ms FROM outbox WHERE view IS NULL ORDER BY changed_ms DESC LIMIT 1 OFFSET $kept)`,
  )
  const drop = (key: string, channel: string): void => {
    removePost.run({ key })
    removeEdit.run({ key })
    count.run({ channel })
  }
  return {
    drop,
    enforce(nowMs) {
      for (const { key, channel } of old.all({ before: nowMs - WAITING_AGE_MAX_MS })) drop(key, channel)
      for (let now = size.get(); now && (now.count > WAITING_MAX || now.bytes > WAITING_BYTES_MAX); now = size.get()) {
        const candidate = least.get()
        if (candidate) drop(candidate.key, candidate.channel)
      }
      forgetOld.run({ before: nowMs - DELIVERED_AGE_MAX_MS })
      forgetMany.run({ kept: DELIVERED_MAX })
    },
  }
}
