// Turns the bytes of a source into the stream that an internal upload appends. It counts the bytes, and ends a source that is too slow.

import { problem } from '../../protocol/problems.ts'
import type { Clock } from '../contract/runtime.ts'
import { SourceInterrupted } from './source.ts'

/** A source must bring this many bytes in this many milliseconds of waiting for it: 10 KiB/s. */
export const RATE_WINDOW_MS = 60_000
export const RATE_WINDOW_BYTES_MIN = 600 * 1024

export interface SourceStreamOptions {
  readonly clock: Pick<Clock, 'monotonicMs' | 'every'>
  /** Bytes at the beginning that are dropped. */
  readonly skip: number
  /** Called with the bytes that were passed on so far. */
  readonly onBytes: (count: number) => void
  /** Milliseconds of waiting in which RATE_WINDOW_BYTES_MIN bytes must arrive; RATE_WINDOW_MS by default. */
  readonly windowMs?: number
}

export interface SourceStream {
  readonly stream: ReadableStream<Uint8Array>
  /** Why the stream failed; undefined while it has not. */
  failure(): unknown
}

/** How often the rate is looked at, in milliseconds. */
const LOOK_MS = 1000

/**
 * Creates the stream. `abort` is called when the stream has ended in any way, and ends a read that is in progress. Only the time spent waiting for the
 * source counts for its rate, so a busy store does not make a source look slow.
 */
export function createSourceStream(pieces: AsyncIterable<Uint8Array>, abort: () => void, options: SourceStreamOptions): SourceStream {
  const { clock, onBytes } = options
  const iterator = pieces[Symbol.asyncIterator]()
  let failure: unknown
  let skip = options.skip
  let passed = 0
  const rate = createRateWatch(options, abort)

  const end = (): void => {
    rate[Symbol.dispose]()
    abort()
    // The source may be waiting for bytes that never come, so nothing waits for it; it was told to abort.
    void Promise.resolve(iterator.return?.()).catch(() => {})
  }

  const next = async (): Promise<IteratorResult<Uint8Array>> => {
    const startMs = clock.monotonicMs()
    rate.waitingSince(startMs)
    const result = await iterator.next()
    rate.arrived(result.done === true ? 0 : result.value.byteLength, clock.monotonicMs() - startMs)
    return result
  }

  /** Passes on one piece, or the end. */
  const pass = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    for (;;) {
      const { done, value } = await next()
      if (done === true) {
        if (skip > 0) throw problem('source-changed', 'The source is shorter than before.')
        controller.close()
        end()
        return
      }
      const kept = value.byteLength > skip ? value.subarray(skip) : undefined
      skip = Math.max(0, skip - value.byteLength)
      if (!kept) continue
      passed += kept.byteLength
      onBytes(passed)
      controller.enqueue(kept)
      return
    }
  }

  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    try {
      await pass(controller)
    } catch (error) {
      failure = rate.isTooSlow ? new SourceInterrupted('it sent less than 10 KiB/s for a minute') : error
      end()
      controller.error(failure)
    }
  }
  return { stream: new ReadableStream({ pull, cancel: end }, { highWaterMark: 1 }), failure: () => failure }
}

interface RateWatch extends Disposable {
  readonly isTooSlow: boolean
  waitingSince(atMs: number): void
  /** Counts a piece, and how long it was waited for. */
  arrived(bytes: number, waitedMs: number): void
}

/** Watches with one timer, however many pieces arrive: a timer for each piece would cost more than the piece. */
function createRateWatch({ clock, windowMs = RATE_WINDOW_MS }: SourceStreamOptions, abort: () => void): RateWatch {
  let isTooSlow = false
  let bytes = 0
  let waitedMs = 0
  let sinceMs: number | undefined

  const look = (): void => {
    const nowMs = clock.monotonicMs()
    const present = sinceMs === undefined ? 0 : nowMs - sinceMs
    if (waitedMs + present < windowMs) return
    if (bytes < RATE_WINDOW_BYTES_MIN && sinceMs !== undefined) {
      isTooSlow = true
      abort()
    }
    bytes = 0
    // What the present wait took so far belongs to the window that has ended.
    waitedMs = -present
  }
  const timer = clock.every(LOOK_MS, look)
  return {
    get isTooSlow() {
      return isTooSlow
    },
    waitingSince: (atMs) => void (sinceMs = atMs),
    arrived(count, ms) {
      sinceMs = undefined
      bytes += count
      waitedMs += ms
    },
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  }
}
