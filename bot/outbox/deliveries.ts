// What the sender takes from the outbox, in the order of urgency, and what it writes back.

import type { BotDatabase } from '../system/database.ts'
import { makeView } from '../../protocol/views/view.ts'
import type { View, ViewDraft } from '../../protocol/views/view.ts'
import { createDrops } from './drops.ts'

/** A message that waited for longer is late, in milliseconds; its channel is told. */
export const LATE_MS = 60_000
/** Shortest time between two notices of lateness in a channel, in milliseconds. */
export const NOTICE_INTERVAL_MS = 600_000
/** Attempts to deliver a View that Slack refuses with an error that may pass, and the time between two, in milliseconds. */
const ATTEMPTS_MAX = 5
const ATTEMPT_INTERVAL_MS = 60_000

/** What is late in a channel when it is told. */
export interface Lateness {
  readonly messages: number
  readonly edits: number
  /** Since when the oldest waits; null when nothing waits, but something was dropped. */
  readonly oldestMs: number | null
  readonly dropped: number
}

interface Waiting {
  readonly key: string
  readonly revision: number
  readonly channel: string
  readonly view: View
  /** Only the text is sent, because Slack refused the blocks. */
  readonly isPlain: boolean
}

/** The next thing to send. */
export type Delivery =
  | ({ readonly kind: 'notice'; readonly channel: string } & Lateness)
  /** `threadTs` is undefined outside a thread. */
  | ({ readonly kind: 'post'; readonly threadTs: string | undefined } & Waiting)
  | ({ readonly kind: 'edit'; readonly ts: string } & Waiting)

/** What Slack allows now. */
export interface Allowance {
  mayPost(channel: string): boolean
  mayEdit(key: string): boolean
}

type Sent = Pick<Waiting, 'key' | 'revision'>

export interface Deliveries {
  /** Returns the next delivery that is allowed: notices first, then messages, replies in threads, and edits; of each the oldest. */
  next(allowance: Allowance, nowMs: number): Delivery | undefined
  /** Records that a message was posted. A View that was put meanwhile waits as an edit. */
  posted(sent: Sent, message: { readonly channel: string; readonly ts: string }, nowMs: number): void
  edited(sent: Sent, nowMs: number): void
  /** Records that a channel was told what is late. */
  told(channel: string, nowMs: number): void
  /** The bot may not post in the channel: the message goes to the other one, or is dropped. Returns whether it goes to another one. */
  closed(key: string): boolean
  /** The thread takes no replies: the message is posted into the channel. */
  unthread(key: string): void
  /** The message was deleted in Slack: it is forgotten. */
  gone(key: string): void
  /** Slack refused the blocks: the next attempt sends only the text. A second refusal drops the View. Returns whether there is a next attempt. */
  invalid(delivery: Waiting): boolean
  /** Slack refused for another reason: tries again later, and drops the View after the last attempt. Returns whether there is a next attempt. */
  refused(delivery: Waiting, nowMs: number): boolean
  /** Drops what is too old. */
  expire(nowMs: number): void
}

interface Row {
  key: string
  channel: string
  ts: string | null
  view: string
  revision: number
  is_plain: number
  attempts: number
  or_else: string
  root_channel: string | null
  root_ts: string | null
}

