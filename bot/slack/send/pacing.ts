// Limits how often messages are posted and edited, within Slack's rate limits: one post per second in a channel, one edit of a message every
// three seconds.

import type { Clock } from '../../system/clock.ts'

/** Shortest time between two edits of one message, in milliseconds. */
export const EDIT_INTERVAL_MS = 3_000
/** Edits of all messages in one minute: chat.update allows about 50. */
export const EDITS_PER_MINUTE = 45
/** Shortest time between two posts in one channel, in milliseconds. */
export const POST_INTERVAL_MS = 1_000
const MINUTE_MS = 60_000

export interface Pacing {
  /** Whether this message may be edited now; counts nothing. */
  mayEdit(key: string): boolean
  /** Whether a message may be posted in the channel now; counts nothing. */
  mayPost(channel: string): boolean
  countEdit(key: string): void
  countPost(channel: string): void
}

/** Creates the pacing of one Slack workspace. */
export function createPacing(clock: Pick<Clock, 'nowMs'>): Pacing {
  const last = new Map<string, number>()
  const posts = new Map<string, number>()
  let recent: number[] = []

  const waitMs = (key: string): number => {
    const now = clock.nowMs()
    recent = recent.filter((at) => now - at < MINUTE_MS)
    for (const [other, at] of last) if (now - at > MINUTE_MS) last.delete(other)
    const ownMs = (last.get(key) ?? Number.NEGATIVE_INFINITY) + EDIT_INTERVAL_MS - now
    const first = recent[0]
    const sharedMs = recent.length < EDITS_PER_MINUTE || first === undefined ? 0 : first + MINUTE_MS - now
    return Math.max(0, ownMs, sharedMs)
  }
  return {
    mayEdit: (key) => waitMs(key) === 0,
    // A time in the future is that of a clock that was set back.
    mayPost: (channel) => Math.abs(clock.nowMs() - (posts.get(channel) ?? Number.NEGATIVE_INFINITY)) >= POST_INTERVAL_MS,
    countEdit(key) {
      last.set(key, clock.nowMs())
      recent.push(clock.nowMs())
    },
    countPost(channel) {
      const now = clock.nowMs()
      for (const [other, at] of posts) if (now - at > POST_INTERVAL_MS) posts.delete(other)
      posts.set(channel, now)
    },
  }
}
