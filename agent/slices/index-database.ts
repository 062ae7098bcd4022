// Index database: where each slice lies. Node-local, never the truth: it can be deleted and is rebuilt from the packs.
// Rows of a pack wait in memory until it is sealed and then go in as one sorted batch: an unsealed pack is read again at the
// next start, so the database never names a record that was not durable. The filter answers for slices that are certainly new.

import type { Filter } from './filter.ts'
import { IndexFile } from './index-file.ts'
import type { Totals } from './index-file.ts'
import { KnownPacks } from './known-packs.ts'
import { KnownSlices } from './known-slices.ts'
import type { PackName, PackRow } from './pack-format.ts'
import { PendingRows } from './pending-rows.ts'
import type { PendingRow } from './pending-rows.ts'
import { isPossible } from './slice-row.ts'
import type { Location, PackEntry, SliceRow } from './slice-row.ts'

/** Rows read at a time in a walk over all slices. */
const WALK_ROWS = 4096
/** Rows that may wait in memory; more means that the database cannot be written. */
const PENDING_ROWS_MAX = 512 * 1024

/** Owns the database file. Every call is synchronous, so between a look-up and what follows in the same tick nothing moves. */
export class IndexDatabase implements Disposable {
  readonly #file: IndexFile
  readonly #packs: KnownPacks
  readonly #pending = new PendingRows()
  readonly #known: KnownSlices
  /** Of the rows in the file. */
  #totals: Totals
  #isDistrusted = false
  /** Packs that are sealed and not yet in the file as such. */
  readonly #sealing = new Set<number>()

  private constructor(file: IndexFile) {
    this.#file = file
    this.#packs = new KnownPacks(file.packs())
    this.#totals = file.totals()
    this.#known = new KnownSlices(this.#totals.rows)
  }

  /** Opens or makes the database. Throws SQLite's error when the file is damaged: the caller then rebuilds it. */
  static open(path: string): IndexDatabase {
    const file = IndexFile.open(path)
    try {
      return new IndexDatabase(file)
    } catch (error) {
      file[Symbol.dispose]()
      throw error
    }
  }

  get filter(): Filter {
    return this.#known.filter
  }

  get sliceCount(): number {
    return this.#totals.rows + this.#pending.addedRows
  }

  get storedBytes(): number {
    return this.#totals.bytes + this.#pending.addedBytes
  }

  packs(): Iterable<PackEntry> {
    return this.#packs.all()
  }

  pack(id: number): PackEntry | undefined {
    return this.#packs.get(id)
  }

  /** Where a slice lies. A row whose pack is not there, or that is damaged, is none: its slice is as good as unknown. */
  find(digest: Uint8Array): Location | undefined {
    const location = this.#pending.get(digest) ?? this.#findStored(digest)
    return location && this.#packs.has(location.pack) && isPossible(location) ? location : undefined
  }

