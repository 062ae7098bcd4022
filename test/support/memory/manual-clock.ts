// A clock that stands still until a test moves it.

import type { Clock } from '../../../agent/contract/runtime.ts'

export interface ManualClock extends Clock {
  /** Advances the time and runs what became due, in order of time. */
  advance(ms: number): void
  /** Resolves once at least this many calls of `sleep` wait. */
  untilSleeping(count: number): Promise<void>
}

interface Timer {
  dueMs: number
  readonly everyMs: number | undefined
  readonly run: () => void
}

/** Creates a clock that starts at a wall time, by default 1 January 2026; wall and monotonic time advance together. */
export function createManualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  let elapsedMs = 0
  const timers = new Set<Timer>()
  const observers = new Set<() => void>()

  const add = (timer: Timer): void => {
    timers.add(timer)
    for (const observe of observers) observe()
  }

  const next = (untilMs: number): Timer | undefined => {
    let first: Timer | undefined
    for (const timer of timers) if (timer.dueMs <= untilMs && (!first || timer.dueMs < first.dueMs)) first = timer
    return first
  }

  return {
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,

    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason)
          return
        }
        // It is due at once, after other pending callbacks, and no time passes.
        if (ms === 0) {
          setImmediate(resolve)
          return
        }
        const timer: Timer = { dueMs: elapsedMs + ms, everyMs: undefined, run: resolve }
        signal?.addEventListener('abort', () => timers.delete(timer) && reject(signal.reason), { once: true })
        add(timer)
      }),

    every: (ms, run) => {
      const timer: Timer = { dueMs: elapsedMs + ms, everyMs: ms, run }
      add(timer)
      return { [Symbol.dispose]: () => void timers.delete(timer) }
    },

    advance(ms) {
      const untilMs = elapsedMs + ms
      for (let timer = next(untilMs); timer; timer = next(untilMs)) {
        elapsedMs = timer.dueMs
        if (timer.everyMs === undefined) timers.delete(timer)
        else timer.dueMs += timer.everyMs
        timer.run()
      }
      elapsedMs = untilMs
    },

    untilSleeping: (count) =>
      new Promise((resolve) => {
        const observe = (): void => {
          if ([...timers].filter((timer) => timer.everyMs === undefined).length < count) return
          observers.delete(observe)
          resolve()
        }
        observers.add(observe)
        observe()
      }),
  }
}
