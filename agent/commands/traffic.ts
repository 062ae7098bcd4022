// Counts image content as it enters and leaves the slice store, so that every path is counted once and in one place.

import type { SliceReceiver } from '../contract/slices.ts'
import type { OpenSliceStore } from '../slices/store.ts'

/** Counts bytes as they pass. */
export interface Traffic {
  countReceived(bytes: number): void
  countServed(bytes: number): void
}

/** Returns the same store with the bytes written to it and read from it counted. Slices between stores count as they are sent. */
export function countTraffic(slices: OpenSliceStore, traffic: Traffic): OpenSliceStore {
  return {
    ...slices,
    ingest(start) {
      const ingest = slices.ingest(start)
      return {
        write(piece) {
          traffic.countReceived(piece.byteLength)
          return ingest.write(piece)
        },
        checkpoint: () => ingest.checkpoint(),
        finish: () => ingest.finish(),
        [Symbol.asyncDispose]: () => ingest[Symbol.asyncDispose](),
      }
    },
    receive(): SliceReceiver {
      const receiver = slices.receive()
      return {
        pin: (digests, lengths) => receiver.pin(digests, lengths),
        put(frame) {
          traffic.countReceived(frame.stored.byteLength)
          return receiver.put(frame)
        },
        sync: () => receiver.sync(),
        [Symbol.asyncDispose]: () => receiver[Symbol.asyncDispose](),
      }
    },
    async *read(manifest, start, end, signal) {
      for await (const piece of slices.read(manifest, start, end, signal)) {
        traffic.countServed(piece.byteLength)
        yield piece
      }
    },
    async *readStored(digests, signal) {
      for await (const frame of slices.readStored(digests, signal)) {
        traffic.countServed(frame.stored.byteLength)
        yield frame
      }
    },
  }
}
