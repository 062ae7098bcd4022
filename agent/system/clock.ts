// The real clock. Nothing else in the agent reads time or sets timers.

import type { Clock } from '../contract/runtime.ts'

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason)
        return
      }
      // setImmediate runs after everything that is due; a timer of 0 would take a millisecond.
      if (ms === 0) {
        setImmediate(resolve)
        return
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', abort)
        resolve()
      }, ms)
      const abort = (): void => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
    }),
  every: (ms, run) => {
    const timer = setInterval(run, ms)
    timer.unref()
    return { [Symbol.dispose]: () => clearInterval(timer) }
  },
}
