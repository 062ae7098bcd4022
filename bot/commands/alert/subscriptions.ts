// `alert subscriptions`: which channels get which alerts, and how.

import { formatTime } from '../../../protocol/time.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { channelJson, remindWords, subscriptionWords } from './subscribe.ts'

export const alertSubscriptions = defineCommand({
  noun: 'alert',
  verb: 'subscriptions',
  summary: 'Lists which channels get which alerts, in threads or not, and how often they are reminded',
  role: 'viewer',
  effect: 'read',
  examples: ['alert subscriptions'],
  run({ alerts, clock }) {
    const nowMs = clock.nowMs()
    const channels = alerts.subscriptions.list()
    const count = channels.reduce((sum, { subscriptions }) => sum + subscriptions.length, 0)
    return Promise.resolve(
      makeView({
        title: 'Subscriptions',
        text:
          count === 0
            ? 'No channel gets alerts. In a channel, run alert subscribe.'
            : `${plural(count, 'subscription')} of ${plural(channels.length, 'channel')}.`,
        tone: count === 0 ? 'warning' : 'plain',
        columns:
          count === 0
            ? []
            : [
                { key: 'channel', label: 'Channel', isWhole: true },
                { key: 'what', label: 'What' },
                { key: 'thread', label: 'Threads' },
                { key: 'remind', label: 'Reminders' },
                { key: 'by', label: 'By', isMinor: true },
              ],
        rows: channels.flatMap((channel) =>
          channel.subscriptions.map((subscription) => ({
            cells: {
              ...{ channel: channel.channel, what: subscriptionWords(subscription), by: subscription.createdBy },
              ...{ thread: channel.isThreaded ? 'on' : 'off', remind: remindWords(channel) },
            },
          })),
        ),
        asOfMs: nowMs,
        json: { items: channels.map(channelJson), asOf: formatTime(nowMs) },
      }),
    )
  },
})
