// Publishes home tabs within Slack's rate limit: one at a time, and each person once however often it was asked for meanwhile.

import type { HomeView } from '@slack/types'
import type { Clock } from '../../system/clock.ts'
import type { Log } from '../../system/log.ts'

/** Homes that are published in one minute: views.publish allows about 100, for all people of the workspace. */
export const PUBLISHES_PER_MINUTE = 80
/** People who wait for their home; of more than these, the last are not served. */
export const WAITING_MAX = 1_000
const MINUTE_MS = 60_000
/** The longest Retry-After that is honoured, in milliseconds. */
const LIMITED_MAX_MS = 600_000

/** What Slack answered to a home. */
export type Published =
  | { readonly kind: 'done' }
  | { readonly kind: 'limited'; readonly afterMs: number }
  | { readonly kind: 'refused'; readonly reason: string }

export interface PublisherDeps {
  /** Makes the home of a person as it is now. */
  readonly make: (user: string) => Promise<HomeView>
  /** Sends it with one request; never throws. */
  readonly publish: (user: string, view: HomeView) => Promise<Published>
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>
  readonly log: Log
}

export interface Publisher extends AsyncDisposable {
  /** Publishes the home of a person as soon as the rate limit allows. */
  request(user: string): void
}

/** Creates the publisher of one workspace. Disposing ends it after the request in progress. */
export function createPublisher({ make, publish, clock, log }: PublisherDeps): Publisher {
  const waiting = new Set<string>()
  const stop = new AbortController()
  let recent: number[] = []
  let freeFromMs = 0
  let running: Promise<void> | undefined

  const waitMs = (): number => {
    const nowMs = clock.nowMs()
    // A time in the future is that of a clock that was set back.
    recent = recent.filter((at) => Math.abs(nowMs - at) < MINUTE_MS)
    const first = recent[0]
    const sharedMs = recent.length < PUBLISHES_PER_MINUTE || first === undefined ? 0 : first + MINUTE_MS - nowMs
    return Math.max(0, sharedMs, Math.min(freeFromMs - nowMs, LIMITED_MAX_MS))
  }
  const publishOne = async (user: string): Promise<void> => {
    try {
      const view = await make(user)
      recent.push(clock.nowMs())
      const answer = await publish(user, view)
      if (answer.kind === 'refused') log.warn('a home tab could not be published', { user, reason: answer.reason })
      if (answer.kind !== 'limited') return
      freeFromMs = clock.nowMs() + Math.min(answer.afterMs, LIMITED_MAX_MS)
      waiting.add(user)
    } catch (error) {
      log.error('a home tab could not be made', { error, user })
    }
  }
  const run = async (): Promise<void> => {
    for (;;) {
      const ms = waitMs()
      if (ms > 0) await clock.sleep(ms, stop.signal).catch(() => {})
      const [user] = waiting
      if (user === undefined || stop.signal.aborted) return
      if (waitMs() > 0) continue
      waiting.delete(user)
      await publishOne(user)
    }
  }
  const start = (): void => {
    running ??= run().finally(() => {
      running = undefined
      // Somebody may have been added after the loop found nobody.
      if (waiting.size > 0 && !stop.signal.aborted) start()
    })
  }
  return {
    request(user) {
      if (stop.signal.aborted || (waiting.size >= WAITING_MAX && !waiting.has(user))) return
      waiting.add(user)
      start()
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}
