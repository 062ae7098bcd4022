// The one reader of answers from another machine. A body may be neither silent, nor too slow on average, nor too long in
// total: a peer that sends one byte every few seconds would otherwise hold its reader for ever.

/** Least bytes a second that the reader has to wait for, on average over a window. 4 KiB/s is a link of 32 kbit/s. */
export const ANSWER_RATE_MIN = 4096
/** Waiting time over which the rate is averaged, in milliseconds. */
export const ANSWER_RATE_WINDOW_MS = 60_000

/** How slowly an answer may come. All times are times of waiting for the peer: what the reader itself takes does not count. */
export interface AnswerPace {
  /** Longest silence, in milliseconds; a silence is found after one to two of these. */
  readonly stallTimeoutMs: number
  readonly bytesPerSecondMin?: number | undefined
  readonly rateWindowMs?: number | undefined
  /** Longest time for the whole body, in milliseconds; without it length and rate bound the time. */
  readonly totalMsMax?: number | undefined
}

export interface AnswerReading {
  readonly pace: AnswerPace
  /** A signal that aborts after this time. */
  readonly timeout: (ms: number) => AbortSignal
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number
  /** Ends the exchange, so that a read that waits fails. */
  readonly end: () => void
}

/** Milliseconds on a clock that never goes back. */
export function monotonicMs(): number {
  return performance.now()
}

/** The peer is too slow; the message completes a sentence that begins with its address. */
export class AnswerTooSlow extends Error {
  override readonly name = 'AnswerTooSlow'
}

/** The pieces of a body as they arrive. Throws AnswerTooSlow, or what the body itself throws. Leaving early ends the exchange. */
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

/** Ends the exchange when nothing comes while the reader waits. One timer at a time, not one for each piece. */
function watchSilence({ pace, timeout, end }: AnswerReading) {
  // Counts what happens, so that a look sees whether anything did.
  let turns = 0
  let isWaiting = true
  let isDone = false
  let isTooLong = false
  const watch = (seen: number): void => {
    timeout(pace.stallTimeoutMs).addEventListener(
      'abort',
      () => {
        if (isDone) return
        if (!isWaiting || turns !== seen) return watch(turns)
        isTooLong = true
        end()
      },
      { once: true },
    )
  }
  watch(turns)
  return {
    get isTooLong() {
      return isTooLong
    },
    received() {
      turns++
      isWaiting = false
    },
    waiting() {
      turns++
      isWaiting = true
    },
    [Symbol.dispose]() {
      isDone = true
    },
  }
}

/** Judges rate and total time at each piece; the silence limit makes sure that there is a next piece. */
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
      if (windowBytes * 1000 < bytesPerSecondMin * windowMs) throw new AnswerTooSlow(`sent less than ${bytesPerSecondMin} bytes a second`)
      windowBytes = 0
      windowMs = 0
    },
  }
}
