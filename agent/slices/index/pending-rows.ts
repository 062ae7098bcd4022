// Rows of the index database in memory, by digest: those of packs that are not sealed, and those that are being written to disk.

import { REMOVED } from './run-format.ts'
import { sliceKey } from '../packs/slice-row.ts'
import type { Location, SliceRow } from '../packs/slice-row.ts'

/** A row in memory, or the removal of a slice, with the row on disk of the same digest that it will replace. */
export interface PendingRow extends SliceRow {
  readonly beneath: Location | undefined
}

/** Keeps the rows and counts what they will add to the totals on disk. */
export class PendingRows {
  readonly #rows = new Map<string, PendingRow>()
  /** Rows that are being written. They also stay in `#rows` until the write ends, unless a newer row replaces them. */
  #flying = new Map<string, PendingRow>()
  addedRows = 0
  addedBytes = 0

  get size(): number {
    return this.#rows.size
  }

  get(digest: Uint8Array): PendingRow | undefined {
    return this.#rows.get(sliceKey(digest))
  }

  /** Returns all rows except removals. */
  all(): PendingRow[] {
    return [...this.#rows.values()].filter(({ pack }) => pack !== REMOVED)
  }

  /** Adds a row, replacing one of the same digest. `stored` returns what is on disk. */
  set(row: SliceRow, stored: (digest: Uint8Array) => Location | undefined): void {
    const before = this.get(row.digest)
    this.#put({ ...row, beneath: before ? this.#beneath(before) : stored(row.digest) })
  }

  /** Removes a row. Records the removal when a row of its digest is on disk, being written, or `isElsewhere`. */
  remove(digest: Uint8Array, stored: (digest: Uint8Array) => Location | undefined, isElsewhere: boolean): void {
    const before = this.get(digest)
    const beneath = before ? this.#beneath(before) : stored(digest)
    if (beneath || isElsewhere || this.#flying.has(sliceKey(digest)))
      this.#put({ digest: new Uint8Array(digest), pack: REMOVED, offset: 0, length: 0, storedLength: 0, beneath })
    else if (before) this.#drop(before)
  }

  /** Drops the rows of a pack that was removed. */
  removePack(pack: number): void {
    for (const row of this.all()) if (row.pack === pack) this.#drop(row)
  }

  /** Looks up again what is on disk beneath every row, after the rows on disk have changed. */
  rebase(stored: (digest: Uint8Array) => Location | undefined): void {
    for (const [key, row] of this.#flying) {
      const now = { ...row, beneath: stored(row.digest) }
      this.#count(row, -1)
      this.#count(now, 1)
      this.#flying.set(key, now)
      if (this.#rows.get(key) === row) this.#rows.set(key, now)
    }
    // A row that replaces one being written will have that one beneath it.
    for (const [key, row] of [...this.#rows]) if (!this.#flying.has(key)) this.#put({ ...row, beneath: stored(row.digest) })
  }

  /** Takes up to `rowsMax` due rows for writing; they stay in memory until `landed` or `failed`. */
  take(rowsMax: number, isDue: (row: PendingRow) => boolean): { rows: readonly PendingRow[]; isLast: boolean } {
    this.#flying = new Map()
    for (const [key, row] of this.#rows) {
      if (!isDue(row)) continue
      if (this.#flying.size === rowsMax) return { rows: [...this.#flying.values()], isLast: false }
      this.#flying.set(key, row)
    }
    return { rows: [...this.#flying.values()], isLast: true }
  }

  /** Returns what the rows being written add to the totals on disk. */
  flyingTotals(): { rows: number; bytes: number } {
    let [rows, bytes] = [0, 0]
    for (const row of this.#flying.values()) {
      rows += addedRowsOf(row)
      bytes += addedBytesOf(row)
    }
    return { rows, bytes }
  }

  /** Drops the rows that were written. */
  landed(): void {
    for (const [key, row] of this.#flying) {
      this.#count(row, -1)
      if (this.#rows.get(key) === row) this.#rows.delete(key)
    }
    this.#flying = new Map()
  }

  /** Keeps the rows whose write failed. A row that replaced one of them gets what is beneath that one. */
  failed(): void {
    const flying = this.#flying
    this.#flying = new Map()
    for (const [key, row] of flying) {
      const now = this.#rows.get(key)
      if (now === row) continue
      this.#count(row, -1)
      if (now) this.#put({ ...now, beneath: row.beneath })
    }
  }

  /** Detaches all rows from the disk: the rows there are gone, and those being written will not arrive. */
  liftAll(): void {
    this.failed()
    for (const row of [...this.#rows.values()]) if (row.beneath) this.#put({ ...row, beneath: undefined })
  }

  /** Returns what will be on disk beneath the successor of this row. */
  #beneath(row: PendingRow): Location | undefined {
    if (this.#flying.get(sliceKey(row.digest)) !== row) return row.beneath
    return row.pack === REMOVED ? undefined : row
  }

  #put(row: PendingRow): void {
    const key = sliceKey(row.digest)
    const before = this.#rows.get(key)
    if (before) this.#uncount(key, before)
    this.#rows.set(key, row)
    this.#count(row, 1)
  }

  #drop(row: PendingRow): void {
    const key = sliceKey(row.digest)
    this.#rows.delete(key)
    this.#uncount(key, row)
  }

  /** Stops counting a row, unless it is being written: then it counts until the write ends. */
  #uncount(key: string, row: PendingRow): void {
    if (this.#flying.get(key) !== row) this.#count(row, -1)
  }

  #count(row: PendingRow, sign: 1 | -1): void {
    this.addedRows += sign * addedRowsOf(row)
    this.addedBytes += sign * addedBytesOf(row)
  }
}

function addedRowsOf({ pack, beneath }: PendingRow): number {
  return (pack === REMOVED ? 0 : 1) - (beneath ? 1 : 0)
}

function addedBytesOf({ storedLength, beneath }: PendingRow): number {
  return storedLength - (beneath?.storedLength ?? 0)
}
