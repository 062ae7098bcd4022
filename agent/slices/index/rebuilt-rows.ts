// Rows that a rebuild has read from the packs. They become the oldest runs, so any other row of the same slice takes precedence.

import { RunBatch } from './run-batch.ts'
import { sliceKey } from '../packs/slice-row.ts'
import type { PackEntry, SliceRow } from '../packs/slice-row.ts'
import type { StoredRows } from './stored-rows.ts'

/** Keeps one batch of rows, and the packs that are still to be read. */
export class RebuiltRows {
  readonly #stored: StoredRows
  /** Packs whose rows are not all on disk. */
  readonly #unread: Set<number>
  #batch = new RunBatch()
  #keys = new Set<string>()
  /** Packs all of whose rows are in this batch or an earlier one. */
  #ended: PackEntry[] = []

  constructor(stored: StoredRows, packs: Iterable<number>) {
    this.#stored = stored
    this.#unread = new Set(packs)
  }

  get isFull(): boolean {
    return this.#batch.isFull
  }

  /** Returns the packs that are still to be read. */
  unread(): number[] {
    return [...this.#unread].filter((id) => !this.#ended.some((pack) => pack.id === id))
  }

  forgetPack(id: number): void {
    this.#unread.delete(id)
  }

  /** Adds a row unless the batch has one of the same digest. */
  enter(row: SliceRow): void {
    const key = sliceKey(row.digest)
    if (this.#keys.has(key)) return
    this.#keys.add(key)
    this.#batch.add(row)
  }

  endPack(pack: PackEntry): void {
    this.#ended.push(pack)
  }

  /** Writes the batch; its packs then count as sealed on disk. Bytes are counted when the rebuild ends, after duplicates are merged. */
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
