// Index database: where each slice lies. Node-local, never the truth: it can be deleted and is made anew from the packs, also while it
// is used. Rows of a pack wait in memory until it is sealed and then go in as one sorted batch: an unsealed pack is read again at the
// next start, so the database never names a record that was not durable. The filter answers for slices that are certainly new.

import type { Filter } from './filter.ts'
import { IndexFile, isIndexDamaged, removeIndexFile } from './index-file.ts'
import type { Totals } from './index-file.ts'
import { FormerIndex } from './former-index.ts'
import { KnownPacks } from './known-packs.ts'
import { KnownSlices } from './known-slices.ts'
import type { PackName, PackRow } from './pack-format.ts'
import { PendingRows } from './pending-rows.ts'
import type { PendingRow } from './pending-rows.ts'
import { isPossible, sliceKey } from './slice-row.ts'
import type { Location, PackEntry, SliceRow } from './slice-row.ts'

/** Rows read at a time in a walk over all slices. */
const WALK_ROWS = 4096
/** Rows that may wait in memory; more means that the database cannot be written. */
const PENDING_ROWS_MAX = 512 * 1024
/** Slices remembered that no pack has; above it the memory begins anew. */
const ABSENT_MAX = 64 * 1024

/** Owns the database file. Every call is synchronous, so between a look-up and what follows in the same tick nothing moves. */
export class IndexDatabase implements Disposable {
  readonly #path: string
  #file: IndexFile
  readonly #packs: KnownPacks
  #lastPackId: number
  readonly #pending = new PendingRows()
  readonly #known: KnownSlices
  /** Of the rows in the file. */
  #totals: Totals
  /** Packs that are sealed and not yet in the file as such. */
  readonly #sealing = new Set<number>()
  /** What is wrong with the file, from when it is known until another is whole; and whether that other is not begun yet. */
  #damage: string | undefined
  #isDistrusted = false
  #onDistrust: (reason: string) => void = () => {}
  /** While the index is made anew: the damaged one, and the sealed packs whose rows are not all in the new file. */
  #former: FormerIndex | undefined
  readonly #unread = new Set<number>()
  #absent = new Set<string>()

  private constructor(path: string, file: IndexFile) {
    this.#path = path
    this.#file = file
    const packs = file.packs()
    this.#packs = new KnownPacks(packs)
    this.#lastPackId = packs.reduce((last, { id }) => Math.max(last, id), file.lastPackId())
    this.#totals = file.totals()
    this.#known = new KnownSlices(this.#totals.rows)
  }

  /** Opens or makes the database. Throws SQLite's error when the file is damaged: the caller then makes it anew. */
  static open(path: string): IndexDatabase {
    FormerIndex.removeAt(path)
    const file = IndexFile.open(path)
    try {
      return new IndexDatabase(path, file)
    } catch (error) {
      file[Symbol.dispose]()
      throw error
    }
  }

  get filter(): Filter {
    return this.#known.filter
  }

