// The sender: delivers what waits in the outbox, one request at a time, within Slack's rate limits. While Slack is away it waits and tries again.

import { formatDuration } from '../../../protocol/units.ts'
import { createDeliveries } from '../../outbox/deliveries.ts'
import type { Deliveries, Delivery } from '../../outbox/deliveries.ts'
import { WAITING_AGE_MAX_MS, WAITING_MAX } from '../../outbox/drops.ts'
import type { Outbox } from '../../outbox/outbox.ts'
import type { Clock } from '../../system/clock.ts'
import type { BotDatabase } from '../../system/database.ts'
import type { Log } from '../../system/log.ts'
import type { SlackMessage } from '../../views/blocks.ts'
import { plural } from '../../../protocol/views/phrases.ts'
import type { Answer, DeliveryPort } from './delivery-port.ts'
import type { RenderView } from '../message.ts'
import type { Pacing } from './pacing.ts'

/** How often the outbox is read while nothing can be sent, in milliseconds: another process may have put something there. */
export const POLL_MS = 250
/** How often what is too old is dropped, in milliseconds. */
const EXPIRE_INTERVAL_MS = 60_000
/** How long to wait before another attempt while Slack is away, in milliseconds: the first value, doubled up to the last. */
export const AWAY_FIRST_MS = 1_000
export const AWAY_MAX_MS = 60_000
/** The longest Retry-After that is honoured, in milliseconds; a longer one is not plausible. */
const LIMITED_MAX_MS = 600_000
/** How long a stop waits for the request in progress, in milliseconds. */
const STOP_WAIT_MS = 3_000

export interface SendOutboxDeps {
  readonly database: BotDatabase
  readonly outbox: Pick<Outbox, 'changed'>
  readonly port: DeliveryPort
  readonly pacing: Pick<Pacing, 'mayEdit' | 'mayPost' | 'countEdit' | 'countPost'>
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>
  readonly log: Log
  readonly render: RenderView
}

/** What the sender knows of Slack. Moments in milliseconds since 1970. */
interface Reach {
  awaySinceMs: number | undefined
  delayMs: number
  /** Until when Slack takes no posts, and no edits. */
  postFromMs: number
  editFromMs: number
}

/** Starts to deliver; disposing stops after the request in progress. */
export function sendOutbox(deps: SendOutboxDeps): AsyncDisposable {
  const { database, outbox, clock, log } = deps
  const deliveries = createDeliveries(database)
  const stop = new AbortController()
  const reach: Reach = { awaySinceMs: undefined, delayMs: AWAY_FIRST_MS, postFromMs: 0, editFromMs: 0 }
  let expireFromMs = 0

  const step = async (): Promise<void> => {
    const nowMs = clock.nowMs()
    if (nowMs >= expireFromMs) {
      deliveries.expire(nowMs)
      expireFromMs = nowMs + EXPIRE_INTERVAL_MS
    }
    const delivery = deliveries.next(allowance(deps, reach, nowMs), nowMs)
    if (delivery) return apply(deps, deliveries, reach, delivery, await send(deps, delivery, nowMs))
    const idle = new AbortController()
    const waited = clock.sleep(POLL_MS, AbortSignal.any([idle.signal, stop.signal])).catch(() => {})
    await Promise.race([waited, outbox.changed()])
    idle.abort()
  }
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        await step()
      } catch (error) {
        // Nothing is lost: what could not be delivered, or recorded as delivered, waits.
        log.error('delivering a message to Slack failed', { error })
        await clock.sleep(AWAY_MAX_MS, stop.signal).catch(() => {})
      }
    }
  }
  const running = run()
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the bot is stopping'))
      const patience = new AbortController()
      await Promise.race([running, clock.sleep(STOP_WAIT_MS, patience.signal).catch(() => {})])
      patience.abort()
    },
  }
}

function allowance({ pacing }: SendOutboxDeps, { postFromMs, editFromMs }: Reach, nowMs: number): Parameters<Deliveries['next']>[0] {
  return {
    mayPost: (channel) => nowMs >= postFromMs && pacing.mayPost(channel),
    mayEdit: (key) => nowMs >= editFromMs && pacing.mayEdit(key),
  }
}

