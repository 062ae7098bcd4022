// Slice store in memory: ingest, receive and missing of the contract, with slices of a fixed 64 KiB and zero runs. A disk of limited size can be
// simulated. test/conformance/slices runs on it and on the real store, so that the two do not drift apart.

import { toHex } from '../../../protocol/slices/digest.ts'
import type { CutterParameters } from '../../../protocol/slices/cutter.ts'
import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import { SliceUnreadable, StoreWriteFailed } from '../../../agent/contract/slices.ts'
import type { Checkpoint, Ingest, IngestStart, SliceIngester, SliceReceiver } from '../../../agent/contract/slices.ts'
import { sliceBytes } from '../../../agent/slices/packs/slice-bytes.ts'

const SLICE_BYTES = 64 * 1024
/** The cutter that slices from outside must match; the store's own slices all have the average length. */
export const MEMORY_CUTTER: CutterParameters = { block: 4096, minimum: 16 * 1024, average: SLICE_BYTES, maximum: 4 * SLICE_BYTES }

export interface MemorySlices extends Pick<SliceIngester, 'ingest' | 'receive' | 'missing'> {
  /** Ingests that are open now. */
  readonly open: number
  /** The most ingests that were ever open at the same time. */
  readonly openMax: number
  /** Bytes that all ingests were given. */
  readonly writtenBytes: number
  /** Returns the digests that are pinned now, in hex. */
  pinned(): Set<string>
  /** Returns the content of entries; throws when a slice is missing. */
  read(entries: Iterable<ManifestEntry>): Uint8Array
  /** Removes every slice that neither a pin nor one of these entries names, as gc does; returns how many it removed. */
  sweep(live: Iterable<ManifestEntry>): number
  /** Bytes that may still be stored; beyond that, writes fail with ENOSPC. */
  freeBytes: number
  /** Called before a checkpoint resolves; a test may delay it. */
  beforeCheckpoint: () => Promise<void>
}

/** Creates an empty store. */
export function createMemorySlices(): MemorySlices {
  const slices = new Map<string, Uint8Array>()
  const pins = new Map<string, number>()
  let open = 0
  let openMax = 0
  let writtenBytes = 0

  const pin = (key: string): void => void pins.set(key, (pins.get(key) ?? 0) + 1)
  const unpin = (key: string): void => {
    const count = (pins.get(key) ?? 0) - 1
    if (count > 0) pins.set(key, count)
    else pins.delete(key)
  }

  const takeSpace = (length: number): void => {
    if (length > store.freeBytes)
      throw new StoreWriteFailed('no space', { cause: Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }) })
    store.freeBytes -= length
  }

  const has = (digest: Uint8Array | undefined, length: number | undefined): boolean => {
    const found = digest && slices.get(toHex(digest))
    return found !== undefined && (length === undefined || found.byteLength === length)
  }

  const receive = (): SliceReceiver => {
    const held: string[] = []
    let failure: unknown
    const hold = (key: string): void => {
      pin(key)
      held.push(key)
    }
    return {
      pin: (digests, lengths) =>
        [...digests.entries()].flatMap(([i, digest]) => {
          if (!has(digest, lengths?.[i])) return [i]
          hold(toHex(digest))
          return []
        }),
      async put(frame) {
        if (failure !== undefined) throw failure
        const { digest, length } = frame
        const bytes = await sliceBytes(frame).catch(() => undefined)
        const key = toHex(digest)
        if (!bytes || new Bun.CryptoHasher('sha256').update(bytes).digest('hex') !== key)
          throw new SliceUnreadable(digest, 'corrupt', 'the bytes do not match the digest')
        if (!slices.has(key)) {
          try {
            takeSpace(length)
          } catch (error) {
            failure = error
            throw error
          }
          slices.set(key, Buffer.from(bytes))
        }
        hold(key)
      },
      async sync() {
        if (failure !== undefined) throw failure
      },
      async [Symbol.asyncDispose]() {
        held.splice(0).forEach(unpin)
      },
    }
  }

  const store: MemorySlices = {
    receive,
    missing: (digests, lengths) => [...digests.keys()].filter((i) => !has(digests[i], lengths?.[i])),
    freeBytes: Number.POSITIVE_INFINITY,
    beforeCheckpoint: () => Promise.resolve(),

    get open() {
      return open
    },
    get openMax() {
      return openMax
    },
    get writtenBytes() {
      return writtenBytes
    },

    pinned: () => new Set(pins.keys()),

    read(entries) {
      const parts: Uint8Array[] = []
      for (const { length, digest } of entries) {
        const bytes = digest ? slices.get(toHex(digest)) : new Uint8Array(length)
        if (bytes?.byteLength !== length) throw new Error(`there is no slice ${digest ? toHex(digest) : ''} of ${length} bytes`)
        parts.push(bytes)
      }
      return Buffer.concat(parts)
    },

    sweep(live) {
      const kept = new Set(pins.keys())
      for (const { digest } of live) if (digest) kept.add(toHex(digest))
      let removed = 0
      for (const key of slices.keys()) if (!kept.has(key) && slices.delete(key)) removed++
      return removed
    },

    ingest(start: IngestStart): Ingest {
      if (start.offset % 4096 !== 0) throw new RangeError(`an ingest starts at a multiple of 4096, not at ${start.offset}`)
      open++
      openMax = Math.max(openMax, open)
      let bytes = Buffer.from(start.tail)
      let entries: ManifestEntry[] = []
      let storedBytes = 0
      let held: string[] = []
      /** Keys of checkpoints that were returned: those still pinned are released when the ingest is disposed. */
      const pending = new Set<string[]>()
      let isClosed = false
      let isDisposed = false
      let failure: unknown

      const cut = (end: number): void => {
        const slice = bytes.subarray(0, end)
        bytes = bytes.subarray(end)
        if (slice.every((byte) => byte === 0)) {
          entries.push({ length: end, digest: null })
          return
        }
        const digest = new Uint8Array(new Bun.CryptoHasher('sha256').update(slice).digest())
        const key = toHex(digest)
        if (!slices.has(key)) {
          try {
            takeSpace(end)
          } catch (error) {
            failure = error
            throw error
          }
          slices.set(key, Buffer.from(slice))
          storedBytes += end
        }
        pin(key)
        held.push(key)
        entries.push({ length: end, digest })
      }

      const take = async (): Promise<Checkpoint> => {
        const keys = held
        const taken = { entries, tail: Buffer.from(bytes), storedBytes, release: () => keys.splice(0).forEach(unpin) }
        held = []
        entries = []
        storedBytes = 0
        pending.add(keys)
        await store.beforeCheckpoint()
        return taken
      }

      return {
        async write(piece) {
          if (failure !== undefined) throw failure
          if (isClosed) throw new Error('a closed ingest accepts no bytes')
          writtenBytes += piece.byteLength
          bytes = Buffer.concat([bytes, piece])
          while (bytes.byteLength >= SLICE_BYTES) cut(SLICE_BYTES)
        },
        async checkpoint() {
          if (failure !== undefined) throw failure
          return take()
        },
        async finish() {
          if (failure !== undefined) throw failure
          isClosed = true
          if (bytes.byteLength > 0) cut(bytes.byteLength)
          return take()
        },
        async [Symbol.asyncDispose]() {
          if (isDisposed) return
          isDisposed = true
          isClosed = true
          open--
          held.splice(0).forEach(unpin)
          for (const keys of pending) keys.splice(0).forEach(unpin)
        },
      }
    },
  }
  return store
}
