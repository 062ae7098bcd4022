// Worker that computes the SHA-256 of one image, so that the event loop stays free. Buffers are transferred to this thread and back for reuse.

import { lowerThreadPriority, PRIORITY_OF_BACKGROUND } from '../../contract/thread-priority.ts'
import type { DigestAnswer, DigestOrder } from './whole-digest.ts'
import { updateWithZeros } from './zeros.ts'

declare const self: Worker

const hash = new Bun.CryptoHasher('sha256')

self.addEventListener('message', (event: MessageEvent<DigestOrder>) => {
  const order = event.data
  switch (order.kind) {
    case 'background':
      // Reading slices slows down too, because it waits for this thread.
      lowerThreadPriority(PRIORITY_OF_BACKGROUND)
      return
    case 'piece':
      hash.update(new Uint8Array(order.buffer, 0, order.length))
      answer({ kind: 'taken', buffer: order.buffer }, [order.buffer])
      return
    case 'zeros':
      updateWithZeros(hash, order.length)
      return
    case 'end':
      answer({ kind: 'digest', hex: hash.digest('hex') })
      return
    default:
      order satisfies never
  }
})

function answer(message: DigestAnswer, transfer: ArrayBuffer[] = []): void {
  self.postMessage(message, transfer)
}