  /** Adds rows of one pack; visible at once, in the database once the pack is sealed. A digest known before moves to the new place. */
  add(pack: number, rows: Iterable<PackRow>): void {
    // A flush of all must leave none of these behind.
    if (this.#packs.get(pack)?.sealed) this.#pending.gatherAnew()
    for (const row of rows) {
      const digest = new Uint8Array(row.digest)
      const before = this.#pending.get(digest)
      const beneath = before ? before.beneath : this.#findStored(digest)
      this.#pending.set({ digest, pack, offset: row.offset, length: row.length, storedLength: row.storedLength, beneath })
      this.#known.add(digest)
    }
  }

  /** Forgets slices that still lie where the rows say, in one transaction; gives those forgotten. */
  removeAll(rows: Iterable<Pick<SliceRow, 'digest' | 'pack' | 'offset'>>): Location[] {
    const removed: Location[] = []
    const stored: Uint8Array[] = []
    let storedBytes = 0
    for (const { digest, pack, offset } of rows) {
      const pending = this.#pending.get(digest)
      const known = pending ?? this.#findStored(digest)
      if (!known || known.pack !== pack || known.offset !== offset) continue
      removed.push(known)
      if (pending) this.#pending.delete(pending)
      const beneath = pending ? pending.beneath : known
      if (!beneath) continue
      stored.push(digest)
      storedBytes += beneath.storedLength
    }
    if (stored.length > 0) {
      const totals = { rows: this.#totals.rows - stored.length, bytes: this.#totals.bytes - storedBytes }
      this.#file.remove(stored, totals)
      this.#totals = totals
    }
    return removed
  }

  /** Too many rows wait in memory because the database cannot be written. */
  get isOverfull(): boolean {
    return this.#pending.size >= PENDING_ROWS_MAX
  }

  /**
   * Writes rows of sealed packs that wait in memory, at most so many in one transaction; tells whether more wait. A pack counts as sealed in
   * the database once all its rows are in.
   */
  flush(rowsMax: number = Number.MAX_SAFE_INTEGER): boolean {
    const { rows: due, isLast } = this.#pending.takeDue(rowsMax, (row) => this.#isSealed(row))
    let { rows, bytes } = this.#totals
    for (const row of due) {
      rows += row.beneath ? 0 : 1
      bytes += row.storedLength - (row.beneath?.storedLength ?? 0)
    }
    const sealed = isLast ? [...this.#sealing].flatMap((id) => this.#packs.get(id) ?? []) : []
    try {
      this.#file.put(due, { rows, bytes }, sealed)
    } catch (error) {
      this.#pending.gatherAnew()
      throw error
    }
    // Only a transaction that went through moves the counts: a full state folder leaves everything as it was.
    for (const row of due) this.#pending.delete(row)
    this.#totals = { rows, bytes }
    if (isLast) this.#sealing.clear()
    return !isLast
  }

  /** Everything written so far is on stable storage when it returns; needed before a file that it no longer names is removed. */
  makeDurable(): void {
    this.#file.makeDurable()
  }

  addPack(name: PackName): PackEntry {
    return this.#packs.set({ id: this.#file.addPack(name), name, length: 0, sealed: false })
  }

  /** Marks a pack as sealed with this length: the next `flush` lets its rows into the database. */
  sealPack(id: number, length: number): void {
    const entry = this.#packs.get(id)
    if (!entry) return
    this.#packs.set({ ...entry, length, sealed: true })
    this.#sealing.add(id)
    this.#pending.gatherAnew()
  }

  /** Forgets a pack, and with it every slice that the index has there. */
  removePack(id: number): void {
    this.#file.removePack(id)
    this.#packs.delete(id)
    for (const row of this.#pending.all()) if (row.pack === id) this.#pending.delete(row)
  }

  /** Drops the rows of packs that are not there and gives how many slices no other pack has; a full walk, needed only after damage. */
  removeOrphans(): number {
    this.flush()
    let removed = this.#file.removeOrphans()
    if (removed === 0) return 0
    for (const row of this.#pending.all()) {
      if (!row.beneath || this.#packs.has(row.beneath.pack)) continue
      this.#pending.set({ ...row, beneath: undefined })
      removed--
    }
    this.recount()
    return removed
  }

  /**
   * Rows of the database in digest order after `after`, and the last digest looked at, undefined at the end. Rows that one in memory
   * replaces are left out: `waiting` gives those.
   */
  walk(after: Uint8Array | undefined): { rows: SliceRow[]; last: Uint8Array | undefined } {
    const found = this.#file.rowsAfter(after, WALK_ROWS)
    const rows = found.filter(({ digest }) => digest instanceof Uint8Array && !this.#pending.get(digest))
    return { rows, last: found.length < WALK_ROWS ? undefined : found.at(-1)?.digest }
  }

  /** Rows that wait in memory, at this moment. */
  waiting(): SliceRow[] {
    return this.#pending.all()
  }

  /** More slices were added than the filter was made for, or removed since: it answers "perhaps" too often. */
  get isFilterWorn(): boolean {
    return this.#known.isWorn
  }

  /** Replaces the filter by one made from all rows, in steps; `pause` is awaited between them so that requests go on. */
  rebuildFilter(pause: () => Promise<void>): Promise<void> {
    return this.#known.rebuild(this.sliceCount, this.#digests(), pause)
  }

  /** SQLite's own quick check, which takes a second for some million rows; the first fault found, or undefined. */
  fault(): string | undefined {
    return this.#file.fault()
  }

  recount(): void {
    this.#totals = this.#file.recount()
  }

  /**
   * Rows were missing that packs hold: a damaged page may hide more of them, and what is entered again may be hidden the next time. Such a
   * database is rebuilt at the next start.
   */
  distrust(): void {
    this.#isDistrusted = true
  }

  get isDistrusted(): boolean {
    return this.#isDistrusted
  }

  /** Rows of unsealed packs are not written: the next start reads these packs again. */
  [Symbol.dispose](): void {
    try {
      this.flush()
    } catch {
      // What scrub corrected and a full state folder does not take is corrected by the next scrub.
    }
    this.#file[Symbol.dispose]()
  }

  #findStored(digest: Uint8Array): Location | undefined {
    return this.#known.isCertainlyNew(digest) ? undefined : this.#file.find(digest)
  }

  #isSealed(row: PendingRow): boolean {
    return this.#packs.get(row.pack)?.sealed === true
  }

  /** Digests of all rows, first those in memory, then those of the file. */
  *#digests(): Generator<readonly Uint8Array[]> {
    yield this.#pending.all().map(({ digest }) => digest)
    for (let digests = this.#file.digestsAfter(undefined, WALK_ROWS); digests.length > 0; digests = this.#file.digestsAfter(digests.at(-1), WALK_ROWS)) {
      yield digests
    }
  }
}
