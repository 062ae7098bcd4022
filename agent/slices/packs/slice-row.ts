// Rows of the index database for slices and packs, and the key of a slice in maps.

import { SLICE_LENGTH_MAX } from '../../../protocol/slices/manifest.ts'
import type { PackName } from './pack-format.ts'

/** Where a slice is stored: the number of its pack in the index, the offset of its record, lengths in bytes. */
export interface Location {
  readonly pack: number
  readonly offset: number
  readonly length: number
  readonly storedLength: number
}

export interface SliceRow extends Location {
  readonly digest: Uint8Array
}

/** A pack in the index database. `length` is that of its file when sealed, otherwise 0. */
export interface PackEntry {
  readonly id: number
  readonly name: PackName
  readonly length: number
  readonly sealed: boolean
}

/** Returns the key of a digest in maps: its 32 bytes as a latin1 string. */
export function sliceKey(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('latin1')
}

/** Whether a record can be at a location at all: a damaged row must not cause reads of gigabytes. */
export function isPossible({ offset, length, storedLength }: Location): boolean {
  return [offset, length, storedLength].every((n) => Number.isSafeInteger(n) && n > 0) && length <= SLICE_LENGTH_MAX && storedLength <= length
}
