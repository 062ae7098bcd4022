// The outbox: messages for Slack that wait in the bot's database until they are delivered. Whoever has something to say puts it here, in the same transaction as the
// state that it speaks of; the sender (bot/slack/send/send-outbox.ts) delivers it, also after a restart or when Slack was away for hours.

import type { Clock } from '../system/clock.ts'
import type { BotDatabase } from '../system/database.ts'
import { limitText, SECTION_TEXT_MAX } from '../views/slack-limits.ts'
import { makeView } from '../../protocol/views/view.ts'
import type { View } from '../../protocol/views/view.ts'
import { createDrops } from './drops.ts'

/** The longest View that waits, in bytes of its JSON. Of a longer one, title and text are posted, and a note says so. */
export const VIEW_BYTES_MAX = 128 * 1024
/** The longest key of a message. */
export const KEY_LENGTH_MAX = 200

export interface OutboxPost {
  /** Names the message: the first View with a key is posted, later ones edit that message. At most KEY_LENGTH_MAX characters. */
  readonly key: string
  /** Id of the channel, or of a user for a direct message. Only that of the first post with a key counts. */
  readonly channel: string
  /** Posts into the thread of the message with this key; into the channel when there is no such message. */
  readonly threadKey?: string
  /** Gets the message when the bot may not post in the channel. Without it, the message is then dropped and logged. */
  readonly orElse?: string
  /** What to show. It must not be private; its JSON is not kept. */
  readonly view: View
}

export interface Outbox {
  /**
   * Queues a message, or an edit of the message with the same key: the newest View wins, and one that still waits is replaced. Part of the caller's
   * transaction, else durable when it returns.
   */
  put(post: OutboxPost): void
  /** Resolves at the next `put` of this process. Another process may put as well. */
  changed(): Promise<void>
}

/** Opens the outbox on the bot's database. */
export function createOutbox(database: BotDatabase, clock: Pick<Clock, 'nowMs'>): Outbox {
  const drops = createDrops(database)
  const insert = database.query<null, { key: string; channel: string; orElse: string; threadKey: string; view: string; bytes: number; now: number }>(
    `INSERT INTO outbox (key, channel, or_else, thread_key, ts, view, bytes, put_ms, revision, attempts, not_before_ms, is_plain, is_told, changed_ms)
     VALUES ($key, $channel, $orElse, $threadKey, NULL, $view, $bytes, $now, 1, 0, 0, 0, 0, $now)
     ON CONFLICT (key) DO UPDATE SET
       put_ms = CASE WHEN view IS NULL THEN $now ELSE put_ms END,
       is_told = CASE WHEN view IS NULL THEN 0 ELSE is_told END,
       view = $view, bytes = $bytes, revision = revision + 1, attempts = 0, is_plain = 0, changed_ms = $now`,
  )
  let next = Promise.withResolvers<void>()
  const put = database.transaction(({ key, channel, orElse = '', threadKey = '', view }: OutboxPost) => {
    const json = viewJson(view)
    const now = clock.nowMs()
    insert.run({
      key: limitText(key, KEY_LENGTH_MAX),
      channel,
      orElse,
      threadKey: limitText(threadKey, KEY_LENGTH_MAX),
      view: json,
      bytes: Buffer.byteLength(json),
      now,
    })
    drops.enforce(now)
  })
  return {
    put(post) {
      put.immediate(post)
      next.resolve()
      next = Promise.withResolvers<void>()
    },
    changed: () => next.promise,
  }
}

/** The View as it is kept, without its facts as JSON. */
function viewJson(view: View): string {
  const json = JSON.stringify({ ...view, json: null })
  if (Buffer.byteLength(json) <= VIEW_BYTES_MAX) return json
  const { title, text, tone, asOfMs } = view
  const notes = ['The rest of this message was too long to keep: ask with a command.']
  return JSON.stringify(makeView({ title: limitText(title, SECTION_TEXT_MAX), text: limitText(text, SECTION_TEXT_MAX), tone, asOfMs, notes, json: null }))
}
