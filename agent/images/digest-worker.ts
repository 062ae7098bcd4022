// Worker that computes the SHA-256 of the pieces of one image, so that the event loop stays free while it is read.
// Each buffer comes transferred and goes back the same way, to be filled again.

import type { DigestAnswer, DigestOrder } from './whole-digest.ts'

declare const self: Worker

const hash = new Bun.CryptoHasher('sha256')

self.addEventListener('message', (event: MessageEvent<DigestOrder>) => {
  const order = event.data
  if (order.kind === 'end') return answer({ kind: 'digest', hex: hash.digest('hex') })
  hash.update(new Uint8Array(order.buffer, 0, order.length))
  answer({ kind: 'taken', buffer: order.buffer }, [order.buffer])
})

function answer(message: DigestAnswer, transfer: ArrayBuffer[] = []): void {
  self.postMessage(message, transfer)
}
