// Rows for a run: collected as bytes in any order, then sorted at once.

import { encodeRow, prefixAt, RUN_ROW_BYTES } from './run-format.ts'
import type { RunWriter } from './run-writer.ts'
import type { SliceRow } from '../packs/slice-row.ts'

/** Rows in a batch: sorting and encoding all of them takes a few milliseconds. */
export const BATCH_ROWS_MAX = 16 * 1024
/** A sort key of 53 bits has the index of a row and the beginning of its digest: 39 of the 48 bits of a prefix. */
const DROPPED_BITS = 2 ** 9

/** The rows of one batch. */
export class RunBatch {
  #bytes = Buffer.allocUnsafe(1024 * RUN_ROW_BYTES)
  rows = 0

  get isFull(): boolean {
    return this.rows >= BATCH_ROWS_MAX
  }

  /** Adds a row whose digest is not in the batch yet. */
  add(row: SliceRow): void {
    if (this.isFull) throw new Error('a batch of rows is full')
    const at = this.rows * RUN_ROW_BYTES
    if (at === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], at * 2)
    encodeRow(this.#bytes, at, row)
    this.rows++
  }

  /** Writes the rows in the order of their digests. */
  async writeTo(writer: RunWriter): Promise<void> {
    for (const i of this.#order()) if (writer.push(this.#bytes, i * RUN_ROW_BYTES)) await writer.write()
  }

  /** Returns the indexes of the rows in digest order: sorts keys of digest and index, then corrects the few rows with equal prefixes. */
  #order(): Uint32Array {
    const keys = Float64Array.from({ length: this.rows }, (_, i) => Math.floor(prefixAt(this.#bytes, i * RUN_ROW_BYTES) / DROPPED_BITS) * BATCH_ROWS_MAX + i)
    keys.sort()
    const order = Uint32Array.from(keys, (key) => key % BATCH_ROWS_MAX)
    for (let i = 1; i < order.length; i++) {
      for (let j = i; j > 0 && this.#compare(order[j - 1] ?? 0, order[j] ?? 0) > 0; j--) [order[j - 1], order[j]] = [order[j] ?? 0, order[j - 1] ?? 0]
    }
    return order
  }

  #compare(a: number, b: number): number {
    const [at, other] = [a * RUN_ROW_BYTES, b * RUN_ROW_BYTES]
    return this.#bytes.compare(this.#bytes, other, other + 32, at, at + 32)
  }
}
