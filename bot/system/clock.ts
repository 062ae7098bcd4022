// Time for the bot: no other file reads the time or sets timers. Tests inject their own clock.

export interface Clock {
  /** Wall time in milliseconds since 1970. */
  nowMs(): number
  /** Monotonic time in milliseconds, for durations. */
  monotonicMs(): number
  /** Resolves after at least this time; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls back at this interval until disposed; never keeps the process alive. */
  every(ms: number, run: () => void): Disposable
}

/** Returns a number from 0 up to, but excluding, 1. */
export const systemRandom = (): number => Math.random()

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason)
        return
      }
      const abort = (): void => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', abort)
        resolve()
      }, ms)
      signal?.addEventListener('abort', abort, { once: true })
    }),
  every: (ms, run) => {
    const timer = setInterval(run, ms)
    timer.unref()
    return { [Symbol.dispose]: () => clearInterval(timer) }
  },
}
