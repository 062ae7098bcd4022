// A bound on sign-ins that ask Slack: anybody who reaches the page can begin one, and each costs a request to Slack.

import type { Clock } from '../../system/clock.ts'

/** Most sign-ins that wait for Slack at the same time. */
export const ATTEMPTS_WAITING_MAX = 8
/** Most sign-ins in a minute. */
export const ATTEMPTS_PER_MINUTE_MAX = 30
const MINUTE_MS = 60_000

export interface Attempts {
  /** Takes a place until it is disposed; undefined when there is none. */
  take(): Disposable | undefined
}

/** Creates the places of a process. */
export function createAttempts(clock: Pick<Clock, 'nowMs'>): Attempts {
  let waiting = 0
  let startedMs: number[] = []
  return {
    take() {
      const now = clock.nowMs()
      startedMs = startedMs.filter((ms) => Math.abs(now - ms) < MINUTE_MS)
      if (waiting >= ATTEMPTS_WAITING_MAX || startedMs.length >= ATTEMPTS_PER_MINUTE_MAX) return undefined
      waiting++
      startedMs.push(now)
      return {
        [Symbol.dispose]() {
          waiting--
        },
      }
    },
  }
}
