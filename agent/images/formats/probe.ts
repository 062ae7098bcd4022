// The probe that detectors read through. It bounds the memory of an inspection: one read is at most READ_BYTES_MAX, and recently read blocks are
// kept, so that detectors that look at the same bytes, and walks over small neighbouring tables, read them once.

import { createLoopBudget } from '../../contract/loop-budget.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { ImageProbe } from './format.ts'

/** Longest read in bytes: the largest cluster of qcow2. */
export const READ_BYTES_MAX = 2 * 1024 * 1024
/** Bytes that are read and kept together. */
const BLOCK_BYTES = 64 * 1024
/** Most blocks that are kept: 2 MiB. */
const BLOCKS_MAX = 32

/** The bytes of an image, without bounds. */
export interface ImageBytes {
  readonly length: number
  /** Reads bytes at an offset into a buffer of its own. Returns fewer than `length` only at the end of the image. */
  readAt(offset: number, length: number): Promise<Uint8Array>
}

/** The bytes could not be read. Says nothing about the image. `cause` is the error of the read. */
export class ProbeReadFailed extends Error {
  override readonly name = 'ProbeReadFailed'
}

export interface ProbeOptions {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  readonly signal?: AbortSignal
}

/** Creates the probe of one inspection. Its reads throw ProbeReadFailed if the bytes cannot be read. */
export function createProbe(image: ImageBytes, { clock, signal }: ProbeOptions): ImageProbe {
  const { length } = image
  const budget = createLoopBudget(clock)
  const blocks = new Map<number, Uint8Array>()

  const read = async (offset: number, count: number): Promise<Uint8Array> => {
    try {
      signal?.throwIfAborted()
      return await image.readAt(offset, count)
    } catch (error) {
      throw new ProbeReadFailed(`${count} bytes at ${offset} could not be read`, { cause: error })
    }
  }
  /** Returns a block of the image, which is never written to. */
  const blockAt = async (index: number): Promise<Uint8Array> => {
    const known = blocks.get(index)
    if (known) {
      // The map is in order of use: the first block is the one to drop.
      blocks.delete(index)
      blocks.set(index, known)
      return known
    }
    const start = index * BLOCK_BYTES
    const block = await read(start, Math.min(BLOCK_BYTES, length - start))
    for (const oldest of blocks.keys()) {
      if (blocks.size < BLOCKS_MAX) break
      blocks.delete(oldest)
    }
    blocks.set(index, block)
    return block
  }
  return {
    length,
    async readAt(offset, wanted) {
      if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(wanted) || wanted < 0) throw new Error(`no bytes at ${offset}, ${wanted}`)
      if (wanted > READ_BYTES_MAX) throw new Error(`a read of ${wanted} bytes exceeds the limit of ${READ_BYTES_MAX}`)
      const end = Math.min(offset + wanted, length)
      if (end <= offset) return new Uint8Array(0)
      if (end - offset > BLOCK_BYTES) return read(offset, end - offset)
      const first = Math.floor(offset / BLOCK_BYTES)
      const start = offset - first * BLOCK_BYTES
      const head = await blockAt(first)
      if (start + end - offset <= BLOCK_BYTES) return head.subarray(start, start + end - offset)
      const bytes = new Uint8Array(end - offset)
      bytes.set(head.subarray(start))
      bytes.set((await blockAt(first + 1)).subarray(0, bytes.byteLength - (BLOCK_BYTES - start)), BLOCK_BYTES - start)
      return bytes
    },
    spend() {
      signal?.throwIfAborted()
      return budget.spend()
    },
  }
}
