// The response_url of a request: Slack takes five messages at it within 30 minutes. A command that runs longer, or says more, is answered by a message of
// the bot instead.

import type { RespondFn } from '@slack/bolt'
import type { Clock } from '../system/clock.ts'
import type { Exchange } from './exchange.ts'

/** Messages that Slack takes at one response_url. */
export const RESPONSES_MAX = 5
/** How long the bot uses a response_url, in milliseconds: a minute less than Slack takes it, because Slack counts from before the request arrived here. */
export const RESPONSE_LIFE_MS = 29 * 60_000

/** Returns the function that answers at a response_url that arrives now. It never throws: what Slack does not take is `spent`. */
export function limitResponses(respond: RespondFn, clock: Pick<Clock, 'nowMs'>): NonNullable<Exchange['respond']> {
  const bornMs = clock.nowMs()
  let uses = 0
  return async ({ text, blocks, isShared, replaces }) => {
    if (uses >= RESPONSES_MAX || Math.abs(clock.nowMs() - bornMs) >= RESPONSE_LIFE_MS) return 'spent'
    uses++
    try {
      await respond({ text, blocks, response_type: isShared ? 'in_channel' : 'ephemeral', replace_original: replaces })
      return 'sent'
    } catch {
      // Slack has forgotten the address, or cannot be reached by it; the Web API may still take the message.
      return 'spent'
    }
  }
}
