// Index database: where each slice lies. Node-local, never the truth: it can be deleted and is made anew from the packs, also while it
// is used. Rows of a pack wait in memory until it is sealed and then go to the disk as one sorted run: an unsealed pack is read again
// at the next start, so the index never names a record that was not durable. The filter answers for slices that are certainly new.

import type { Filter } from './filter.ts'
import { FormerIndex } from './former-index.ts'
import { IndexTrust } from './index-trust.ts'
import type { IndexWatcher } from './index-trust.ts'
import { KnownPacks } from './known-packs.ts'
import { KnownSlices } from './known-slices.ts'
import type { PackName, PackRow } from '../packs/pack-format.ts'
import { PendingRows } from './pending-rows.ts'
import { RebuiltRows } from './rebuilt-rows.ts'
import { RowFlush } from './row-flush.ts'
import { REMOVED } from './run-format.ts'
import { isPossible, sliceKey } from '../packs/slice-row.ts'
import type { Location, PackEntry, SliceRow } from '../packs/slice-row.ts'
import { StoredRows } from './stored-rows.ts'

/** Rows read at a time in a walk over all slices. */
const WALK_ROWS = 4096
/** Rows that wait before it is time for a flush, where no pack is sealed meanwhile. */
const FLUSH_ROWS = 64 * 1024
/** Rows that may wait in memory; more means that the index cannot be written. */
const PENDING_ROWS_MAX = 512 * 1024
/** Slices remembered that no pack has; above it the memory begins anew. */
const ABSENT_MAX = 64 * 1024

/** Owns the files. Look-ups and changes are synchronous, so between a look-up and what follows in the same tick nothing moves. */
export class IndexDatabase implements AsyncDisposable {
  readonly #path: string
  readonly #stored: StoredRows
  readonly #packs: KnownPacks
  #lastPackId: number
  readonly #pending = new PendingRows()
  readonly #known: KnownSlices
  readonly #flush: RowFlush
  readonly #trust = new IndexTrust()
  /** While the index is made anew: the damaged runs, and the rows that are read from the packs. */
  #former: FormerIndex | undefined
  #rebuilt: RebuiltRows | undefined
  #absent = new Set<string>()

  private constructor(path: string, stored: StoredRows, pause: () => Promise<void>) {
    this.#path = path
    this.#stored = stored
    this.#packs = new KnownPacks(stored.packs)
    this.#lastPackId = [...stored.packs].reduce((last, { id }) => Math.max(last, id), stored.counts.lastPack)
    this.#known = new KnownSlices(stored.counts.rows)
    this.#flush = new RowFlush({ pending: this.#pending, packs: this.#packs, stored, trust: this.#trust, pause })
  }

  /** Opens or makes it. Throws IndexUnusable or SQLite's error when it is damaged: the caller then makes it anew. */
  static open(path: string, pause: () => Promise<void> = yieldToLoop): IndexDatabase {
    return new IndexDatabase(path, StoredRows.open(path, pause), pause)
  }

  get filter(): Filter {
    return this.#known.filter
  }

