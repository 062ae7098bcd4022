// Measures how late the event loop is: a timer is due every 100 ms, and the delay is how much later it fires. In an idle process
// it is due once a second, because ten wake-ups a second would be most of the cost of an idle agent.

import type { Clock } from '../contract/runtime.ts'

const TICK_MS = 100
const IDLE_TICK_MS = 1000
/** The process is idle after this time without a busy tick, in milliseconds. */
const IDLE_AFTER_MS = 10_000
/** Fraction of a core above which the process is busy. */
const BUSY_PART = 0.03
/** Delays are kept over the last two windows of this length, in milliseconds. */
const WINDOW_MS = 10_000
/** A tick that is this late, in milliseconds, counts as late. */
export const LATE_MS = 250

export interface EventLoopWatch extends Disposable {
  /** Returns the longest delay of the last 10 to 20 seconds, in milliseconds. */
  delayMsMax(): number
  /** Returns how often the loop was late by `LATE_MS` or more in the last 10 to 20 seconds. */
  lateTimes(): number
}

/** Starts measuring. `cpuMs` returns the processor time that the process has used, in milliseconds. */
export function watchEventLoop(clock: Clock, cpuMs: () => number): EventLoopWatch {
  let lastMs = clock.monotonicMs()
  let lastCpuMs = cpuMs()
  let busyMs = lastMs
  let windowEndMs = lastMs + WINDOW_MS
  let previous = { delayMs: 0, late: 0 }
  let current = { delayMs: 0, late: 0 }
  let intervalMs = TICK_MS
  const tick = (): void => {
    const nowMs = clock.monotonicMs()
    const nowCpuMs = cpuMs()
    const isBusy = nowCpuMs - lastCpuMs > BUSY_PART * (nowMs - lastMs) || nowMs - lastMs > 2 * intervalMs
    if (isBusy) busyMs = nowMs
    const delayMs = nowMs - lastMs - intervalMs
    current = { delayMs: Math.max(current.delayMs, delayMs), late: current.late + (delayMs >= LATE_MS ? 1 : 0) }
    lastMs = nowMs
    lastCpuMs = nowCpuMs
    if (nowMs >= windowEndMs) {
      previous = current
      current = { delayMs: 0, late: 0 }
      windowEndMs = nowMs + WINDOW_MS
    }
    const wanted = nowMs - busyMs < IDLE_AFTER_MS ? TICK_MS : IDLE_TICK_MS
    if (wanted === intervalMs) return
    intervalMs = wanted
    ticks[Symbol.dispose]()
    ticks = clock.every(intervalMs, tick)
  }
  let ticks = clock.every(intervalMs, tick)
  return {
    delayMsMax: () => Math.max(previous.delayMs, current.delayMs),
    lateTimes: () => previous.late + current.late,
    [Symbol.dispose]: () => ticks[Symbol.dispose](),
  }
}
