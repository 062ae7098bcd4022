// The disk that a guest sees in an image file, as extents. Readers of the formats produce extents from the tables of the file; everything else
// only knows extents.

import type { ProblemError } from '../../protocol/problems.ts'
import { problem } from '../../protocol/problems.ts'
import { createLoopBudget } from '../contract/loop-budget.ts'
import type { Clock } from '../contract/runtime.ts'

/** The file of an image as the store has it. */
export interface SourceFile {
  readonly length: number
  /** Yields the bytes [start, end) in order; `end` is at most `length`. */
  read(start: number, end: number, signal?: AbortSignal): AsyncIterable<Uint8Array>
  /** Yields runs of zeros and of other bytes from the one that covers `from` to the end of the file, in order and without gaps. */
  runs(from: number): AsyncIterable<SourceRun>
}

/**
 * A run or an extent of this many bytes is not joined with the next one. Otherwise a reader of one byte would wait until all tables are read to find
 * where its extent ends.
 */
export const JOINED_BYTES_ENOUGH = 16 * 1024 * 1024

export interface SourceRun {
  readonly start: number
  readonly end: number
  readonly isZero: boolean
}

/** How the bytes of a compressed cluster are stored: raw deflate, a zstd frame, or a VMDK grain with its marker. */
export type ClusterCodec = 'deflate' | 'zstd' | 'grain'

/**
 * Bytes [start, end) of the guest disk: zeros, consecutive bytes of the file from `at` on, or one compressed cluster, which lies in the `length` bytes
 * of the file from `at` on. An end may lie behind the end of the disk; a cluster that is longer than its extent has `end - start` bytes all the same.
 */
export type Extent =
  | { readonly kind: 'zero'; readonly start: number; readonly end: number }
  | { readonly kind: 'data'; readonly start: number; readonly end: number; readonly at: number }
  | { readonly kind: 'compressed'; readonly start: number; readonly end: number; readonly at: number; readonly length: number; readonly codec: ClusterCodec }

export interface GuestDisk {
  /** Bytes that the guest sees. */
  readonly length: number
  /**
   * Yields extents from the one that covers `from` to the end of the disk, in order and without gaps. Adjacent zeros and adjacent data are one extent up
   * to about `JOINED_BYTES_ENOUGH`. Throws ProblemError `unsafe-image` at a damaged table.
   */
  extents(from: number, signal?: AbortSignal): AsyncGenerator<Extent>
}

/** Returns the problem of an image whose tables cannot be followed. `what` is a clause. */
export function damagedTables(what: string, cause?: unknown): ProblemError {
  return problem(
    'unsafe-image',
    `The image cannot be converted: ${what}.`,
    { action: 'Download the content without "as" and check it with qemu-img check.' },
    { cause },
  )
}

/** Returns how many bytes of a disk are not known to be zeros. */
export async function allocatedLength(disk: GuestDisk, signal?: AbortSignal): Promise<number> {
  let bytes = 0
  for await (const { kind, start, end } of disk.extents(0, signal)) if (kind !== 'zero') bytes += Math.min(end, disk.length) - start
  return bytes
}

/**
 * Yields the extents of batches with adjacent zeros and adjacent data joined, so that a caller gets few long extents instead of many short ones. Lets
 * other work run between batches.
 */
export async function* joinExtents(batches: AsyncIterable<readonly Extent[]>, clock: Clock): AsyncGenerator<Extent> {
  const budget = createLoopBudget(clock)
  let last: Extent | undefined
  for await (const batch of batches) {
    for (const next of batch) {
      const joined = last && joinedExtent(last, next)
      if (last && !joined) yield last
      last = joined ?? next
    }
    await budget.spend()
  }
  if (last) yield last
}

/** Returns two adjacent extents as one; undefined if they must stay apart. */
function joinedExtent(last: Extent, next: Extent): Extent | undefined {
  const { start } = last
  if (last.end - start >= JOINED_BYTES_ENOUGH) return undefined
  if (last.kind === 'zero' && next.kind === 'zero') return { kind: 'zero', start, end: next.end }
  if (last.kind === 'data' && next.kind === 'data' && last.at + (last.end - start) === next.at) return { kind: 'data', start, end: next.end, at: last.at }
  return undefined
}