  get sliceCount(): number {
    return Math.max(this.#stored.counts.rows + this.#pending.addedRows, this.#former?.totals.rows ?? 0)
  }

  get storedBytes(): number {
    return Math.max(this.#stored.counts.bytes + this.#pending.addedBytes, this.#former?.totals.bytes ?? 0)
  }

  packs(): Iterable<PackEntry> {
    return this.#packs.all()
  }

  pack(id: number): PackEntry | undefined {
    return this.#packs.get(id)
  }

  /** Where a slice lies. A row whose pack is not there, or that is damaged, is none: its slice is as good as unknown. */
  find(digest: Uint8Array): Location | undefined {
    const pending = this.#pending.get(digest)
    if (pending?.pack === REMOVED) return undefined
    const known = pending ?? this.#lookUp(digest)
    return known === 'removed' ? undefined : (this.#believed(known) ?? this.#believed(this.#former?.find(digest)))
  }

  /** Adds rows of one pack; visible at once, on the disk once the pack is sealed. A digest known before moves to the new place. */
  add(pack: number, rows: Iterable<PackRow>): void {
    for (const { digest: view, offset, length, storedLength } of rows) {
      const digest = new Uint8Array(view)
      this.#pending.set({ digest, pack, offset, length, storedLength }, this.#findStored)
      this.#known.add(digest)
      if (this.#absent.size > 0) this.#absent.delete(sliceKey(digest))
    }
  }

  /** Forgets slices that still lie where the rows say; gives those forgotten. */
  removeAll(rows: Iterable<Pick<SliceRow, 'digest' | 'pack' | 'offset'>>): Location[] {
    const removed: Location[] = []
    for (const { digest, pack, offset } of rows) {
      const at = this.#pending.get(digest) ?? this.#lookUp(digest) ?? this.#former?.find(digest)
      if (at === undefined || at === 'removed' || at.pack !== pack || at.offset !== offset) continue
      removed.push(at)
      this.#pending.remove(digest, this.#findStored, this.isIncomplete)
    }
    return removed
  }

  /** Too many rows wait in memory because the index cannot be written. */
  get isOverfull(): boolean {
    return this.#pending.size >= PENDING_ROWS_MAX
  }

  /** So many rows wait that it is time for a flush. */
  get isFlushDue(): boolean {
    return this.#pending.size >= FLUSH_ROWS
  }

  /**
   * Brings rows of sealed packs, and what was removed, to the disk; all that was due at the call is there when it resolves. A pack counts as
   * sealed there once all its rows are.
   */
  flush(): Promise<void> {
    return this.#flush.run()
  }

  /** What was brought to the disk is on stable storage when it returns; needed before a file that the index no longer names is removed. */
  makeDurable(): void {
    this.#stored.makeDurable()
  }

  addPack(name: PackName): PackEntry {
    const id = this.#packs.idOf(name) ?? ++this.#lastPackId
    this.#write(() => this.#stored.addPack(id, name))
    return this.#packs.set({ id, name, length: 0, sealed: false })
  }

  /** Marks a pack as sealed with this length: the next `flush` takes its rows. */
  sealPack(id: number, length: number): void {
    const entry = this.#packs.get(id)
    if (!entry) return
    this.#packs.set({ ...entry, length, sealed: true })
    this.#flush.seal(id)
  }

  /** Forgets a pack, and with it every slice that the index has there. */
  removePack(id: number): void {
    this.#write(() => this.#stored.removePack(id))
    this.#packs.delete(id)
    this.#flush.forget(id)
    this.#rebuilt?.forgetPack(id)
    this.#pending.removePack(id)
  }

  /** Drops the rows of packs that are not there and gives how many slices no other pack has; all is written again, needed only after damage. */
  async removeOrphans(): Promise<number> {
    await this.flush()
    const replaced = this.#pending.all().filter(({ beneath }) => beneath && !this.#packs.has(beneath.pack)).length
    return (await this.#compact()) - replaced
  }

  /**
   * Rows on the disk in digest order after `after`, and the last digest looked at, undefined at the end. Rows that one in memory
   * replaces are left out: `waiting` gives those.
   */
  walk(after: Uint8Array | undefined): { rows: SliceRow[]; last: Uint8Array | undefined } {
    const { rows, last } = this.#stored.rowsAfter(after, WALK_ROWS)
    return { rows: rows.filter(({ digest }) => !this.#pending.get(digest)), last }
  }

  /** Rows that wait in memory, at this moment. */
  waiting(): SliceRow[] {
    return this.#pending.all()
  }

  /** More slices were added than the filter was made for, or removed since: it answers "perhaps" too often. */
  get isFilterWorn(): boolean {
    return this.#known.isWorn
  }

  /** Replaces the filter by one made from all rows, beside everything else. */
  async rebuildFilter(signal?: AbortSignal): Promise<void> {
    try {
      const waiting = this.#pending.all().map(({ digest }) => digest)
      await this.#known.rebuild(this.sliceCount, waiting, ({ buffer, capacity }) => this.#stored.fillFilter(buffer, capacity, signal))
    } catch (error) {
      this.#trust.distrustFor(error)
      throw error
    }
  }

  /** The first thing that is wrong with the files, or undefined. */
  check(): Promise<string | undefined> {
    return this.#stored.check()
  }

  /** Remembers that a search of all packs did not find a slice, until it is added. */
  noteAbsent(digest: Uint8Array): void {
    if (this.#absent.size >= ABSENT_MAX) this.#absent = new Set()
    this.#absent.add(sliceKey(digest))
  }

  isKnownAbsent(digest: Uint8Array): boolean {
    return this.#absent.has(sliceKey(digest))
  }

  /** The index does not say what the packs hold: it may lack more. It is to be made anew, unless it is already. */
  distrust(reason: string): void {
    if (!this.isIncomplete) this.#trust.distrust(reason)
  }

  /** Has somebody told what happens, also what did already. */
  watch(watcher: IndexWatcher): void {
    this.#trust.watch(watcher)
  }

  /** What is wrong, from when it is known until the index is whole again. */
  get damage(): string | undefined {
    return this.#trust.damage
  }

  /** Whether it is damaged, and the making anew did not begin. */
  get isDistrusted(): boolean {
    return this.#trust.isDistrusted
  }

  /** Whether the index is to be made anew, or is on the way: until then it may miss slices that the packs hold. */
  get isIncomplete(): boolean {
    return this.#trust.damage !== undefined
  }

  /** Sealed packs whose rows have to be entered, while the index is made anew. */
  unreadPacks(): PackEntry[] {
    return this.#rebuilt?.unread().flatMap((id) => this.#packs.get(id) ?? []) ?? []
  }

  /**
   * Begins anew with no rows and the same packs by the same numbers; what the damaged runs say still counts where the new ones say
   * nothing. A process that ends before all packs are read leaves an index that lacks them as sealed ones: the next start reads the rest.
   */
  startRebuild(): void {
    const totals = { rows: this.sliceCount, bytes: this.storedBytes }
    const runs = this.#stored.startRebuild(this.#packs.all(), this.#lastPackId)
    this.#former?.[Symbol.dispose]()
    this.#former = new FormerIndex(runs, totals)
    this.#pending.liftAll()
    // Also packs whose rows were on their way to the disk: some are there already and no more in memory.
    const sealed = [...this.#packs.all()].filter((pack) => pack.sealed).map(({ id }) => id)
    this.#flush.forget()
    this.#rebuilt = new RebuiltRows(this.#stored, sealed)
    this.#trust.rebuildStarted()
  }

  /** Enters rows of a pack that is read again; what is known of a slice already stays. */
  async enter(pack: number, rows: readonly PackRow[]): Promise<void> {
    for (const row of rows) {
      if (!this.#packs.has(pack) || !this.#rebuilt) return
      if (this.#rebuilt.isFull) await this.#unlessDamaged(() => this.#endBatch())
      this.#rebuilt.enter({ ...row, pack })
      this.#known.add(new Uint8Array(row.digest))
    }
  }

  /** All rows of a pack are entered. */
  endPack(id: number): void {
    const pack = this.#packs.get(id)
    if (pack) this.#rebuilt?.endPack(pack)
  }

  /** All packs are read: nobody asks the damaged runs any more. */
  async finishRebuild(): Promise<void> {
    await this.#unlessDamaged(async () => {
      await this.#endBatch()
      await this.#compact(() => {
        if (!this.#trust.rebuildFinished()) return
        this.#former?.[Symbol.dispose]()
        this.#former = undefined
        this.#rebuilt = undefined
      })
    })
  }

  /** Rows of unsealed packs are not written: the next start reads these packs again. */
  async [Symbol.asyncDispose](): Promise<void> {
    // What scrub corrected and a full state folder does not take is corrected by the next scrub.
    await this.flush().catch(() => {})
    this.#former?.[Symbol.dispose]()
    await this.#stored[Symbol.asyncDispose]()
    if (this.isDistrusted) StoredRows.removeAt(this.#path)
  }

  /** Writes what was read of the packs so far. */
  async #endBatch(): Promise<void> {
    await this.#rebuilt?.write()
    await this.#flush.tidy()
  }

  /** Damage ends what is under way and not the caller: who makes the index anew sees that it is distrusted. */
  async #unlessDamaged(run: () => Promise<void>): Promise<void> {
    try {
      await run()
    } catch (error) {
      if (!this.#trust.distrustFor(error)) throw error
    }
  }

  /** Merges all runs, without rows of packs that are gone, and counts anew; gives how many rows went. */
  #compact(onCounted: () => void = () => {}): Promise<number> {
    const packs = new Set([...this.#packs.all()].map(({ id }) => id))
    return this.#stored.compact(packs, () => {
      this.#pending.rebase(this.#findStored)
      onCounted()
    })
  }

  #believed(location: Location | undefined): Location | undefined {
    return location && this.#packs.has(location.pack) && isPossible(location) ? location : undefined
  }

  /** What is on the disk of a slice. */
  readonly #findStored = (digest: Uint8Array): Location | undefined => {
    const found = this.#lookUp(digest)
    return found === 'removed' ? undefined : found
  }

  /** What the runs say of a slice; a damaged block says nothing, and that the index is damaged. */
  #lookUp(digest: Uint8Array): Location | 'removed' | undefined {
    if (this.#known.isCertainlyNew(digest)) return undefined
    try {
      return this.#stored.find(digest)
    } catch (error) {
      if (!this.#trust.distrustFor(error)) throw error
      return undefined
    }
  }

  /** Writes to the file of the index; a damaged one is given up at once. */
  #write(run: () => void): void {
    try {
      run()
    } catch (error) {
      if (!this.#trust.distrustFor(error)) throw error
      this.startRebuild()
      run()
    }
  }
}

function yieldToLoop(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}
