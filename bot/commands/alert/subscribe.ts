// `alert subscribe`: alerts of the fleet, a zone or a store go to a channel.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatDuration, parseDuration } from '../../../protocol/units.ts'
import { SEVERITIES } from '../../alerts/conditions.ts'
import { REMIND_DEFAULT_MS, SUBSCRIPTIONS_MAX } from '../../alerts/subscriptions.ts'
import type { ChannelSettings, SubscribedChannel, Subscription } from '../../alerts/subscriptions.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../command.ts'
import { registeredPlace, idOf } from '../role/role-options.ts'
import { parseAlertSeverity } from './alert-options.ts'

const REMIND_MS = { least: 60_000, most: 7 * 86_400_000 }

export const alertSubscribe = defineCommand({
  noun: 'alert',
  verb: 'subscribe',
  summary: 'Sends alerts to a channel, and says how: in threads or not, with reminders or without',
  role: 'operator',
  effect: 'write',
  options: {
    store: { about: 'only those of this store', value: 'S', subject: 'store' },
    zone: { about: 'only those of this zone and its stores', value: 'Z', subject: 'zone' },
    severity: { about: `at least this severe: ${SEVERITIES.join(', ')}; warning by default`, value: 'SEVERITY' },
    thread: { about: 'what happens to an alert goes into the thread of its card (on, the default) or into the channel (off)', value: 'on|off' },
    remind: {
      about: `how often the channel is reminded of what nobody acknowledged, ${formatDuration(REMIND_DEFAULT_MS)} by default; off for never`,
      value: '4h',
    },
    channel: { about: 'the channel, by default the one in which it is asked: #ops, or its id', value: 'C024BE91L' },
  },
  examples: ['alert subscribe', 'alert subscribe zone=zone-1 severity=critical', 'alert subscribe thread=off remind=off'],
  run(context, { options }) {
    const nowMs = context.clock.nowMs()
    if (options.store !== undefined && options.zone !== undefined)
      throw problem('invalid-input', 'A subscription is for a zone or for a store.', { action: 'Leave out zone= or store=.' })
    const place = registeredPlace(context, { store: options.store ?? '', zone: options.zone ?? '' })
    const channel = channelOf(context, options.channel)
    const severity = options.severity === undefined ? 'warning' : parseAlertSeverity(options.severity)
    const settings = { ...parseThread(options.thread), ...parseRemind(options.remind) }
    const subscribed = context.alerts.subscriptions.put({ channel, ...place, severity, createdBy: context.actor.name }, settings, nowMs)
    if (!subscribed)
      throw problem('limit-reached', `There are ${SUBSCRIPTIONS_MAX} subscriptions.`, { action: 'Remove some with alert unsubscribe, or subscribe to zones.' })
    return Promise.resolve(
      makeView({
        title: 'Alerts come to this channel',
        text: `${subscriptionWords({ ...place, severity })}, to channel ${channel}. What is open now follows at once.`,
        tone: 'good',
        fields: [
          { label: 'Threads', value: threadWords(subscribed) },
          { label: 'Reminders', value: remindWords(subscribed) },
        ],
        notes: context.surface === 'slack' ? ['The bot must be a member of the channel: /invite it there.'] : [],
        actions: [{ label: 'All subscriptions', command: 'alert subscriptions', role: 'viewer' }],
        asOfMs: nowMs,
        json: { ...channelJson(subscribed), asOf: formatTime(nowMs) },
      }),
    )
  },
})

/** The channel that a command is about. Throws `invalid-input` when there is none. */
export function channelOf({ channel }: CommandContext, given: string | undefined): string {
  if (given !== undefined) return idOf('channel', given)
  if (channel !== undefined) return channel
  throw problem('invalid-input', 'The console is not a channel.', { action: 'Add channel=C024BE91L, or run it in the channel in Slack.' })
}

/** `critical alerts of zone zone-1`. */
export function subscriptionWords({ store, zone, severity }: Pick<Subscription, 'store' | 'zone' | 'severity'>): string {
  const least = severity === 'critical' ? 'critical alerts' : `alerts from ${severity} on`
  return `${least} of ${store !== '' ? `store ${store}` : zone !== '' ? `zone ${zone}` : 'the whole fleet'}`
}

/** Where the history of alerts goes, in words. */
export function threadWords({ isThreaded }: ChannelSettings): string {
  return isThreaded ? 'on: what happens to an alert goes into the thread of its card' : 'off: what happens to an alert goes into the channel'
}

/** How often a channel is reminded, in words. */
export function remindWords({ remindMs }: ChannelSettings): string {
  return remindMs === 0 ? 'off' : `every ${formatDuration(remindMs)}, of what nobody acknowledged`
}

/** A channel for `--json`. */
export function channelJson({ channel, isThreaded, remindMs, subscriptions }: SubscribedChannel): Record<string, unknown> {
  return {
    ...{ channel, thread: isThreaded, remindSeconds: remindMs === 0 ? null : remindMs / 1000 },
    subscriptions: subscriptions.map(({ store, zone, severity, createdBy: by }) => ({ store: store || null, zone: zone || null, severity, by })),
  }
}

function parseThread(text: string | undefined): Partial<ChannelSettings> {
  if (text === undefined) return {}
  if (text !== 'on' && text !== 'off') throw problem('invalid-input', `thread=${text} is not understood.`, { action: 'Write thread=on or thread=off.' })
  return { isThreaded: text === 'on' }
}

function parseRemind(text: string | undefined): Partial<ChannelSettings> {
  if (text === undefined) return {}
  const ms = text === 'off' ? 0 : parseDuration(text)
  if (ms === undefined || (ms !== 0 && (ms < REMIND_MS.least || ms > REMIND_MS.most)))
    throw problem('invalid-input', `remind=${text} is not a duration from 1m to 7d.`, { action: 'Write it as 30m, 4h or 1d, or as off.' })
  return { remindMs: ms }
}
