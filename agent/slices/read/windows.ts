// Windows of an image: the entries that are looked up and read together, and the bytes that a reader gets from them.

import type { Manifest, ManifestBlock } from '../../../protocol/slices/manifest.ts'
import { SliceUnreadable } from '../../contract/slices.ts'
import { sliceKey } from '../packs/slice-row.ts'

const MIB = 1024 * 1024
/** Uncompressed bytes looked up and read together. */
export const WINDOW_BYTES = 2 * MIB
/** Entries looked up and read together: slices may be as short as one byte, and zero runs count no bytes. */
const WINDOW_ENTRIES = 1024
/** Longest piece that a reader gets. */
const PIECE_BYTES = MIB
/** Parts of slices shorter than GATHERED_MAX are joined into pieces of up to GATHER_BYTES. */
const GATHERED_MAX = 32 * 1024
const GATHER_BYTES = 128 * 1024
const NO_BYTES = new Uint8Array(0)
const ZEROS = new Uint8Array(PIECE_BYTES)

export interface WindowEntry {
  /** Offset in the image. */
  readonly offset: number
  readonly length: number
  /** Null for a zero run. */
  readonly digest: Uint8Array | null
}

export interface Window {
  /** Index of the first entry in the manifest. */
  readonly first: number
  readonly entries: readonly WindowEntry[]
}

/** Yields the entries of a block of a manifest. */
export function* entriesIn(block: ManifestBlock): Generator<WindowEntry> {
  for (let i = block.first; i < block.first + block.count; i++) {
    yield { offset: block.offsetAt(i), length: block.lengthAt(i), digest: block.isZeroAt(i) ? null : block.digestAt(i) }
  }
}

/** Yields the entries that cover [start, end) of an image, in windows of bounded size. */
export async function* planWindows(manifest: Manifest, start: number, end: number): AsyncGenerator<Window> {
  let first = await manifest.find(start)
  let entries: WindowEntry[] = []
  let bytes = 0
  blocks: for await (const block of manifest.blocks(first)) {
    for (const entry of entriesIn(block)) {
      if (entry.offset >= end) break blocks
      entries.push(entry)
      if (entry.digest) bytes += entry.length
      if (bytes < WINDOW_BYTES && entries.length < WINDOW_ENTRIES) continue
      yield { first, entries }
      first += entries.length
      entries = []
      bytes = 0
    }
  }
  if (entries.length > 0) yield { first, entries }
}

/** Yields the bytes of a window that are in [start, end), in pieces of bounded length. Throws SliceUnreadable for a slice of another length. */
export function* pieces({ entries }: Window, slices: ReadonlyMap<string, Uint8Array>, start: number, end: number): Generator<Uint8Array> {
  let gathered: Uint8Array = NO_BYTES
  let filled = 0
  for (const { offset, length, digest } of entries) {
    const from = Math.max(start, offset) - offset
    const to = Math.min(end, offset + length) - offset
    const whole = digest ? slices.get(sliceKey(digest)) : undefined
    // A longer slice is refused too: its first bytes would be served as an image that was never stored.
    if (digest && whole?.byteLength !== length) throw lengthMismatch(digest, whole?.byteLength ?? 0, length)
    const slice = whole?.subarray(from, to)
    const isGathered = slice !== undefined && slice.byteLength < GATHERED_MAX
    if (filled > 0 && (!isGathered || filled + slice.byteLength > gathered.byteLength)) {
      yield gathered.subarray(0, filled)
      filled = 0
      gathered = NO_BYTES
    }
    if (!slice) {
      for (let at = from; at < to; at += PIECE_BYTES) yield ZEROS.subarray(0, Math.min(PIECE_BYTES, to - at))
    } else if (isGathered) {
      if (filled === 0) gathered = new Uint8Array(GATHER_BYTES)
      gathered.set(slice, filled)
      filled += slice.byteLength
    } else {
      // Most slices are long enough to be yielded as they are: copying them would cost more than longer pieces save.
      yield slice
    }
  }
  if (filled > 0) yield gathered.subarray(0, filled)
}

/** The error for a slice whose length is not the one in the manifest. */
export function lengthMismatch(digest: Uint8Array, actual: number, expected: number): SliceUnreadable {
  return new SliceUnreadable(digest, 'corrupt', `a slice has ${actual} bytes where the manifest says ${expected}`)
}
