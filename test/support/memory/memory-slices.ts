// Slices in memory: the contract of SliceIngester and reading back, with fixed slices of 64 KiB and zero runs. What no
// checkpoint gave out is forgotten with its ingest, and a disk can be told to be full. Slices that come whole are verified.

import { toHex } from '../../../protocol/digest.ts'
import type { CutterParameters } from '../../../protocol/cutter.ts'
import type { ManifestEntry } from '../../../protocol/manifest.ts'
import { SliceUnreadable, StoreWriteFailed } from '../../../agent/contract/slices.ts'
import type { Checkpoint, Ingest, IngestStart, SliceIngester, SliceReceiver } from '../../../agent/contract/slices.ts'
import { sliceBytes } from '../../../agent/slices/packs/slice-bytes.ts'

const SLICE_BYTES = 64 * 1024
/** What slices from outside are held to; the store's own are all of the average. */
export const MEMORY_CUTTER: CutterParameters = { block: 4096, minimum: 16 * 1024, average: SLICE_BYTES, maximum: 4 * SLICE_BYTES }

export interface MemorySlices extends Pick<SliceIngester, 'ingest' | 'receive' | 'missing'> {
  /** Ingests that are open now. */
  readonly open: number
  /** Most that were ever open at the same time. */
  readonly openMax: number
  /** Bytes taken by `write` in all. */
  readonly writtenBytes: number
  /** Digests that are pinned now, in hex. */
  pinned(): Set<string>
  /** Content of some entries; throws when a slice is not there. */
  read(entries: Iterable<ManifestEntry>): Uint8Array
  /** Removes every slice that no pin holds and no entry names, as gc does; gives how many went. */
  sweep(live: Iterable<ManifestEntry>): number
  /** Bytes that may still be stored; writes fail with ENOSPC beyond. */
  freeBytes: number
  /** Called before a checkpoint resolves; a test may hold it back. */
  beforeCheckpoint: () => Promise<void>
}

/** Makes an empty store of slices. */
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
    store.freeBytes -= length
    if (store.freeBytes >= 0) return
    throw new StoreWriteFailed('no space', { cause: Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }) })
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
        [...digests.keys()].filter((i) => {
          const key = toHex(digests[i] ?? new Uint8Array(0))
          const found = slices.get(key)
          if (!found || (lengths && found.byteLength !== lengths[i])) return true
          hold(key)
          return false
        }),
      async put(frame) {
        const { digest, length } = frame
        const bytes = await sliceBytes(frame).catch(() => undefined)
        const key = toHex(digest)
        if (!bytes || new Bun.CryptoHasher('sha256').update(bytes).digest('hex') !== key)
          throw new SliceUnreadable(digest, 'corrupt', 'the bytes are not those of the digest')
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
    missing: (digests) => [...digests.keys()].filter((i) => !slices.has(toHex(digests[i] ?? new Uint8Array(0)))),
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
      if (start.offset % 4096 !== 0) throw new RangeError(`an ingest begins at a multiple of 4096, not at ${start.offset}`)
      open++
      openMax = Math.max(openMax, open)
      let bytes = Buffer.from(start.tail)
      let entries: ManifestEntry[] = []
      let storedBytes = 0
      let held: string[] = []
      let isClosed = false
      let isDisposed = false
      let failure: StoreWriteFailed | undefined

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
          store.freeBytes -= end
          if (store.freeBytes < 0) {
            failure = new StoreWriteFailed('no space', { cause: Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }) })
            throw failure
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
      /** Keys of checkpoints that were given out: still pinned when the ingest goes, they go with it. */
      const pending = new Set<string[]>()

      return {
        async write(piece) {
          if (failure) throw failure
          if (isClosed) throw new Error('an ingest takes no bytes after it was closed')
          writtenBytes += piece.byteLength
          bytes = Buffer.concat([bytes, piece])
          while (bytes.byteLength >= SLICE_BYTES) cut(SLICE_BYTES)
        },
        async checkpoint() {
          if (failure) throw failure
          return take()
        },
        async finish() {
          if (failure) throw failure
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
