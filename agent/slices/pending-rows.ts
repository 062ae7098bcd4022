// Rows of the index database that wait in memory until their pack is sealed, by digest.

import { sliceKey } from './slice-row.ts'
import type { Location, SliceRow } from './slice-row.ts'

/** A row that waits, and the one of the same digest in the file that it will replace. */
export interface PendingRow extends SliceRow {
  readonly beneath: Location | undefined
}

/** Holds the rows and counts what they will add to the file. */
export class PendingRows {
  readonly #rows = new Map<string, PendingRow>()
  /** Keys of rows that the next batches take, the last one first. */
  #due: string[] = []
  /** What the rows add: those that replace one in the file add none. */
  addedRows = 0
  addedBytes = 0

  get size(): number {
    return this.#rows.size
  }

  get(digest: Uint8Array): PendingRow | undefined {
    return this.#rows.get(sliceKey(digest))
  }

  all(): PendingRow[] {
    return [...this.#rows.values()]
  }

  /** Adds a row; one of the same digest gives way to it. */
  set(row: PendingRow): void {
    const before = this.get(row.digest)
    if (before) this.delete(before)
    this.#rows.set(sliceKey(row.digest), row)
    this.#count(row, 1)
  }

  delete(row: PendingRow): void {
    this.#rows.delete(sliceKey(row.digest))
    this.#count(row, -1)
  }

  /** Forgets what lies in the file beneath the rows: it is another file now, with nothing in it. */
  liftAll(): void {
    for (const row of this.all()) if (row.beneath) this.set({ ...row, beneath: undefined })
  }

  /** What was gathered for the next batches does not know of what has become due since: it is gathered anew. */
  gatherAnew(): void {
    this.#due = []
  }

  /** Up to so many rows that are due, sorted by digest so that neighbouring pages are touched together; all stay until they are deleted. */
  takeDue(rowsMax: number, isDue: (row: PendingRow) => boolean): { rows: PendingRow[]; isLast: boolean } {
    if (this.#due.length === 0)
      this.#due = [...this.#rows]
        .filter(([, row]) => isDue(row))
        .map(([key]) => key)
        .toSorted()
        .toReversed()
    const rows: PendingRow[] = []
    while (this.#due.length > 0 && rows.length < rowsMax) {
      const row = this.#rows.get(this.#due.pop() ?? '')
      if (row && isDue(row)) rows.push(row)
    }
    return { rows, isLast: this.#due.length === 0 }
  }

  #count(row: PendingRow, sign: 1 | -1): void {
    if (!row.beneath) this.addedRows += sign
    this.addedBytes += sign * (row.storedLength - (row.beneath?.storedLength ?? 0))
  }
}
