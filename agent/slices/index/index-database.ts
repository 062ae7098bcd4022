// Index database: the location of each slice. It is kept on the node and derived from the packs, so it can be deleted, and it can be
// rebuilt while in use. Rows of a pack stay in memory until the pack is sealed and are then written as one sorted run. An unsealed pack is
// read again at the next start, so the index never names a record that was not durable. Other parts use it through its roles in
// index-roles.ts, where every public member is described.

import { AbsentSlices } from './absent-slices.ts'
import type { Filter } from './filter.ts'
import { FormerIndex } from './former-index.ts'
import type { CorrectableIndex, IndexMaintenance, IndexRecovery } from './index-roles.ts'
import { IndexTrust } from './index-trust.ts'
import type { IndexWatcher } from './index-trust.ts'
import { KnownPacks } from './known-packs.ts'
import { KnownSlices } from './known-slices.ts'
import type { PackName, PackRow } from '../packs/pack-format.ts'
import { PendingRows } from './pending-rows.ts'
import { RebuiltRows } from './rebuilt-rows.ts'
import { RowFlush } from './row-flush.ts'
import { REMOVED } from './run-format.ts'
import { isPossible } from '../packs/slice-row.ts'
import type { Location, PackEntry, SliceRow } from '../packs/slice-row.ts'
import { StoredRows } from './stored-rows.ts'

/** Rows read at a time in a walk over all slices. */
const WALK_ROWS = 4096
/** Waiting rows from which a flush is due, also when no pack is sealed. */
const FLUSH_ROWS = 64 * 1024
/** Rows that may wait in memory; more means that the index cannot be written. */
const PENDING_ROWS_MAX = 512 * 1024

/** Owns the files of the index. */
export class IndexDatabase implements CorrectableIndex, IndexRecovery, IndexMaintenance, AsyncDisposable {
  readonly #path: string
  readonly #stored: StoredRows
  readonly #packs: KnownPacks
  #lastPackId: number
  readonly #pending = new PendingRows()
  readonly #known: KnownSlices
  readonly #flush: RowFlush
  readonly #trust = new IndexTrust()
  readonly #absent = new AbsentSlices()
  /** During a rebuild: the damaged runs, and the rows read from the packs. */
  #former: FormerIndex | undefined
  #rebuilt: RebuiltRows | undefined

  private constructor(path: string, stored: StoredRows, pause: () => Promise<void>) {
    this.#path = path
    this.#stored = stored
    this.#packs = new KnownPacks(stored.packs)
    this.#lastPackId = [...stored.packs].reduce((last, { id }) => Math.max(last, id), stored.counts.lastPack)
    this.#known = new KnownSlices(stored.counts.rows)
    this.#flush = new RowFlush({ pending: this.#pending, packs: this.#packs, stored, trust: this.#trust, pause })
  }

  /** Opens or creates the index. Throws IndexUnusable or SQLite's error when it is damaged: the caller then deletes and rebuilds it. */
  static open(path: string, pause: () => Promise<void> = yieldToLoop): IndexDatabase {
    return new IndexDatabase(path, StoredRows.open(path, pause), pause)
  }

  /** The filter of slices that may be stored. */
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

