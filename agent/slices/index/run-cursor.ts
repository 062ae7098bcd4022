// Walks through the rows of runs in the order of their digests.

import { DIGEST_BYTES } from '../../../protocol/digest.ts'
import type { RunFile } from './run-file.ts'
import { prefixAt, rowsOfBlock, RUN_BLOCK_BYTES, RUN_CHECK_BYTES, RUN_ROW_BYTES } from './run-format.ts'

/** One run, row by row. The row at hand lies in `bytes` at `at`; there is none once `isOpen` is false. */
export class RunCursor {
  readonly #file: RunFile
  readonly bytes: Buffer
  at = 0
  /** First 48 bits of the digest at hand. */
  prefix = 0
  isOpen = true
  #block: number
  /** First block in `bytes`, and how many there are. */
  #first = 0
  #loaded = 0
  #rowsLeft = 0

  /** Begins with the first row whose digest comes after `after`; reads so many blocks at a time. */
  constructor(file: RunFile, blocksAtOnce: number, after?: Uint8Array) {
    this.#file = file
    this.bytes = Buffer.allocUnsafe(Math.max(1, Math.min(blocksAtOnce, file.blocks)) * RUN_BLOCK_BYTES)
    this.#block = (after ? file.blockOf(prefixAt(Buffer.concat([after, Buffer.alloc(32)]), 0)) : 0) - 1
    this.#nextBlock()
    while (after && this.isOpen && !this.#isAfter(after)) this.advance()
  }

  advance(): void {
    if (--this.#rowsLeft === 0) return this.#nextBlock()
    this.at += RUN_ROW_BYTES
    this.prefix = prefixAt(this.bytes, this.at)
  }

  /** Whether the digest at hand comes after another, which may be only the beginning of one. */
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
