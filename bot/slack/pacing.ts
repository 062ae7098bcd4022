// Limits how often messages are edited: each at most every three seconds, and all within Slack's rate limit. Edits that show progress are
// skipped when the limit is reached; the final edit waits.

import type { Clock } from '../system/clock.ts'

/** Shortest time between two edits of one message, in milliseconds. */
export const EDIT_INTERVAL_MS = 3_000
/** Edits of all messages in one minute: chat.update allows about 50. */
export const EDITS_PER_MINUTE = 45
const MINUTE_MS = 60_000

export interface Pacing {
  /** Whether this message may be edited now; counts the edit if it may. */
  tryEdit(key: string): boolean
  /** Resolves when this message may be edited, and counts the edit. */
  waitForEdit(key: string, signal?: AbortSignal): Promise<void>
}

/** Creates the pacing of one Slack workspace. */
export function createPacing(clock: Pick<Clock, 'nowMs' | 'sleep'>): Pacing {
  const last = new Map<string, number>()
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
  const count = (key: string): void => {
    last.set(key, clock.nowMs())
    recent.push(clock.nowMs())
  }
  return {
    tryEdit(key) {
      if (waitMs(key) > 0) return false
      count(key)
      return true
    },
    async waitForEdit(key, signal) {
      for (let wait = waitMs(key); wait > 0; wait = waitMs(key)) await clock.sleep(wait, signal)
      count(key)
    },
  }
}
