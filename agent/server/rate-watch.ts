// Watches the rates of bodies and answers, with timers that run only while a request is in progress: an idle agent must not wake up.

import type { Clock } from '../contract/runtime.ts'
import type { Conversations, SendQueues } from './conversations.ts'
import { QUEUE_CHECKS, RATE_CHECK_MS } from './limits.ts'
import type { ServerLimits } from './limits.ts'

export interface RateWatchDeps {
  readonly clock: Clock
  readonly limits: ServerLimits
  readonly conversations: Conversations
  /** Returns the send queues of the peers that read too slowly to take what was written. */
  readonly sendQueues: () => Promise<SendQueues>
}

export interface RateWatch extends Disposable {
  /** Starts the timers unless they run. They stop by themselves when no request is in progress. */
  start(): void
}

/** Creates a watch that does not run yet. */
export function createRateWatch({ clock, limits, conversations, sendQueues }: RateWatchDeps): RateWatch {
  let timers: readonly Disposable[] = []
  let isObserving = false
  const stop = (): void => {
    for (const timer of timers) timer[Symbol.dispose]()
    timers = []
  }
  const observe = async (): Promise<void> => {
    if (isObserving || !conversations.hasBlockedAnswers) return
    isObserving = true
    conversations.observeQueues(await sendQueues())
    isObserving = false
  }
  return {
    start() {
      if (timers.length > 0) return
      timers = [
        clock.every(RATE_CHECK_MS, () => {
          if (conversations.pending === 0) stop()
          else conversations.checkRates(clock.monotonicMs())
        }),
        clock.every(limits.rate.windowMs / QUEUE_CHECKS, () => void observe()),
      ]
    },
    [Symbol.dispose]: stop,
  }
}
