// Which channels get which alerts, and how: in threads or not, and how often they are reminded.

import type { BotDatabase } from '../system/database.ts'
import { isAtLeast } from './conditions.ts'
import type { AlertSeverity } from './conditions.ts'
import type { IncidentKey } from './incidents.ts'

/** Most subscriptions of all channels; each observation compares open incidents with all of them. */
export const SUBSCRIPTIONS_MAX = 200
/** Interval at which a channel is reminded unless it says otherwise, in milliseconds. */
export const REMIND_DEFAULT_MS = 4 * 3_600_000

/** An empty store or zone does not limit a subscription. */
export interface Subscription {
  readonly channel: string
  readonly store: string
  readonly zone: string
  /** The least severity. */
  readonly severity: AlertSeverity
  readonly createdBy: string
}

/** How a channel gets its alerts. */
export interface ChannelSettings {
  /** Whether what happens to an alert goes into the thread of its card. */
  readonly isThreaded: boolean
  /** In milliseconds; 0 for no reminders. */
  readonly remindMs: number
}

export interface SubscribedChannel extends ChannelSettings {
  readonly channel: string
  readonly subscriptions: readonly Subscription[]
}

export interface Subscriptions {
  /** All channels with their subscriptions, by channel. */
  list(): SubscribedChannel[]
  /** Adds a subscription, or changes the one with the same limits, and the settings of its channel. Returns undefined when there are too many. */
  put(subscription: Subscription, settings: Partial<ChannelSettings>, nowMs: number): SubscribedChannel | undefined
  /** Removes a subscription, or all of a channel; returns how many. */
  remove(channel: string, limits?: Pick<Subscription, 'store' | 'zone'>): number
}

interface ChannelRow {
  channel: string
  is_threaded: number
  remind_ms: number
}

interface Row {
  channel: string
  store: string
  zone: string
  severity: AlertSeverity
  created_by: string
}

/** Creates the subscriptions on the bot's database; a change is durable when the call returns. */
export function createSubscriptions(database: BotDatabase): Subscriptions {
  const channels = database.query<ChannelRow, []>('SELECT * FROM alert_channels ORDER BY channel')
  const all = database.query<Row, []>('SELECT * FROM alert_subscriptions ORDER BY channel, zone, store')
  const put = database.query<null, { channel: string; store: string; zone: string; severity: string; by: string; now: number }>(
    `INSERT OR REPLACE INTO alert_subscriptions (channel, store, zone, severity, created_by, created_ms)
     VALUES ($channel, $store, $zone, $severity, $by, $now)`,
  )
  const set = database.query<null, { channel: string; threaded: number; remind: number }>(
    'INSERT OR REPLACE INTO alert_channels (channel, is_threaded, remind_ms) VALUES ($channel, $threaded, $remind)',
  )
  const removeAll = database.query<{ store: string }, { channel: string }>('DELETE FROM alert_subscriptions WHERE channel = $channel RETURNING store')
  const remove = database.query<{ store: string }, { channel: string; store: string; zone: string }>(
    'DELETE FROM alert_subscriptions WHERE channel = $channel AND store = $store AND zone = $zone RETURNING store',
  )
  const list = (): SubscribedChannel[] => {
    const byChannel = Map.groupBy(all.all(), ({ channel }) => channel)
    return channels.all().flatMap(({ channel, is_threaded: threaded, remind_ms: remindMs }) => {
      const rows = byChannel.get(channel) ?? []
      const subscriptions = rows.map(({ created_by: createdBy, store, zone, severity }) => ({ channel, store, zone, severity, createdBy }))
      return subscriptions.length === 0 ? [] : [{ channel, isThreaded: threaded === 1, remindMs, subscriptions }]
    })
  }
  return {
    list,
    put: database.transaction(({ channel, store, zone, severity, createdBy }: Subscription, settings: Partial<ChannelSettings>, now: number) => {
      const before = list()
      const rows = before.flatMap(({ subscriptions }) => subscriptions)
      const isNew = !rows.some((one) => one.channel === channel && one.store.toLowerCase() === store.toLowerCase() && one.zone === zone)
      if (isNew && rows.length >= SUBSCRIPTIONS_MAX) return undefined
      const known = before.find((one) => one.channel === channel)
      const { isThreaded, remindMs } = { isThreaded: known?.isThreaded ?? true, remindMs: known?.remindMs ?? REMIND_DEFAULT_MS, ...settings }
      put.run({ channel, store, zone, severity, by: createdBy, now })
      set.run({ channel, threaded: isThreaded ? 1 : 0, remind: remindMs })
      return list().find((one) => one.channel === channel)
    }).immediate,
    remove(channel, limits) {
      if (limits) return remove.all({ channel, store: limits.store, zone: limits.zone }).length
      return removeAll.all({ channel }).length
    },
  }
}

/** Whether a channel wants an incident of this severity. */
export function isWanted({ subscriptions }: SubscribedChannel, { store, zone }: IncidentKey, severity: AlertSeverity): boolean {
  return subscriptions.some((wanted) => {
    const isStore = wanted.store === '' || wanted.store.toLowerCase() === store.toLowerCase()
    return isStore && (wanted.zone === '' || wanted.zone === zone) && isAtLeast(severity, wanted.severity)
  })
}
