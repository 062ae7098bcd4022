// The body of a request, piece by piece: the next piece is read when the one before has been taken, so that a slow agent slows its client.

import type { Clock } from '../system/clock.ts'

/** How long a body that another request replaces is still read, in milliseconds: what its client sent may already be here. */
const REPLACED_MS_MAX = 300
/** How long such a body may be silent, in milliseconds. */
const REPLACED_SILENCE_MS = 100

export interface RequestBody {
  /** Yields the pieces once. */
  readonly pieces: AsyncIterable<Uint8Array>
  /** Whether the whole body was read. */
  hasEnded(): boolean
  /** Ends the pieces soon: they yield what has arrived, and end without an error. */
  endSoon(): void
  /** Reads no more. */
  close(): Promise<void>
}

/** Returns the body of a request; undefined when it has none. */
export function readBody({ body, headers }: Pick<Request, 'body' | 'headers'>, clock: Pick<Clock, 'monotonicMs' | 'sleep'>): RequestBody | undefined {
  if (!body || headers.get('content-length') === '0') return undefined
  const reader = body.getReader()
  let isEnded = false
  let endMs: number | undefined
  let silence = new AbortController()
  // A client that has gone has cancelled it already.
  const cancel = (): Promise<void> => reader.cancel().catch(() => {})
  const arm = (): void => {
    silence.abort()
    silence = new AbortController()
    clock.sleep(REPLACED_SILENCE_MS, silence.signal).then(cancel, () => {})
  }
  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        yield value
        if (endMs === undefined) continue
        if (clock.monotonicMs() >= endMs) {
          await cancel()
          break
        }
        arm()
      }
      isEnded = endMs === undefined
    } finally {
      silence.abort()
    }
  }
  return {
    pieces: read(),
    hasEnded: () => isEnded,
    endSoon() {
      endMs ??= clock.monotonicMs() + REPLACED_MS_MAX
      arm()
    },
    async close() {
      if (!isEnded) await cancel()
    },
  }
}