  find(digest: Uint8Array): Location | undefined {
    const pending = this.#pending.get(digest)
    if (pending?.pack === REMOVED) return undefined
    const known = pending ?? this.#lookUp(digest)
    return known === 'removed' ? undefined : (this.#believed(known) ?? this.#believed(this.#former?.find(digest)))
  }

  add(pack: number, rows: Iterable<PackRow>): void {
    for (const { digest: view, offset, length, storedLength } of rows) {
      const digest = new Uint8Array(view)
      this.#pending.set({ digest, pack, offset, length, storedLength }, this.#findStored)
      this.#known.add(digest)
      this.#absent.delete(digest)
    }
  }

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

  get isOverfull(): boolean {
    return this.#pending.size >= PENDING_ROWS_MAX
  }

  get isFlushDue(): boolean {
    return this.#pending.size >= FLUSH_ROWS
  }

  flush(): Promise<void> {
    return this.#flush.run()
  }

  makeDurable(): void {
    this.#stored.makeDurable()
  }

  addPack(name: PackName): PackEntry {
    const id = this.#packs.idOf(name) ?? ++this.#lastPackId
    this.#write(() => this.#stored.addPack(id, name))
    return this.#packs.set({ id, name, length: 0, sealed: false })
  }

  sealPack(id: number, length: number): void {
    const entry = this.#packs.get(id)
    if (!entry) return
    this.#packs.set({ ...entry, length, sealed: true })
    this.#flush.seal(id)
  }

  removePack(id: number): void {
    this.#write(() => this.#stored.removePack(id))
    this.#packs.delete(id)
    this.#flush.forget(id)
    this.#rebuilt?.forgetPack(id)
    this.#pending.removePack(id)
  }

  async removeOrphans(): Promise<number> {
    await this.flush()
    const replaced = this.#pending.all().filter(({ beneath }) => beneath && !this.#packs.has(beneath.pack)).length
    return (await this.#compact()) - replaced
  }

  walk(after: Uint8Array | undefined): { rows: SliceRow[]; last: Uint8Array | undefined } {
    const { rows, last } = this.#stored.rowsAfter(after, WALK_ROWS)
    return { rows: rows.filter(({ digest }) => !this.#pending.get(digest)), last }
  }

  waiting(): SliceRow[] {
    return this.#pending.all()
  }

  get isFilterWorn(): boolean {
    return this.#known.isWorn
  }

  async rebuildFilter(signal?: AbortSignal): Promise<void> {
    try {
      const waiting = this.#pending.all().map(({ digest }) => digest)
      await this.#known.rebuild(this.sliceCount, waiting, ({ buffer, capacity }) => this.#stored.fillFilter(buffer, capacity, signal))
    } catch (error) {
      this.#trust.distrustFor(error)
      throw error
    }
  }

  /** Verifies the files completely; returns the first fault, or undefined. */
  check(): Promise<string | undefined> {
    return this.#stored.check()
  }

  noteAbsent(digest: Uint8Array): void {
    this.#absent.add(digest)
  }

  isKnownAbsent(digest: Uint8Array): boolean {
    return this.#absent.has(digest)
  }

  distrust(reason: string): void {
    if (!this.isIncomplete) this.#trust.distrust(reason)
  }

  watch(watcher: IndexWatcher): void {
    this.#trust.watch(watcher)
  }

  get damage(): string | undefined {
    return this.#trust.damage
  }

  get isDistrusted(): boolean {
    return this.#trust.isDistrusted
  }

  get isIncomplete(): boolean {
    return this.#trust.damage !== undefined
  }

  unreadPacks(): PackEntry[] {
    return this.#rebuilt?.unread().flatMap((id) => this.#packs.get(id) ?? []) ?? []
  }

  startRebuild(): void {
    const totals = { rows: this.sliceCount, bytes: this.storedBytes }
    const runs = this.#stored.startRebuild(this.#packs.all(), this.#lastPackId)
    this.#former?.[Symbol.dispose]()
    this.#former = new FormerIndex(runs, totals)
    this.#pending.liftAll()
    // All sealed packs, including those whose flush is in progress: some of their rows have left memory for runs that are replaced now.
    const sealed = [...this.#packs.all()].filter((pack) => pack.sealed).map(({ id }) => id)
    this.#flush.forget()
    this.#rebuilt = new RebuiltRows(this.#stored, sealed)
    this.#trust.rebuildStarted()
  }

  async enter(pack: number, rows: readonly PackRow[]): Promise<void> {
    for (const row of rows) {
      if (!this.#packs.has(pack) || !this.#rebuilt) return
      if (this.#rebuilt.isFull) await this.#unlessDamaged(() => this.#endBatch())
      this.#rebuilt.enter({ ...row, pack })
      this.#known.add(new Uint8Array(row.digest))
    }
  }

  endPack(id: number): void {
    const pack = this.#packs.get(id)
    if (pack) this.#rebuilt?.endPack(pack)
  }

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

  /** Flushes and closes the files. Rows of unsealed packs are not written: the next start reads these packs again. */
  async [Symbol.asyncDispose](): Promise<void> {
    // A correction that a full state folder refuses is made again by the next scrub.
    await this.flush().catch(() => {})
    this.#former?.[Symbol.dispose]()
    await this.#stored[Symbol.asyncDispose]()
    if (this.isDistrusted) StoredRows.removeAt(this.#path)
  }

  /** Writes the rows read from the packs so far. */
  async #endBatch(): Promise<void> {
    await this.#rebuilt?.write()
    await this.#flush.tidy()
  }

  /** Runs a step of the rebuild. Damage ends the step without an error: the caller sees that the index is distrusted. */
  async #unlessDamaged(run: () => Promise<void>): Promise<void> {
    try {
      await run()
    } catch (error) {
      if (!this.#trust.distrustFor(error)) throw error
    }
  }

  /** Merges all runs without the rows of packs that are gone, and recounts; returns how many rows were dropped. */
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

  /** Returns the location that is on disk for a slice. */
  readonly #findStored = (digest: Uint8Array): Location | undefined => {
    const found = this.#lookUp(digest)
    return found === 'removed' ? undefined : found
  }

  /** Looks a slice up in the runs. A damaged block yields no row and marks the index as damaged. */
  #lookUp(digest: Uint8Array): Location | 'removed' | undefined {
    if (this.#known.isCertainlyNew(digest)) return undefined
    try {
      return this.#stored.find(digest)
    } catch (error) {
      if (!this.#trust.distrustFor(error)) throw error
      return undefined
    }
  }

  /** Writes to the file of the index. When the file is damaged, starts a rebuild at once and writes to the new file. */
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
