// `alert unsubscribe`: a channel gets no more alerts, or not those of a zone or store.

import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { channelOf } from './subscribe.ts'

export const alertUnsubscribe = defineCommand({
  noun: 'alert',
  verb: 'unsubscribe',
  summary: 'Ends the subscriptions of a channel, or those to a zone or store',
  role: 'operator',
  effect: 'write',
  options: {
    store: { about: 'only the subscription to this store', value: 'S', subject: 'store' },
    zone: { about: 'only the subscription to this zone', value: 'Z', subject: 'zone' },
    channel: { about: 'the channel, by default the one in which it is asked: #ops, or its id', value: 'C024BE91L' },
  },
  examples: ['alert unsubscribe', 'alert unsubscribe zone=zone-1'],
  run(context, { options: { store, zone, channel: given } }) {
    const nowMs = context.clock.nowMs()
    const channel = channelOf(context, given)
    const limits = store === undefined && zone === undefined ? undefined : { store: store ?? '', zone: zone ?? '' }
    const count = context.alerts.subscriptions.remove(channel, limits)
    if (count === 0) throw problem('not-found', `Channel ${channel} has no such subscription.`, { action: 'alert subscriptions lists them.' })
    return Promise.resolve(
      makeView({
        title: 'Alerts do not come to this channel any more',
        text: `${plural(count, 'subscription')} of channel ${channel} ended. Cards that are there are still edited until their alerts are resolved.`,
        tone: 'good',
        asOfMs: nowMs,
        json: { channel, ended: count, asOf: formatTime(nowMs) },
      }),
    )
  },
})