function send({ port, pacing, render }: SendOutboxDeps, delivery: Delivery, nowMs: number): Promise<Answer> {
  if (delivery.kind === 'edit') {
    pacing.countEdit(delivery.key)
    return port.edit(delivery.channel, delivery.ts, messageOf(render, delivery))
  }
  pacing.countPost(delivery.channel)
  if (delivery.kind === 'notice') return port.post(delivery.channel, undefined, noticeMessage(delivery, nowMs))
  return port.post(delivery.channel, delivery.threadTs, messageOf(render, delivery))
}

function messageOf(render: RenderView, { view, isPlain }: Exclude<Delivery, { kind: 'notice' }>): SlackMessage {
  const message = render(view)
  return isPlain ? { text: message.text, blocks: [] } : message
}

/** One line: how much is late, by how long, and how much was dropped. */
export function noticeMessage({ messages, edits, oldestMs, dropped }: Extract<Delivery, { kind: 'notice' }>, nowMs: number): SlackMessage {
  const late = [...(messages > 0 ? [plural(messages, 'message')] : []), ...(edits > 0 ? [plural(edits, 'edit')] : [])].join(' and ')
  const lateText =
    oldestMs === null
      ? []
      : [`${late} for this channel ${messages + edits === 1 ? 'is' : 'are'} late by up to ${formatDuration(nowMs - oldestMs)}: Slack did not take them before.`]
  const hours = WAITING_AGE_MAX_MS / 3_600_000
  const droppedText = `${dropped} more ${dropped === 1 ? 'was' : 'were'} dropped: at most ${WAITING_MAX} wait, for at most ${hours} h. See store health and event list.`
  const text = `▲ ${[...lateText, ...(dropped > 0 ? [droppedText] : [])].join(' ')}`
  return { text, blocks: [{ type: 'section', text: { type: 'mrkdwn', text } }] }
}

/** Records what became of a delivery. */
function apply({ clock, log }: SendOutboxDeps, deliveries: Deliveries, reach: Reach, delivery: Delivery, answer: Answer): void {
  const nowMs = clock.nowMs()
  const { channel } = delivery
  if (answer.kind === 'away') {
    if (reach.awaySinceMs === undefined) log.warn('Slack takes no messages; they wait', { reason: answer.reason })
    reach.awaySinceMs ??= nowMs
    reach.postFromMs = reach.editFromMs = nowMs + reach.delayMs
    reach.delayMs = Math.min(AWAY_MAX_MS, reach.delayMs * 2)
    return
  }
  if (reach.awaySinceMs !== undefined) log.info('Slack takes messages again', { awayMs: nowMs - reach.awaySinceMs })
  reach.awaySinceMs = undefined
  reach.delayMs = AWAY_FIRST_MS
  if (answer.kind === 'limited') {
    const fromMs = nowMs + Math.min(answer.afterMs, LIMITED_MAX_MS)
    if (delivery.kind === 'edit') reach.editFromMs = fromMs
    else reach.postFromMs = fromMs
    return
  }
  if (delivery.kind === 'notice') {
    if (answer.kind !== 'done') log.warn('a channel could not be told what is late', { channel, reason: answer.reason })
    return deliveries.told(channel, nowMs)
  }
  const { key } = delivery
  switch (answer.kind) {
    case 'done':
      return delivery.kind === 'edit' ? deliveries.edited(delivery, nowMs) : deliveries.posted(delivery, answer, nowMs)
    case 'closed':
      if (!deliveries.closed(key)) log.warn('a message was dropped: the bot may not post in the channel', { key, channel, reason: answer.reason })
      return
    case 'threadless':
      return deliveries.unthread(key)
    case 'gone':
      log.info('a message was deleted in Slack and is not edited again', { key, channel, reason: answer.reason })
      return deliveries.gone(key)
    case 'invalid':
      log.error('Slack refused the blocks of a message', { key, channel, reason: answer.reason })
      if (!deliveries.invalid(delivery)) log.error('a message was dropped: Slack refused its text', { key, channel, reason: answer.reason })
      return
    case 'refused':
      if (!deliveries.refused(delivery, nowMs)) log.error('a message was dropped: Slack refused it', { key, channel, reason: answer.reason })
      return
  }
}