/** Opens the deliveries on the bot's database. */
export function createDeliveries(database: BotDatabase): Deliveries {
  const drops = createDrops(database)
  const late = database.query<Lateness & { channel: string }, { before: number; told: number }>(
    `SELECT channel, sum(messages) AS messages, sum(edits) AS edits, min(oldest) AS oldestMs, sum(dropped) AS dropped FROM (
       SELECT channel, ts IS NULL AS messages, ts IS NOT NULL AS edits, put_ms AS oldest, 0 AS dropped FROM outbox
         WHERE view IS NOT NULL AND is_told = 0 AND put_ms <= $before
       UNION ALL SELECT channel, 0, 0, NULL, dropped FROM outbox_channels WHERE dropped > 0)
     WHERE channel NOT IN (SELECT channel FROM outbox_channels WHERE told_ms > $told) GROUP BY channel ORDER BY oldestMs`,
  )
  // A reply waits for the message of its thread, as long as that waits itself.
  const posts = database.query<{ key: string; channel: string }, { now: number }>(
    `SELECT key, channel FROM outbox WHERE view IS NOT NULL AND ts IS NULL AND not_before_ms <= $now
     AND (thread_key = '' OR NOT EXISTS (SELECT 1 FROM outbox AS root WHERE root.key = outbox.thread_key AND root.ts IS NULL AND root.view IS NOT NULL))
     ORDER BY thread_key <> '', put_ms, rowid`,
  )
  const edits = database.query<{ key: string }, { now: number }>(
    'SELECT key FROM outbox WHERE view IS NOT NULL AND ts IS NOT NULL AND not_before_ms <= $now ORDER BY put_ms, rowid',
  )
  const find = database.query<Row, { key: string }>(
    `SELECT outbox.*, root.channel AS root_channel, root.ts AS root_ts FROM outbox
     LEFT JOIN outbox AS root ON root.key = outbox.thread_key AND outbox.thread_key <> '' WHERE outbox.key = $key AND outbox.view IS NOT NULL`,
  )
  const post = database.query<null, { key: string; channel: string; ts: string; now: number }>(
    'UPDATE outbox SET channel = $channel, ts = $ts, changed_ms = $now WHERE key = $key',
  )
  const deliver = database.query<null, { key: string; revision: number; now: number }>(
    'UPDATE outbox SET view = NULL, bytes = 0, changed_ms = $now WHERE key = $key AND revision = $revision',
  )
  const tell = database.query<null, { channel: string; now: number }>(
    `INSERT INTO outbox_channels (channel, dropped, told_ms) VALUES ($channel, 0, $now) ON CONFLICT (channel) DO UPDATE SET dropped = 0, told_ms = $now`,
  )
  const markTold = database.query<null, { channel: string; before: number }>(
    'UPDATE outbox SET is_told = 1 WHERE channel = $channel AND view IS NOT NULL AND put_ms <= $before',
  )
  const forgetTold = database.query<null, { before: number }>('DELETE FROM outbox_channels WHERE dropped = 0 AND told_ms < $before')
  const redirect = database.query<null, { key: string }>("UPDATE outbox SET channel = or_else, or_else = '' WHERE key = $key AND or_else <> ''")
  const unthread = database.query<null, { key: string }>("UPDATE outbox SET thread_key = '' WHERE key = $key")
  const forget = database.query<null, { key: string }>('DELETE FROM outbox WHERE key = $key')
  const makePlain = database.query<null, { key: string; revision: number }>('UPDATE outbox SET is_plain = 1 WHERE key = $key AND revision = $revision')
  const delay = database.query<{ attempts: number }, { key: string; until: number }>(
    'UPDATE outbox SET attempts = attempts + 1, not_before_ms = $until WHERE key = $key RETURNING attempts',
  )

  const posted = database.transaction((sent: Sent, message: { channel: string; ts: string }, now: number) => {
    post.run({ key: sent.key, ...message, now })
    deliver.run({ ...sent, now })
  })
  const told = database.transaction((channel: string, now: number) => {
    markTold.run({ channel, before: now - LATE_MS })
    tell.run({ channel, now })
    forgetTold.run({ before: now - NOTICE_INTERVAL_MS })
  })
  const dropAll = database.transaction(({ key, channel }: Pick<Waiting, 'key' | 'channel'>) => drops.drop(key, channel))
  const read = (key: string): Delivery | undefined => {
    const row = find.get({ key })
    if (!row) return undefined
    const { revision, channel, ts } = row
    // The View was written by this program; members that a later version adds are empty.
    const waiting: Waiting = { key, revision, channel, view: makeView(JSON.parse(row.view) as ViewDraft), isPlain: row.is_plain === 1 }
    if (ts !== null) return { kind: 'edit', ...waiting, ts }
    const hasRoot = row.root_channel !== null && row.root_ts !== null
    return { kind: 'post', ...waiting, channel: hasRoot ? (row.root_channel ?? channel) : channel, threadTs: row.root_ts ?? undefined }
  }
  return {
    next({ mayPost, mayEdit }, nowMs) {
      const notice = late.all({ before: nowMs - LATE_MS, told: nowMs - NOTICE_INTERVAL_MS }).find(({ channel }) => mayPost(channel))
      if (notice) return { kind: 'notice', ...notice }
      const first = posts.all({ now: nowMs }).find(({ channel }) => mayPost(channel)) ?? edits.all({ now: nowMs }).find(({ key }) => mayEdit(key))
      return first && read(first.key)
    },
    posted: (sent, message, nowMs) => posted.immediate({ key: sent.key, revision: sent.revision }, message, nowMs),
    edited: ({ key, revision }, now) => void deliver.run({ key, revision, now }),
    told: (channel, nowMs) => told.immediate(channel, nowMs),
    closed: (key) => {
      const isRedirected = redirect.run({ key }).changes > 0
      if (!isRedirected) forget.run({ key })
      return isRedirected
    },
    unthread: (key) => void unthread.run({ key }),
    gone: (key) => void forget.run({ key }),
    invalid(delivery) {
      if (!delivery.isPlain) return makePlain.run({ key: delivery.key, revision: delivery.revision }).changes > 0
      dropAll.immediate(delivery)
      return false
    },
    refused(delivery, nowMs) {
      const row = delay.get({ key: delivery.key, until: nowMs + ATTEMPT_INTERVAL_MS })
      if (!row || row.attempts < ATTEMPTS_MAX) return true
      dropAll.immediate(delivery)
      return false
    },
    expire: database.transaction((nowMs: number) => drops.enforce(nowMs)).immediate,
  }
}
