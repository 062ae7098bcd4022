// Reader: the bytes of a range of an image. The slices of a window are looked up together, read in the order of the disk, verified,
// decompressed off the event loop, and yielded in image order while the next windows are read ahead.

import type { SliceFrame } from '../../../protocol/slices/frames.ts'
import type { Manifest } from '../../../protocol/slices/manifest.ts'
import { sliceKey } from '../packs/slice-row.ts'
import { decompress, locate, readFrame, readFrames } from './records.ts'
import type { RecordsDeps, Wanted } from './records.ts'
import { createSliceCache } from './slice-cache.ts'
import type { SliceCache } from './slice-cache.ts'
import { entriesIn, lengthMismatch, pieces, planWindows, WINDOW_BYTES } from './windows.ts'
import type { Window } from './windows.ts'

/** Windows read ahead by all readers together: a single reader is fast, and many readers take bounded memory. */
const WINDOWS_AHEAD = 4
/** A range up to this length goes through the cache. */
const CACHED_RANGE_MAX = 512 * 1024
/** Entries of a manifest in which slices that the index lacks are searched together. */
const LOST_AHEAD_MAX = 64 * 1024

export interface ReaderDeps extends RecordsDeps {
  /** Lets other work on the event loop run first. */
  readonly pause: () => Promise<void>
}

export interface Reader {
  read(manifest: Manifest, start: number, end: number, signal?: AbortSignal): AsyncGenerator<Uint8Array>
  readStored(digests: readonly Uint8Array[], signal?: AbortSignal): AsyncGenerator<SliceFrame>
}

/** Creates the reader of a store; see the contract for both methods. */
export function createReader(deps: ReaderDeps): Reader {
  const cache = createSliceCache()
  let readers = 0
  const countReader = (): Disposable => {
    readers++
    return { [Symbol.dispose]: () => void readers-- }
  }

  return {
    async *read(manifest, start, end, signal) {
      if (start >= end) return
      using _reading = countReader()
      const range: Range = { manifest, end, cache: end - start <= CACHED_RANGE_MAX ? cache : undefined }
      const windows = planWindows(manifest, start, end)
      const ahead: { window: Window; slices: Promise<Map<string, Uint8Array>> }[] = []
      const readAhead = async (): Promise<void> => {
        while (ahead.length < Math.max(1, Math.floor(WINDOWS_AHEAD / readers))) {
          const next = await windows.next()
          if (next.done) return
          const slices = loadWindow(deps, cache, range, next.value)
          // A failure is thrown when this window is yielded, or never when the reader stops before it.
          slices.catch(() => {})
          ahead.push({ window: next.value, slices })
        }
      }
      for (;;) {
        await readAhead()
        signal?.throwIfAborted()
        const next = ahead.shift()
        if (!next) return
        const loaded = await next.slices
        await readAhead()
        for (const piece of pieces(next.window, loaded, start, end)) {
          signal?.throwIfAborted()
          yield piece
        }
      }
    },

    async *readStored(digests, signal) {
      await deps.search.find(digests)
      for (let at = 0; at < digests.length;) {
        signal?.throwIfAborted()
        const wanted: Wanted[] = []
        let bytes = 0
        for (let digest = digests[at]; digest && bytes < WINDOW_BYTES; digest = digests[++at]) {
          const one = locate(deps, digest)
          wanted.push(one)
          bytes += one.location.storedLength
        }
        const frames = await readFrames(deps, wanted)
        for (const { digest } of wanted) {
          const frame = frames.get(sliceKey(digest))
          if (frame) yield frame
        }
      }
    },
  }
}

/** A range that is being read. */
interface Range {
  readonly manifest: Manifest
  /** Offset at which the range ends: slices that the index lacks are searched up to here. */
  readonly end: number
  /** Where its slices are kept; undefined for a long range. */
  readonly cache: SliceCache | undefined
}

/** Loads the uncompressed slices of a window, by slice key. Any reader may find slices in the cache; a long range adds none. */
async function loadWindow(deps: ReaderDeps, cache: SliceCache, range: Range, { first, entries }: Window): Promise<Map<string, Uint8Array>> {
  const slices = new Map<string, Uint8Array>()
  const wanted = new Map<string, Wanted>()
  const lost: Uint8Array[] = []
  for (const { digest, length } of entries) {
    if (!digest) continue
    const key = sliceKey(digest)
    const cached = cache.get(key)
    if (cached) {
      slices.set(key, cached)
      continue
    }
    const location = deps.index.find(digest)
    if (!location) lost.push(digest)
    else wanted.set(key, location.length === length ? { digest, location } : await confirmLength(deps, { digest, location }, length))
  }
  if (lost.length > 0) {
    await findLost(deps, range, first)
    for (const digest of lost) wanted.set(sliceKey(digest), locate(deps, digest))
  }
  const frames = await readFrames(deps, [...wanted.values()])
  await Promise.all(
    [...wanted].map(async ([key, { location }]) => {
      const frame = frames.get(key)
      if (!frame) throw new Error('a slice was read but not returned')
      const bytes = await decompress(deps, frame, location)
      slices.set(key, bytes)
      range.cache?.add(key, bytes)
    }),
  )
  return slices
}

/**
 * Decides which is wrong when the index and the manifest give different lengths for a slice: the record says. Reading the record corrects the
 * row of the index. A manifest whose entries are shorter than their slices is refused: its windows would have no bound.
 */
async function confirmLength(deps: ReaderDeps, wanted: Wanted, length: number): Promise<Wanted> {
  const frame = await readFrame(deps, wanted)
  if (frame.length !== length) throw lengthMismatch(wanted.digest, frame.length, length)
  return wanted
}

/** Searches the packs for everything that the index lacks of a range from entry `first` on, in one pass. */
async function findLost({ index, search, pause }: ReaderDeps, { manifest, end }: Range, first: number): Promise<void> {
  const lost: Uint8Array[] = []
  for await (const block of manifest.blocks(first)) {
    for (const { offset, digest } of entriesIn(block)) {
      if (offset >= end) return search.find(lost)
      if (digest && !index.find(digest)) lost.push(digest)
    }
    if (block.first + block.count - first >= LOST_AHEAD_MAX) break
    await pause()
  }
  await search.find(lost)
}
