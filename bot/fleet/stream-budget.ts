// How much an agent may send on its stream: a broken or hostile one that sends without end costs the bot a bounded part of its time.

/** Bytes that may come at once, such as the events of an interruption. */
export const STREAM_BURST_BYTES = 4 * 1024 * 1024
/** Bytes a second that may come for long. A busy store sends a state and some events a second, less than 10 KiB. */
export const STREAM_BYTES_PER_SECOND = 32 * 1024

/** The agent sent more than its budget. */
export class StreamFlood extends Error {
  override readonly name = 'StreamFlood'
}

/** Returns a function that takes bytes from the budget of one stream. It throws StreamFlood when there are not enough. */
export function createStreamBudget(monotonicMs: () => number): (bytes: number) => void {
  let left = STREAM_BURST_BYTES
  let atMs = monotonicMs()
  return (bytes) => {
    const nowMs = monotonicMs()
    left = Math.min(STREAM_BURST_BYTES, left + ((nowMs - atMs) * STREAM_BYTES_PER_SECOND) / 1000)
    atMs = nowMs
    left -= bytes
    if (left < 0) throw new StreamFlood(`the agent sent more than ${STREAM_BURST_BYTES} bytes at once`)
  }
}
