// Rows of the index database that wait in memory, by digest: those of packs that are not sealed, and those on their way to the disk.

import { REMOVED } from './run-format.ts'
import { sliceKey } from '../packs/slice-row.ts'
import type { Location, SliceRow } from '../packs/slice-row.ts'

/** A row that waits, or that says that a slice was removed, and the one of the same digest on the disk that it will replace. */
export interface PendingRow extends SliceRow {
  readonly beneath: Location | undefined
}

/** Holds the rows and counts what they will add to what is on the disk. */
export class PendingRows {
  readonly #rows = new Map<string, PendingRow>()
  /** Rows that are being written; they stay among the others until that is done, unless one takes their place. */
  #flying = new Map<string, PendingRow>()
  addedRows = 0
  addedBytes = 0

  get size(): number {
    return this.#rows.size
  }

  get(digest: Uint8Array): PendingRow | undefined {
    return this.#rows.get(sliceKey(digest))
  }

  /** Rows of slices that are there. */
  all(): PendingRow[] {
    return [...this.#rows.values()].filter(({ pack }) => pack !== REMOVED)
  }

  /** Adds a row; one of the same digest gives way to it. `stored` is asked for what lies on the disk. */
  set(row: SliceRow, stored: (digest: Uint8Array) => Location | undefined): void {
    const before = this.get(row.digest)
    this.#put({ ...row, beneath: before ? this.#beneath(before) : stored(row.digest) })
  }

  /** Forgets a row: without a trace when nothing of its digest is on the disk, on its way there, or elsewhere. */
  remove(digest: Uint8Array, stored: (digest: Uint8Array) => Location | undefined, isElsewhere: boolean): void {
    const before = this.get(digest)
    const beneath = before ? this.#beneath(before) : stored(digest)
    if (beneath || isElsewhere || this.#flying.has(sliceKey(digest)))
      this.#put({ digest: new Uint8Array(digest), pack: REMOVED, offset: 0, length: 0, storedLength: 0, beneath })
    else if (before) this.#drop(before)
  }

  /** Forgets the rows of a pack that is gone. */
  removePack(pack: number): void {
    for (const row of this.all()) if (row.pack === pack) this.#drop(row)
  }

  /** What lies on the disk is asked for anew. */
  rebase(stored: (digest: Uint8Array) => Location | undefined): void {
    for (const [key, row] of this.#flying) {
      const now = { ...row, beneath: stored(row.digest) }
      this.#count(row, -1)
      this.#count(now, 1)
      this.#flying.set(key, now)
      if (this.#rows.get(key) === row) this.#rows.set(key, now)
    }
    // What takes the place of a row that is on its way will have that one beneath it.
    for (const [key, row] of [...this.#rows]) if (!this.#flying.has(key)) this.#put({ ...row, beneath: stored(row.digest) })
  }

  /** Takes up to so many rows that are due; they stay until `landed` or `failed`. */
  take(rowsMax: number, isDue: (row: PendingRow) => boolean): { rows: readonly PendingRow[]; isLast: boolean } {
    this.#flying = new Map()
    for (const [key, row] of this.#rows) {
      if (!isDue(row)) continue
      if (this.#flying.size === rowsMax) return { rows: [...this.#flying.values()], isLast: false }
      this.#flying.set(key, row)
    }
    return { rows: [...this.#flying.values()], isLast: true }
  }

  /** What the rows that were taken add to what is on the disk. */
  flyingTotals(): { rows: number; bytes: number } {
    let [rows, bytes] = [0, 0]
    for (const row of this.#flying.values()) {
      rows += addedRowsOf(row)
      bytes += addedBytesOf(row)
    }
    return { rows, bytes }
  }

  /** The rows that were taken are on the disk. */
  landed(): void {
    for (const [key, row] of this.#flying) {
      this.#count(row, -1)
      if (this.#rows.get(key) === row) this.#rows.delete(key)
    }
    this.#flying = new Map()
  }

  /** The rows that were taken did not get there: what took the place of one replaces what lies beneath that one. */
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

  /** The disk holds nothing any more, nor will it hold what was taken. */
  liftAll(): void {
    this.failed()
    for (const row of [...this.#rows.values()]) if (row.beneath) this.#put({ ...row, beneath: undefined })
  }

  /** What will lie on the disk beneath the one that comes after this row. */
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

  /** A row that is on its way counts until it is there. */
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
