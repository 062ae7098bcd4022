// Reads the bodies of answers from other machines. Bounds the silence, the average rate and the total time of a body: otherwise a peer that sends one
// byte every few seconds would block its reader forever.

/** Least average rate of a body in bytes per second, measured over a window. 4 KiB/s is a link of 32 kbit/s. */
export const ANSWER_RATE_MIN = 4096
/** Time spent waiting over which the rate is averaged, in milliseconds. */
export const ANSWER_RATE_WINDOW_MS = 60_000

/** How slowly an answer may arrive. Only time spent waiting for the peer counts, not the time that the reader takes. */
export interface AnswerPace {
  /** Longest silence, in milliseconds. A silence is detected after one to two times this. */
  readonly stallTimeoutMs: number
  readonly bytesPerSecondMin?: number | undefined
  readonly rateWindowMs?: number | undefined
  /** Longest time for the complete body, in milliseconds; without it, only the least rate bounds the time. */
  readonly totalMsMax?: number | undefined
}

export interface AnswerReading {
  readonly pace: AnswerPace
  /** Returns a signal that aborts after this time. */
  readonly timeout: (ms: number) => AbortSignal
  /** Returns milliseconds on a monotonic clock. */
  readonly now: () => number
  /** Ends the exchange, so that a pending read fails. */
  readonly end: () => void
}

/** Returns milliseconds on a monotonic clock. */
export function monotonicMs(): number {
  return performance.now()
}

/** The peer is too slow. The message completes a sentence that begins with its address. */
export class AnswerTooSlow extends Error {
  override readonly name = 'AnswerTooSlow'
}

/** Yields the pieces of a body as they arrive. Throws AnswerTooSlow, or what the body itself throws. Returning early ends the exchange. */
export async function* readAnswer(body: AsyncIterable<Uint8Array>, reading: AnswerReading): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const { now, end } = reading
  const silence = watchSilence(reading)
  const meter = createMeter(reading.pace)
  try {
    let sinceMs = now()
    for await (const piece of body) {
      meter.received(piece.byteLength, now() - sinceMs)
      silence.received()
      yield piece as Uint8Array<ArrayBuffer>
      silence.waiting()
      sinceMs = now()
    }
  } catch (error) {
    throw silence.isTooLong ? new AnswerTooSlow(`fell silent for ${reading.pace.stallTimeoutMs / 1000} s`, { cause: error }) : error
  } finally {
    silence[Symbol.dispose]()
    end()
  }
}

/** Ends the exchange when nothing arrives while the reader waits. Uses one timer at a time, not one for each piece. */
function watchSilence({ pace, timeout, end }: AnswerReading) {
  // Number of calls of `received` and `waiting`, so that the timer sees whether there was activity.
  let activity = 0
  let isWaiting = true
  let isDone = false
  let isTooLong = false
  const watch = (seen: number): void => {
    timeout(pace.stallTimeoutMs).addEventListener(
      'abort',
      () => {
        if (isDone) return
        if (!isWaiting || activity !== seen) return watch(activity)
        isTooLong = true
        end()
      },
      { once: true },
    )
  }
  watch(activity)
  return {
    get isTooLong() {
      return isTooLong
    },
    received() {
      activity++
      isWaiting = false
    },
    waiting() {
      activity++
      isWaiting = true
    },
    [Symbol.dispose]() {
      isDone = true
    },
  }
}

/** Checks the rate and the total time at each piece. The silence limit ensures that there is a next piece. */
function createMeter({ bytesPerSecondMin = ANSWER_RATE_MIN, rateWindowMs = ANSWER_RATE_WINDOW_MS, totalMsMax }: AnswerPace) {
  let windowBytes = 0
  let windowMs = 0
  let totalMs = 0
  return {
    received(bytes: number, waitedMs: number): void {
      windowBytes += bytes
      windowMs += waitedMs
      totalMs += waitedMs
      if (totalMsMax !== undefined && totalMs > totalMsMax) throw new AnswerTooSlow(`did not finish its answer within ${totalMsMax / 1000} s`)
      if (windowMs < rateWindowMs) return
      if (windowBytes * 1000 < bytesPerSecondMin * windowMs) throw new AnswerTooSlow(`sent less than ${bytesPerSecondMin} bytes per second`)
      windowBytes = 0
      windowMs = 0
    },
  }
}
