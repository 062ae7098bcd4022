// Checks the rates of bodies and answers, with timers that run only while a request is in progress: an idle agent must not wake up.

import type { Clock } from '../contract/runtime.ts'
import type { Conversations, SendQueues } from './conversations.ts'
import { QUEUE_CHECKS, RATE_CHECK_MS } from './limits.ts'
import type { ServerLimits } from './limits.ts'

export interface RateWatchDeps {
  readonly clock: Clock
  readonly limits: ServerLimits
  readonly conversations: Conversations
  /** Returns the kernel's send queues. */
  readonly sendQueues: () => Promise<SendQueues>
}

export interface RateWatch extends Disposable {
  /** Starts the timers unless they are running. They stop by themselves when no request is in progress. */
  start(): void
}

/** Creates a watch whose timers are stopped. */
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
