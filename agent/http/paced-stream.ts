// A long body, piece by piece as the client takes it, each piece moved within a turn of the transfer gate. Between turns
// nothing is held but the place where it goes on.

import type { TransferGate, Turn } from './transfer-gate.ts'

export interface PacedStream {
  readonly gate: TransferGate
  /** Who asks: turns go round between those who wait. */
  readonly key: string
  /** The signal of the request. */
  readonly signal: AbortSignal
  /** The pieces from where the last one left off; called anew for every turn, and left early when a turn ends. */
  readonly open: (signal: AbortSignal) => AsyncGenerator<Uint8Array>
  /** Whether the last piece given was the last of all. */
  readonly isWhole: () => boolean
  /** Told once when the stream has ended, however it ended. */
  readonly ended: () => void
  /** Told of a failure that is not the client's leaving, before the stream breaks. */
  readonly failed: (error: unknown) => Promise<void>
}

/**
 * Resolves when the first piece is there, so that what fails at once is a problem and not a broken answer. A later failure
 * makes the stream err, which resets the connection: nobody takes a part for the whole.
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
    if (done) throw new Error('the source of a stream ended before it was whole')
    turn.end(value.byteLength)
    return value
  }
  const close = (): void => {
    if (ended.signal.aborted) return
    ended.abort()
    paced.ended()
    turn?.[Symbol.dispose]()
    // A reader in the middle of a piece ends with the signal; what it had is of no use any more.
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