  get sliceCount(): number {
    return Math.max(this.#totals.rows + this.#pending.addedRows, this.#former?.totals.rows ?? 0)
  }

  get storedBytes(): number {
    return Math.max(this.#totals.bytes + this.#pending.addedBytes, this.#former?.totals.bytes ?? 0)
  }

  packs(): Iterable<PackEntry> {
    return this.#packs.all()
  }

  pack(id: number): PackEntry | undefined {
    return this.#packs.get(id)
  }

  /** Where a slice lies. A row whose pack is not there, or that is damaged, is none: its slice is as good as unknown. */
  find(digest: Uint8Array): Location | undefined {
    return this.#believed(this.#pending.get(digest) ?? this.#findStored(digest)) ?? this.#believed(this.#former?.find(digest))
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
      if (this.#absent.size > 0) this.#absent.delete(sliceKey(digest))
    }
  }

  /** Forgets slices that still lie where the rows say, in one transaction; gives those forgotten. */
  removeAll(rows: Iterable<Pick<SliceRow, 'digest' | 'pack' | 'offset'>>): Location[] {
    const removed: Location[] = []
    const stored: Uint8Array[] = []
    let storedBytes = 0
    for (const { digest, pack, offset } of rows) {
      const pending = this.#pending.get(digest)
      const kept = this.#findStored(digest)
      const known = pending ?? kept ?? this.#former?.find(digest)
      if (!known || known.pack !== pack || known.offset !== offset) continue
      removed.push(known)
      this.#former?.forget(digest)
      if (pending) this.#pending.delete(pending)
      const beneath = pending ? pending.beneath : kept
      if (!beneath) continue
      stored.push(digest)
      storedBytes += beneath.storedLength
    }
    if (stored.length > 0) this.#removeStored(stored, storedBytes)
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
      this.#distrustFor(error)
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
    const pack = { id: this.#packs.idOf(name) ?? ++this.#lastPackId, name, length: 0, sealed: false }
    this.#write((file) => file.addPacks([pack]))
    return this.#packs.set(pack)
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
    this.#write((file) => file.removePack(id))
    this.#packs.delete(id)
    this.#unread.delete(id)
    this.#sealing.delete(id)
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

  /** The first thing that is wrong with the file, or undefined; takes seconds for some million rows. */
  fault(): string | undefined {
    return this.#file.fault()
  }

  recount(): void {
    this.#totals = this.#file.recount()
  }

  /** Remembers that a search of all packs did not find a slice, until it is added. */
  noteAbsent(digest: Uint8Array): void {
    if (this.#absent.size >= ABSENT_MAX) this.#absent = new Set()
    this.#absent.add(sliceKey(digest))
  }

  isKnownAbsent(digest: Uint8Array): boolean {
    return this.#absent.has(sliceKey(digest))
  }

  /** The file does not say what the packs hold: it may hide more, and what is entered again may be hidden the next time. It is to be made anew. */
  distrust(reason: string): void {
    if (this.#isDistrusted) return
    this.#isDistrusted = true
    this.#damage = reason
    this.#onDistrust(reason)
  }

  /** Calls back when the file turns out to be damaged, also when it did already. */
  watch(onDistrust: (reason: string) => void): void {
    this.#onDistrust = onDistrust
    if (this.#damage !== undefined) onDistrust(this.#damage)
  }

  /** What is wrong, from when it is known until the index is whole again. */
  get damage(): string | undefined {
    return this.#damage
  }

  /** Whether the file is damaged, and the making anew did not begin. */
  get isDistrusted(): boolean {
    return this.#isDistrusted
  }

  /** Whether the index is to be made anew, or is on the way: until then it may miss slices that the packs hold. */
  get isIncomplete(): boolean {
    return this.#damage !== undefined
  }

  /** Sealed packs whose rows have to be entered, while the index is made anew. */
  unreadPacks(): PackEntry[] {
    return [...this.#unread].flatMap((id) => this.#packs.get(id) ?? [])
  }

  /**
   * Begins anew with an empty file that knows the same packs by the same numbers; what the former file says still counts where the new one
   * says nothing. A process that ends before all packs are read leaves a file that lacks them as sealed ones: the next start reads the rest.
   */
  startAnew(): void {
    const totals = { rows: this.sliceCount, bytes: this.storedBytes }
    this.#dropFormer()
    const { former, file } = FormerIndex.replace(this.#path, this.#file, totals, this.#packs.all(), this.#lastPackId)
    this.#former = former
    this.#file = file
    this.#totals = { rows: 0, bytes: 0 }
    this.#pending.liftAll()
    this.#pending.gatherAnew()
    // Also of packs whose rows were on their way into the former file: some are in there already and no more in memory.
    for (const { id, sealed } of this.#packs.all()) if (sealed) this.#unread.add(id)
    this.#sealing.clear()
    this.#isDistrusted = false
  }

  /** Enters rows of a pack that is read again; what is known of a slice already stays. */
  enter(pack: number, rows: readonly PackRow[]): void {
    if (!this.#packs.has(pack)) return
    const entered = this.#unlessDamaged(() =>
      this.#file.enter(
        rows.map(({ digest, offset, length, storedLength }) => ({ digest, pack, offset, length, storedLength })),
        this.#totals,
      ),
    )
    if (!entered) return
    this.#totals = entered.totals
    for (const row of entered.added) {
      this.#known.add(row.digest)
      const pending = this.#pending.get(row.digest)
      if (pending) this.#pending.set({ ...pending, beneath: row })
    }
  }

  /** All rows of a pack are entered. */
  endPack(id: number): void {
    const pack = this.#packs.get(id)
    this.#unlessDamaged(() => this.#file.put([], this.#totals, pack ? [pack] : []))
    if (!this.isDistrusted) this.#unread.delete(id)
  }

  /** All packs are read: nobody asks the former file any more. */
  endAnew(): void {
    if (this.#isDistrusted) return
    this.#dropFormer()
    this.#damage = undefined
  }

  /** Rows of unsealed packs are not written: the next start reads these packs again. */
  [Symbol.dispose](): void {
    try {
      this.flush()
    } catch {
      // What scrub corrected and a full state folder does not take is corrected by the next scrub.
    }
    this.#dropFormer()
    this.#file[Symbol.dispose]()
    if (this.#isDistrusted) removeIndexFile(this.#path)
  }

  #dropFormer(): void {
    this.#former?.[Symbol.dispose]()
    this.#former = undefined
  }

  #believed(location: Location | undefined): Location | undefined {
    return location && this.#packs.has(location.pack) && isPossible(location) ? location : undefined
  }

  #findStored(digest: Uint8Array): Location | undefined {
    return this.#known.isCertainlyNew(digest) ? undefined : this.#unlessDamaged(() => this.#file.find(digest))
  }

  #unlessDamaged<Result>(run: () => Result): Result | undefined {
    try {
      return run()
    } catch (error) {
      if (!this.#distrustFor(error)) throw error
      return undefined
    }
  }

  /** Removes what can be removed; from a damaged file nothing can, so it is given up at once. */
  #removeStored(digests: readonly Uint8Array[], storedBytes: number): void {
    const totals = { rows: this.#totals.rows - digests.length, bytes: this.#totals.bytes - storedBytes }
    try {
      this.#file.remove(digests, totals)
      this.#totals = totals
    } catch (error) {
      if (!this.#distrustFor(error)) throw error
      this.startAnew()
      for (const digest of digests) this.#former?.forget(digest)
    }
  }

  /** Writes to the file; a damaged one is given up at once. */
  #write(run: (file: IndexFile) => void): void {
    try {
      run(this.#file)
    } catch (error) {
      if (!this.#distrustFor(error)) throw error
      this.startAnew()
      run(this.#file)
    }
  }

  #distrustFor(error: unknown): boolean {
    if (!isIndexDamaged(error)) return false
    this.distrust(error instanceof Error ? error.message : String(error))
    return true
  }

  #isSealed(row: PendingRow): boolean {
    return this.#packs.get(row.pack)?.sealed === true
  }

  /** Digests of all rows, first those in memory, then those of the file. */
  *#digests(): Generator<readonly Uint8Array[]> {
    yield this.#pending.all().map(({ digest }) => digest)
    for (let digests = this.#file.digestsAfter(undefined, WALK_ROWS); digests.length > 0; digests = this.#file.digestsAfter(digests.at(-1), WALK_ROWS)) {
      if (digests.some((digest, i) => i > 0 && Buffer.compare(digests[i - 1] ?? digest, digest) >= 0)) this.distrust('its keys are not in order')
      yield digests
    }
  }
}
