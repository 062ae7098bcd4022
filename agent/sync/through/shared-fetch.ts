// Fetches the slices of one image for several readers: a slice is requested once, however many readers wait for it.

import type { Manifest } from '../../../protocol/slices/manifest.ts'
import type { SliceIngester } from '../../contract/slices.ts'
import { columns } from '../plan.ts'
import type { NamedSlice } from '../plan.ts'

/** Uncompressed bytes and entries of a window: what is fetched together, and what a reader waits for. */
const WINDOW_BYTES = 4 * 1024 * 1024
const WINDOW_ENTRIES = 512

/** Consecutive entries of an image: their slices, and the bytes [start, end) that they cover. */
export interface FetchWindow {
  readonly slices: readonly NamedSlice[]
  readonly start: number
  readonly end: number
}

/** Yields the windows that cover [start, end) of an image. */
export async function* fetchWindows(manifest: Manifest, start: number, end: number): AsyncGenerator<FetchWindow> {
  if (start >= end) return
  let slices: NamedSlice[] = []
  let bytes = 0
  let from = start
  for await (const block of manifest.blocks(await manifest.find(start))) {
    for (let i = block.first; i < block.first + block.count; i++) {
      const offset = block.offsetAt(i)
      if (offset >= end) break
      const length = block.lengthAt(i)
      if (!block.isZeroAt(i)) {
        slices.push({ digest: new Uint8Array(block.digestAt(i)), length })
        bytes += length
      }
      if (bytes < WINDOW_BYTES && slices.length < WINDOW_ENTRIES && offset + length < end) continue
      const to = Math.min(end, offset + length)
      yield { slices, start: from, end: to }
      ;[slices, bytes, from] = [[], 0, to]
      if (to === end) return
    }
  }
}

export interface SharedFetchDeps {
  readonly slices: Pick<SliceIngester, 'receive'>
  /** Fetches, verifies and stores slices, durable when it resolves. Throws ProblemError. */
  readonly fetch: (slices: readonly NamedSlice[]) => Promise<void>
}

/** Returns a function that resolves when all of these slices are stored. Slices that another call fetches are waited for and not requested again. */
export function createSharedFetch({ slices, fetch }: SharedFetchDeps): (wanted: readonly NamedSlice[]) => Promise<void> {
  const inFlight = new Map<string, Promise<void>>()
  return async (wanted) => {
    // Pins what is here briefly: a gc in progress may have listed the lease before it was acquired.
    await using receiver = slices.receive()
    const own = new Map<string, NamedSlice>()
    const awaited = new Set<Promise<void>>()
    for (const i of receiver.pin(...columns(wanted))) {
      const slice = wanted[i]
      if (!slice) continue
      const key = keyOf(slice)
      const other = inFlight.get(key)
      if (other) awaited.add(other)
      else own.set(key, slice)
    }
    if (own.size > 0) {
      const fetching = fetch([...own.values()]).finally(() => {
        for (const key of own.keys()) inFlight.delete(key)
      })
      for (const key of own.keys()) inFlight.set(key, fetching)
      awaited.add(fetching)
    }
    await Promise.all(awaited)
  }
}

function keyOf({ digest, length }: NamedSlice): string {
  return String.fromCharCode(...digest, length & 0xffff, length >>> 16)
}
