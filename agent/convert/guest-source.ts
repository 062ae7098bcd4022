// What writers get: a guest disk with the file that has its bytes, and the name of the content.

import { problem } from '../../protocol/problems.ts'
import type { Allocation } from './allocation.ts'
import type { GuestDisk, SourceFile } from './guest-disk.ts'

export interface GuestSource {
  readonly disk: GuestDisk
  readonly file: SourceFile
  /** Returns which clusters of the disk have data. */
  readonly allocation: (signal?: AbortSignal) => Promise<Allocation>
  /** 32 bytes that identify the content. Ids inside of a converted file are derived from them, so that equal content gives equal bytes. */
  readonly seed: Uint8Array
}

/** Throws ProblemError `invalid-input` for a disk that a format of disks cannot hold: an empty one, or one that is too long. */
export function requireHolds(size: number, { lengthMax, what }: { readonly lengthMax: number; readonly what: string }): void {
  if (size > 0 && size <= lengthMax) return
  const detail = size === 0 ? `${what} cannot hold an empty disk.` : `${what} holds a disk of at most ${lengthMax / 1024 ** 3} GiB.`
  throw problem('invalid-input', detail, { action: 'Use as=raw or as=qcow2.' })
}

const SECTOR = 512

/** Returns a length rounded up to whole sectors, as formats of disks need it. */
export function wholeSectors(length: number): number {
  return Math.ceil(length / SECTOR) * SECTOR
}
