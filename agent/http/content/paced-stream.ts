// Sends a long body piece by piece as the client reads it, each piece within a turn of the transfer gate. Between turns, only the position
// is kept.

import type { TransferGate, Turn } from './transfer-gate.ts'

export interface PacedStream {
  readonly gate: TransferGate
  /** Name of the caller: turns rotate between the callers that wait. */
  readonly key: string
  /** The signal of the request. */
  readonly signal: AbortSignal
  /** Yields the pieces that have not been read yet. Called once for each turn; a turn may end before the last piece. */
  readonly open: (signal: AbortSignal) => AsyncGenerator<Uint8Array>
  /** Whether the last piece was read. */
  readonly isWhole: () => boolean
  /** Called once when the stream has ended in any way. */
  readonly ended: () => void
  /** Called before the stream breaks, unless the client disconnected. */
  readonly failed: (error: unknown) => Promise<void>
}

/**
 * Resolves when the first piece has been read, so that an immediate failure is answered with a problem. A later failure breaks the stream, which
 * resets the connection, so that the client notices that the answer is incomplete.
 */
export async function openPacedStream(paced: PacedStream): Promise<ReadableStream<Uint8Array>> {
  const { gate, key, open, isWhole, failed } = paced
  const ended = new AbortController()
  const signal = AbortSignal.any([paced.signal, ended.signal])
  let turn: Turn | undefined
  let pieces: AsyncGenerator<Uint8Array> | undefined

  const next = async (): Promise<Uint8Array> => {
    if (!turn?.isValid) {
      await pieces?.return(undefined)
      pieces = undefined
      turn = await gate.enter(key, signal)
    }
    turn.begin()
    pieces ??= open(signal)
    const { value, done } = await pieces.next()
    if (done) throw new Error('the source of a stream ended before it was complete')
    turn.end(value.byteLength)
    return value
  }
  const close = (): void => {
    if (ended.signal.aborted) return
    ended.abort()
    paced.ended()
    turn?.[Symbol.dispose]()
    // A read in progress ends with the signal, and its bytes are no longer needed.
    pieces?.return(undefined).catch(() => {})
  }
  const take = async (): Promise<Uint8Array> => {
    try {
      return await next()
    } catch (error) {
      if (!signal.aborted) await failed(error)
      close()
      throw error
    }
  }
  paced.signal.addEventListener('abort', close, { once: true })
  let first: Uint8Array | undefined = await take()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = first ?? (await take())
        first = undefined
        controller.enqueue(piece)
        if (!isWhole()) return
        controller.close()
        close()
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  )
}
