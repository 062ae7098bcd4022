// Iterates over the rows of a run in digest order.

import { DIGEST_BYTES } from '../../../protocol/slices/digest.ts'
import type { RunFile } from './run-file.ts'
import { prefixAt, rowsOfBlock, RUN_BLOCK_BYTES, RUN_CHECK_BYTES, RUN_ROW_BYTES } from './run-format.ts'

/** A position in a run. The current row is at `at` in `bytes`; there is none once `isOpen` is false. */
export class RunCursor {
  readonly #file: RunFile
  readonly bytes: Buffer
  at = 0
  /** First 48 bits of the current digest. */
  prefix = 0
  isOpen = true
  #block: number
  /** First block in `bytes`, and the number of blocks there. */
  #first = 0
  #loaded = 0
  #rowsLeft = 0

  /** Starts at the first row whose digest is greater than `after`; reads `blocksAtOnce` blocks at a time. */
  constructor(file: RunFile, blocksAtOnce: number, after?: Uint8Array) {
    this.#file = file
    this.bytes = Buffer.allocUnsafe(Math.min(blocksAtOnce, file.blocks) * RUN_BLOCK_BYTES)
    const from = Buffer.alloc(DIGEST_BYTES)
    if (after) from.set(after)
    this.#block = file.blockOf(prefixAt(from, 0)) - 1
    this.#nextBlock()
    while (after && this.isOpen && !this.#isAfter(after)) this.advance()
  }

  advance(): void {
    if (--this.#rowsLeft === 0) return this.#nextBlock()
    this.at += RUN_ROW_BYTES
    this.prefix = prefixAt(this.bytes, this.at)
  }

  /** Whether the current digest is greater than `after`, which may be only the beginning of a digest. */
  #isAfter(after: Uint8Array): boolean {
    const order = this.bytes.compare(after, 0, after.length, this.at, this.at + after.length)
    return order > 0 || (order === 0 && after.length < DIGEST_BYTES)
  }

  #nextBlock(): void {
    this.#block++
    if (this.#block >= this.#file.blocks) {
      this.isOpen = false
      return
    }
    if (this.#block >= this.#first + this.#loaded) {
      this.#first = this.#block
      this.#loaded = Math.min(this.bytes.length / RUN_BLOCK_BYTES, this.#file.blocks - this.#block)
      this.#file.readBlocks(this.#first, this.#loaded, this.bytes)
    }
    this.#rowsLeft = rowsOfBlock(this.#file.rows, this.#block)
    this.at = (this.#block - this.#first) * RUN_BLOCK_BYTES + RUN_CHECK_BYTES
    this.prefix = prefixAt(this.bytes, this.at)
  }
}
