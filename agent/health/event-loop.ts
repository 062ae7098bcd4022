// How late the event loop is: a timer that should come each 100 ms, and how much later it came.

import type { Clock } from '../contract/runtime.ts'

const TICK_MS = 100
/** The longest delay is of the last two windows of this length in milliseconds. */
const WINDOW_MS = 10_000

export interface EventLoopWatch extends Disposable {
  /** Longest delay of the last 10 to 20 seconds in milliseconds. */
  delayMsMax(): number
}

/** Starts watching. */
export function watchEventLoop(clock: Clock): EventLoopWatch {
  let lastMs = clock.monotonicMs()
  let windowEndMs = lastMs + WINDOW_MS
  let previous = 0
  let current = 0
  const ticks = clock.every(TICK_MS, () => {
    const nowMs = clock.monotonicMs()
    current = Math.max(current, nowMs - lastMs - TICK_MS)
    lastMs = nowMs
    if (nowMs < windowEndMs) return
    previous = current
    current = 0
    windowEndMs = nowMs + WINDOW_MS
  })
  return { delayMsMax: () => Math.max(previous, current), [Symbol.dispose]: () => ticks[Symbol.dispose]() }
}
