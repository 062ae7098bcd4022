// Receivers whose fsync waits until a test lets it go on, to see what happens before slices are durable.

import type { SliceReceiver } from '../../../agent/contract/slices.ts'
import type { MemorySlices } from './memory-slices.ts'

export interface HeldSyncs {
  receive(): SliceReceiver
  /** One function for each fsync that was asked for; calling it lets that fsync go on. */
  readonly waiting: (() => void)[]
}

/** Creates receivers of a store. `note` is told of each fsync and release that is done. */
export function holdSyncs(slices: MemorySlices, note: (event: 'synced' | 'released') => void): HeldSyncs {
  const waiting: (() => void)[] = []
  return {
    waiting,
    receive() {
      const receiver = slices.receive()
      return {
        pin: (digests, lengths) => receiver.pin(digests, lengths),
        put: (frame) => receiver.put(frame),
        async sync() {
          await new Promise<void>((resolve) => waiting.push(resolve))
          await receiver.sync()
          note('synced')
        },
        async [Symbol.asyncDispose]() {
          note('released')
          await receiver[Symbol.asyncDispose]()
        },
      }
    },
  }
}
