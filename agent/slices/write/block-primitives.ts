// The primitives of the cutter on Bun: xxHash3, and a comparison with zeros at memory speed.

import { ZERO_STRETCH_BYTES } from '../../../protocol/slices/cutter.ts'
import type { BlockPrimitives } from '../../../protocol/slices/cutter.ts'

const ZEROS = Buffer.alloc(ZERO_STRETCH_BYTES)

export const BLOCK_PRIMITIVES: BlockPrimitives = {
  hash: (block) => Bun.hash.xxHash3(block, 0n),
  isZero: (bytes, start, end) => bytes[start] === 0 && bytes[end - 1] === 0 && ZEROS.compare(bytes, start, end, 0, end - start) === 0,
}
