// What Slack limits by time and by number: requests of a method, posts in a channel, triggers and response_urls.

/** Slack gives up on an acknowledgement after this time, in milliseconds; triggers live as long. */
export const ACK_LIMIT_MS = 3_000
const RESPONSE_URL_USES_MAX = 5
const RESPONSE_URL_LIFE_MS = 30 * 60_000
/** Messages that a channel accepts at once before it accepts one per second. */
const POST_BURST = 4
const MINUTE_MS = 60_000

/** Requests in one minute by method, with the burst that the tier of the method allows. */
const PER_MINUTE: Readonly<Record<string, number>> = {
  'chat.update': 50,
  'chat.postEphemeral': 100,
  'views.open': 100,
  'views.update': 100,
  'views.publish': 100,
  'usergroups.users.list': 40,
}

export interface Rates {
  /** Counts a request; returns how many seconds to wait (Retry-After) when there are too many. */
  take(method: string, channel?: string): number | undefined
}

/** Creates the rates of one app in one workspace. */
export function createRates(nowMs: () => number): Rates {
  const taken = new Map<string, number[]>()
  const takeOf = (key: string, max: number, windowMs: number): number | undefined => {
    const recent = (taken.get(key) ?? []).filter((at) => nowMs() - at < windowMs)
    const first = recent[0]
    if (recent.length >= max && first !== undefined) return Math.max(1, Math.ceil((first + windowMs - nowMs()) / 1000))
    taken.set(key, [...recent, nowMs()])
    return undefined
  }
  return {
    take(method, channel) {
      if (method === 'chat.postMessage') {
        const isFull = takeOf(`${method} ${channel ?? ''}`, POST_BURST, POST_BURST * 1000) !== undefined
        return isFull ? 1 : undefined
      }
      const max = PER_MINUTE[method]
      return max === undefined ? undefined : takeOf(method, max, MINUTE_MS)
    },
  }
}

interface Ticket {
  readonly bornMs: number
  uses: number
}

export interface Tickets {
  /** Issues a trigger, with which one modal can be opened. */
  issueTrigger(id: string): void
  /** Spends a trigger; returns the error with which Slack refuses it. */
  useTrigger(id: string): string | undefined
  /** Issues a response_url for a channel. */
  issueResponse(id: string, channel: string): void
  /** Counts a use; returns its channel, or the error with which Slack refuses it. */
  useResponse(id: string): { readonly channel: string } | { readonly error: 'expired_url' | 'used_url'; readonly uses: number }
}

/** Creates the triggers and response_urls of one workspace. */
export function createTickets(nowMs: () => number): Tickets {
  const triggers = new Map<string, Ticket>()
  const responses = new Map<string, Ticket & { readonly channel: string }>()
  return {
    issueTrigger: (id) => void triggers.set(id, { bornMs: nowMs(), uses: 0 }),
    useTrigger(id) {
      const trigger = triggers.get(id)
      if (!trigger) return 'invalid_trigger_id'
      if (trigger.uses > 0) return 'exchanged_trigger_id'
      if (nowMs() - trigger.bornMs > ACK_LIMIT_MS) return 'expired_trigger_id'
      trigger.uses++
      return undefined
    },
    issueResponse: (id, channel) => void responses.set(id, { bornMs: nowMs(), uses: 0, channel }),
    useResponse(id) {
      const ticket = responses.get(id)
      if (!ticket || nowMs() - ticket.bornMs > RESPONSE_URL_LIFE_MS) return { error: 'expired_url', uses: ticket?.uses ?? 0 }
      ticket.uses++
      return ticket.uses > RESPONSE_URL_USES_MAX ? { error: 'used_url', uses: ticket.uses } : { channel: ticket.channel }
    },
  }
}
