// The probe that detectors read through. It bounds the memory of an inspection: every byte is read into one of a few buffers, which are used again and
// again, so that a walk over gigabytes of tables leaves nothing to the garbage collector. Recently read blocks are kept, so that detectors that look at
// the same bytes, and walks over small neighbouring tables, read them once.

import { createLoopBudget } from '../../contract/loop-budget.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { ImageProbe } from './format.ts'

/** Longest read in bytes: the largest cluster of qcow2. */
export const READ_BYTES_MAX = 2 * 1024 * 1024
/** Bytes that are read and kept together. */
const BLOCK_BYTES = 64 * 1024
/** Most blocks that are kept: 2 MiB. */
const BLOCKS_MAX = 32
const NO_BYTES = new Uint8Array(0)

/** The bytes of an image, without bounds. */
export interface ImageBytes {
  readonly length: number
  /** Fills a buffer with the bytes at an offset. Returns how many these are: fewer than the buffer has only at the end of the image. */
  readInto(offset: number, buffer: Uint8Array): Promise<number>
}

/** The bytes could not be read. Says nothing about the image. `cause` is the error of the read. */
export class ProbeReadFailed extends Error {
  override readonly name = 'ProbeReadFailed'
}

export interface ProbeOptions {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  readonly signal?: AbortSignal
  /** Blocks that are kept: 1 to BLOCKS_MAX, which is the default. With 1, every read of another block overwrites the bytes of the read before. */
  readonly blocksMax?: number
}

/** A buffer with a block of the image. */
interface Block {
  readonly buffer: Uint8Array
  /** Number of the block; -1 if the buffer has none. */
  index: number
  /** Bytes of the block. */
  length: number
  /** Number of the read that used it last. */
  usedAt: number
}

/** Creates the probe of one inspection. Its reads throw ProbeReadFailed if the bytes cannot be read. */
export function createProbe(image: ImageBytes, { clock, signal, blocksMax = BLOCKS_MAX }: ProbeOptions): ImageProbe {
  const { length } = image
  const budget = createLoopBudget(clock)
  const blocks: Block[] = []
  let reads = 0
  /** Buffers for a read of two blocks, and for one that is longer than a block. Both are made when they are first needed. */
  let joined: Uint8Array = NO_BYTES
  let long: Uint8Array = NO_BYTES

  const readFailed = (offset: number, count: number, cause: unknown): ProbeReadFailed =>
    new ProbeReadFailed(`${count} bytes at ${offset} could not be read`, { cause })
  /** Returns the bytes that a read has filled: the rest of the buffer has those of an earlier read. */
  const filled = (buffer: Uint8Array, count: number): Uint8Array => {
    if (!(count >= 0 && count <= buffer.byteLength)) throw new Error(`a read of ${buffer.byteLength} bytes returned ${count}`)
    return count === buffer.byteLength ? buffer : buffer.subarray(0, count)
  }
  const readLong = async (offset: number, count: number): Promise<Uint8Array> => {
    if (long.byteLength < count) long = new Uint8Array(count)
    const buffer = long.subarray(0, count)
    try {
      signal?.throwIfAborted()
      count = await image.readInto(offset, buffer)
    } catch (error) {
      throw readFailed(offset, count, error)
    }
    return filled(buffer, count)
  }
  /** Returns the buffer that was not used for the longest time, or a new one. */
  const leastUsed = (): Block => {
    if (blocks.length < blocksMax) {
      const added: Block = { buffer: new Uint8Array(BLOCK_BYTES), index: -1, length: 0, usedAt: 0 }
      blocks.push(added)
      return added
    }
    let [least] = blocks as [Block]
    for (const block of blocks) if (block.usedAt < least.usedAt) least = block
    return least
  }
  /** Returns a block of the image if its bytes are kept. */
  const keptBlock = (index: number): Block | undefined => {
    for (const block of blocks) {
      if (block.index !== index) continue
      block.usedAt = ++reads
      return block
    }
    return undefined
  }
  // Walks read millions of blocks: each object of a read is memory until the next collection.
  const loadBlock = async (index: number): Promise<Block> => {
    const block = leastUsed()
    const start = index * BLOCK_BYTES
    const buffer = length - start < BLOCK_BYTES ? block.buffer.subarray(0, length - start) : block.buffer
    block.index = -1
    let count: number
    try {
      signal?.throwIfAborted()
      count = await image.readInto(start, buffer)
    } catch (error) {
      throw readFailed(start, buffer.byteLength, error)
    }
    block.length = filled(buffer, count).byteLength
    block.index = index
    block.usedAt = ++reads
    return block
  }
  return {
    length,
    async readAt(offset, wanted) {
      if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(wanted) || wanted < 0) throw new Error(`no bytes at ${offset}, ${wanted}`)
      if (wanted > READ_BYTES_MAX) throw new Error(`a read of ${wanted} bytes exceeds the limit of ${READ_BYTES_MAX}`)
      const count = Math.min(offset + wanted, length) - offset
      if (count <= 0) return NO_BYTES
      if (count > BLOCK_BYTES) return readLong(offset, count)
      const index = Math.floor(offset / BLOCK_BYTES)
      const start = offset - index * BLOCK_BYTES
      const first = keptBlock(index) ?? (await loadBlock(index))
      if (start + count <= BLOCK_BYTES) return first.buffer.subarray(start, Math.min(start + count, first.length))
      if (joined.byteLength === 0) joined = new Uint8Array(BLOCK_BYTES)
      joined.set(first.buffer.subarray(start, first.length))
      const second = keptBlock(index + 1) ?? (await loadBlock(index + 1))
      const rest = count - (BLOCK_BYTES - start)
      joined.set(second.buffer.subarray(0, Math.min(rest, second.length)), BLOCK_BYTES - start)
      return joined.subarray(0, count)
    },
    spend() {
      signal?.throwIfAborted()
      return budget.spend()
    },
  }
}
