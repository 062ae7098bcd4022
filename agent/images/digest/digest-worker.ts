// Worker that computes the SHA-256 of one image, so that the event loop stays free. Buffers are transferred to this thread and back for reuse.

import { lowerThreadPriority, PRIORITY_OF_BACKGROUND } from '../../contract/thread-priority.ts'
import type { DigestReply, DigestRequest } from './digest-sink.ts'
import { updateWithZeros } from './zeros.ts'

declare const self: Worker

const hash = new Bun.CryptoHasher('sha256')

self.addEventListener('message', (event: MessageEvent<DigestRequest>) => {
  const request = event.data
  switch (request.kind) {
    case 'background':
      // Reading slices slows down too, because it waits for this thread.
      lowerThreadPriority(PRIORITY_OF_BACKGROUND)
      return
    case 'piece':
      hash.update(new Uint8Array(request.buffer, 0, request.length))
      reply({ kind: 'hashed', buffer: request.buffer }, [request.buffer])
      return
    case 'zeros':
      updateWithZeros(hash, request.length)
      return
    case 'end':
      reply({ kind: 'digest', hex: hash.digest('hex') })
      return
    default:
      request satisfies never
  }
})

function reply(message: DigestReply, transfer: ArrayBuffer[] = []): void {
  self.postMessage(message, transfer)
}
