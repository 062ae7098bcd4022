// Rows on their way from the packs into an index that is made anew. They become the oldest runs: whatever is known of a slice otherwise counts.

import { RunBatch } from './run-batch.ts'
import { sliceKey } from '../packs/slice-row.ts'
import type { PackEntry, SliceRow } from '../packs/slice-row.ts'
import type { StoredRows } from './stored-rows.ts'

/** Holds one batch, and which packs are still to be read. */
export class RebuiltRows {
  readonly #stored: StoredRows
  /** Packs whose rows are not all on the disk. */
  readonly #unread: Set<number>
  #batch = new RunBatch()
  #keys = new Set<string>()
  /** Packs of which all rows are in this batch or before it. */
  #ended: PackEntry[] = []

  constructor(stored: StoredRows, packs: Iterable<number>) {
    this.#stored = stored
    this.#unread = new Set(packs)
  }

  get isFull(): boolean {
    return this.#batch.isFull
  }

  /** Packs that are still to be read. */
  unread(): number[] {
    return [...this.#unread].filter((id) => !this.#ended.some((pack) => pack.id === id))
  }

  forgetPack(id: number): void {
    this.#unread.delete(id)
  }

  /** Adds a row, when no other of its digest is in the batch. */
  enter(row: SliceRow): void {
    const key = sliceKey(row.digest)
    if (this.#keys.has(key)) return
    this.#keys.add(key)
    this.#batch.add(row)
  }

  endPack(pack: PackEntry): void {
    this.#ended.push(pack)
  }

  /** Writes the batch; from then on its packs count as sealed on the disk. What the rows add up to is counted when all are there. */
  async write(): Promise<void> {
    const [batch, ended] = [this.#batch, this.#ended]
    this.#batch = new RunBatch()
    this.#keys = new Set()
    this.#ended = []
    if (batch.rows > 0 && !(await this.#stored.append(batch, 'oldest', () => ({ rows: batch.rows, bytes: 0, sealed: ended })))) return
    if (batch.rows === 0) this.#stored.sealPacks(ended)
    for (const { id } of ended) this.#unread.delete(id)
  }
}
