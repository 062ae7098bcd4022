// Worker that unpacks one file, so that the event loop stays free. It asks for compressed pieces one at a time, and waits while its caller has not
// taken what it returned.

import { errorText } from '../../../protocol/errors.ts'
import { UnpackFault } from './compression.ts'
import { decode } from './decoders.ts'
import type { UnpackReply, UnpackRequest } from './unpack-messages.ts'
import { UNTAKEN_MAX } from './unpack-messages.ts'

declare const self: Worker

let onPiece: ((piece: Uint8Array | undefined) => void) | undefined
let onTaken: (() => void) | undefined
let untaken = 0

self.addEventListener('message', (event: MessageEvent<UnpackRequest>) => {
  const request = event.data
  switch (request.kind) {
    case 'start':
      void unpack(request.compression)
      return
    case 'piece':
      onPiece?.(new Uint8Array(request.buffer))
      return
    case 'end':
      onPiece?.(undefined)
      return
    case 'taken':
      untaken--
      onTaken?.()
      return
    default:
      request satisfies never
  }
})

async function unpack(compression: Parameters<typeof decode>[0]): Promise<void> {
  try {
    for await (const bytes of decode(compression, pieces())) {
      while (untaken >= UNTAKEN_MAX) await new Promise<void>((resolve) => (onTaken = resolve))
      untaken++
      // Decoders reuse what they return.
      const { buffer } = new Uint8Array(bytes)
      reply({ kind: 'unpacked', buffer }, [buffer])
    }
    reply({ kind: 'done' })
  } catch (error) {
    const isFault = error instanceof UnpackFault
    reply({ kind: isFault ? 'fault' : 'failed', message: errorText(error) })
  }
}

/** Yields the compressed pieces as they come. */
async function* pieces(): AsyncGenerator<Uint8Array> {
  for (;;) {
    const received = new Promise<Uint8Array | undefined>((resolve) => (onPiece = resolve))
    reply({ kind: 'more' })
    const piece = await received
    if (piece === undefined) return
    yield piece
  }
}

function reply(message: UnpackReply, transfer: ArrayBuffer[] = []): void {
  self.postMessage(message, transfer)
}
