// Limits the bytes per second of all syncs of a store and of each of them. Running syncs share the rate of the store by weighted fair queueing: each byte
// advances the virtual time of its share by 1/weight, and the share with the least virtual time is served next. So equal priorities get equal parts, a
// higher one gets a larger part, and none starves.

import type { Clock } from '../../contract/runtime.ts'
import type { SyncPriority } from '../../../protocol/sync/sync-limits.ts'

/** Seconds of the rate that may be on the way. More would arrive in a burst, less would leave a long line idle between two batches. */
const IN_FLIGHT_SECONDS = 2
/** Parts of the rate by priority. */
const WEIGHTS: Readonly<Record<SyncPriority, number>> = { low: 1, normal: 2, high: 4 }
/** How much of an unused rate may be made up for, in milliseconds: timers are late by some of them. */
export const CATCH_UP_MS = 50

export interface RateLimiter {
  /** Opens the share of one sync. Disposing it lets what waits for it pass. */
  open(options: ShareOptions): RateShare
}

export interface ShareOptions {
  /** Limit of this sync alone; undefined for none. */
  readonly bytesPerSecond?: number | undefined
  readonly priority: SyncPriority
}

export interface RateShare extends Disposable {
  /**
   * Counts bytes that arrived. Resolves when the rates allow the next bytes, in the order of the calls. Rejects with the signal's reason when it aborts.
   */
  take(bytes: number, signal?: AbortSignal): Promise<void>
  /** Returns the bytes that should be on the way at most, so that the rates hold on the line too: those of IN_FLIGHT_SECONDS; Infinity without limits. */
  inFlightMax(): number
}

export interface RateLimiterDeps {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  /** Returns the limit of the store now, in bytes per second; undefined for none. */
  readonly bytesPerSecond: () => number | undefined
}

interface Waiting {
  readonly bytes: number
  readonly resolve: () => void
}

interface Share {
  readonly weight: number
  readonly bytesPerSecond: number | undefined
  readonly queue: Waiting[]
  virtual: number
  /** When the bytes that passed are paid for, in milliseconds of the clock. */
  freeMs: number
  /** When its last bytes passed. */
  servedMs: number
}

/** A share that asks again within this time, in milliseconds, counts as waiting all the time: it is busy with the bytes that passed. */
const IDLE_MS = 1000
/** Longest wait before the limit of the store is read again, in milliseconds, because operators may change it. */
const LOOK_MS = 1000

/** Creates the limiter of a store. */
export function createRateLimiter({ clock, bytesPerSecond }: RateLimiterDeps): RateLimiter {
  const shares = new Set<Share>()
  let freeMs = 0
  let virtual = 0
  let isRunning = false
  /** Ends the present wait: other bytes may pass earlier than those that it is for. */
  let wake = new AbortController()

  /** Lets the next bytes pass. Returns how long to wait before the next call, or undefined when nothing waits. */
  const serve = (): number | undefined => {
    const nowMs = clock.monotonicMs()
    const rate = bytesPerSecond()
    let waitMs = Infinity
    let next: Share | undefined
    for (const share of shares) {
      if (share.queue.length === 0) continue
      if (share.freeMs > nowMs) waitMs = Math.min(waitMs, share.freeMs - nowMs)
      else if (!next || share.virtual < next.virtual) next = share
    }
    if (!next) return waitMs === Infinity ? undefined : waitMs
    if (rate !== undefined && freeMs > nowMs) return freeMs - nowMs
    const waiting = next.queue.shift()
    if (!waiting) return 0
    virtual = next.virtual
    next.servedMs = nowMs
    next.virtual += waiting.bytes / next.weight
    next.freeMs = paidMs(next.freeMs, nowMs, waiting.bytes, next.bytesPerSecond)
    freeMs = paidMs(freeMs, nowMs, waiting.bytes, rate)
    waiting.resolve()
    return 0
  }

  const run = async (): Promise<void> => {
    if (isRunning) return wake.abort()
    isRunning = true
    for (let waitMs = serve(); waitMs !== undefined; waitMs = serve()) {
      if (waitMs === 0) {
        // The sync whose bytes passed asks for the next ones first. Otherwise small pieces would get a smaller part than large ones.
        await clock.sleep(0)
        continue
      }
      wake = new AbortController()
      await clock.sleep(Math.min(waitMs, LOOK_MS), wake.signal).catch(() => {})
    }
    isRunning = false
  }

  return {
    open({ bytesPerSecond: own, priority }) {
      const share: Share = { weight: WEIGHTS[priority], bytesPerSecond: own, queue: [], virtual, freeMs: 0, servedMs: -Infinity }
      shares.add(share)
      return {
        take(bytes, signal) {
          if (signal?.aborted) return Promise.reject(signal.reason)
          const isFree = own === undefined && share.queue.length === 0 && bytesPerSecond() === undefined
          if (isFree || !shares.has(share)) return Promise.resolve()
          return new Promise((resolve, reject) => {
            const abort = (): void => {
              const at = share.queue.indexOf(waiting)
              if (at >= 0) share.queue.splice(at, 1)
              reject(signal?.reason)
            }
            const waiting: Waiting = {
              bytes,
              resolve: () => {
                signal?.removeEventListener('abort', abort)
                resolve()
              },
            }
            signal?.addEventListener('abort', abort, { once: true })
            // A share that did not wait for long has no claim on the time in which it was idle.
            if (share.queue.length === 0 && clock.monotonicMs() - share.servedMs > IDLE_MS) share.virtual = Math.max(share.virtual, virtual)
            share.queue.push(waiting)
            void run()
          })
        },
        inFlightMax() {
          const running = [...shares].reduce((sum, { weight }) => sum + weight, 0)
          const rate = bytesPerSecond()
          return IN_FLIGHT_SECONDS * Math.min(own ?? Infinity, rate === undefined ? Infinity : (rate * share.weight) / running)
        },
        [Symbol.dispose]() {
          shares.delete(share)
          for (const waiting of share.queue.splice(0)) waiting.resolve()
        },
      }
    },
  }
}

/** Returns when bytes that pass now are paid for. */
function paidMs(freeMs: number, nowMs: number, bytes: number, rate: number | undefined): number {
  if (rate === undefined) return 0
  return Math.max(freeMs, nowMs - CATCH_UP_MS) + (bytes * 1000) / rate
}
