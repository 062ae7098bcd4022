// Unpacks a stream in a worker of its own. Memory is bounded: one compressed piece and a few unpacked ones are in progress, and the worker ends with
// the stream.

import { UnpackFault } from './compression.ts'
import type { Compression } from './compression.ts'
import type { UnpackReply, UnpackRequest } from './unpack-messages.ts'

/** Unpacked bytes, and how many compressed bytes were read until then. */
export interface Unpacked {
  readonly bytes: Uint8Array
  readonly readBytes: number
}

/**
 * Yields the unpacked bytes of a compressed source in order. Throws UnpackFault if the compressed bytes are at fault, what the source throws, and the
 * reason of the signal.
 */
export async function* unpackStream(compression: Compression, source: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Unpacked> {
  signal.throwIfAborted()
  const worker = new Worker(new URL('./unpack-worker.ts', import.meta.url).href)
  const send = (request: UnpackRequest, transfer: ArrayBuffer[] = []): void => worker.postMessage(request, transfer)
  // Bounded by UNTAKEN_MAX, plus one request for a piece and one end.
  const replies: UnpackReply[] = []
  let wake = (): void => {}
  let failure: unknown
  const fail = (error: unknown): void => {
    failure ??= error
    wake()
  }
  const onAbort = (): void => fail(signal.reason)
  signal.addEventListener('abort', onAbort)
  worker.addEventListener('message', (event: MessageEvent<UnpackReply>) => {
    replies.push(event.data)
    wake()
  })
  worker.addEventListener('error', (event) => fail(new Error(`the unpack worker failed: ${event.message}`)))
  const next = async (): Promise<UnpackReply> => {
    for (;;) {
      if (failure !== undefined) throw failure
      const reply = replies.shift()
      if (reply) return reply
      await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  const pieces = source[Symbol.asyncIterator]()
  let readBytes = 0
  try {
    send({ kind: 'start', compression })
    for (;;) {
      const reply = await next()
      if (reply.kind === 'more') {
        const piece = await pieces.next()
        if (piece.done === true) {
          send({ kind: 'end' })
          continue
        }
        readBytes += piece.value.byteLength
        const { buffer } = new Uint8Array(piece.value)
        send({ kind: 'piece', buffer }, [buffer])
      } else if (reply.kind === 'unpacked') {
        yield { bytes: new Uint8Array(reply.buffer), readBytes }
        send({ kind: 'taken' })
      } else if (reply.kind === 'done') {
        return
      } else {
        throw reply.kind === 'fault' ? new UnpackFault(reply.message) : new Error(`the unpack worker failed: ${reply.message}`)
      }
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    worker.terminate()
    await pieces.return?.()
  }
}
