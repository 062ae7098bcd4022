// Pack writer: appends records to the one open pack of the store, makes them durable for many writers by one fsync, and
// seals the pack when it is full. After any failed write nothing that was not synced counts as stored.

import { dirname, join } from 'node:path'
import type { Disk, DiskFile } from '../../contract/disk.ts'
import type { CrashPoint, Log } from '../../contract/runtime.ts'
import { createInOrder } from '../../contract/in-order.ts'
import { StoreWriteFailed } from '../../contract/slices.ts'
import type { SliceIndex } from '../index/index-roles.ts'
import { writePackFooter } from '../packs/pack-footer.ts'
import type { PackName, PackRow } from '../packs/pack-format.ts'
import { encodePackHeader, PACK_HEADER_BYTES, packPath } from '../packs/pack-format.ts'
import { PACK_SEAL_RECORDS } from '../packs/parameters.ts'

export interface PackWriterDeps {
  readonly disk: Disk
  /** The `packs` folder. */
  readonly folder: string
  readonly index: SliceIndex
  readonly crashPoint: CrashPoint
  readonly log: Log
  /** A new pack's name, 32 random hex digits. */
  readonly newName: () => PackName
  /** A pack is sealed when it has grown to this. */
  readonly sealBytes: number
}

/** Where appended rows came to lie. */
export interface PlacedRows {
  readonly pack: number
  readonly rows: readonly PackRow[]
  /** Bytes written beside the records: header of a new pack, footer of a sealed one. */
  readonly frameBytes: number
}

interface OpenPack {
  readonly id: number
  readonly name: PackName
  readonly file: DiskFile
  readonly rows: PackRow[]
  length: number
  syncedLength: number
  syncedRows: number
  /** The last fsync that was begun; the file is not closed before it ends. */
  syncing: Promise<void>
}

/** A pack that was found unsealed at start and can be written on. */
export interface UnsealedPack {
  readonly id: number
  readonly name: PackName
  readonly length: number
  readonly rows: PackRow[]
}

export class PackWriter implements AsyncDisposable {
  readonly #deps: PackWriterDeps
  #pack: OpenPack | undefined
  /** Appends and seals run one after the other. */
  readonly #steps = createInOrder()
  #syncing: Promise<void> | undefined
  #syncNext: Promise<void> | undefined
  /** Rises with every failure: what was appended under an older number and not synced is gone. */
  #generation = 0
  #cause: unknown
  /** Packs that a failed write left behind, with what of them is durable. */
  readonly #abandoned = new Map<number, UnsealedPack>()

  constructor(deps: PackWriterDeps) {
    this.#deps = deps
  }

  /** Whoever appended remembers this, and has lost what it had not synced when the number has changed. */
  get generation(): number {
    return this.#generation
  }

  /** Pack number that is being written, which gc leaves alone. */
  get openPackId(): number | undefined {
    return this.#pack?.id
  }

  /** Bytes of the pack that is being written. */
  get openPackBytes(): number {
    return this.#pack?.length ?? 0
  }

  /** Throws StoreWriteFailed when the writer failed since that generation. */
  check(generation: number): void {
    if (generation !== this.#generation) throw new StoreWriteFailed('the store could not write its slices', { cause: this.#cause })
  }

  /** Goes on writing a pack that a former run left unsealed; its torn tail must be cut already. */
  async resume(pack: UnsealedPack): Promise<void> {
    let file: DiskFile
    try {
      file = await this.#deps.disk.openWrite(join(this.#deps.folder, packPath(pack.name)), 'existing')
    } catch (error) {
      this.#deps.log.warn('an unsealed pack cannot be written on', { pack: pack.name, error })
      this.abandon(pack)
      return
    }
    this.#pack = { ...pack, file, syncedLength: pack.length, syncedRows: pack.rows.length, syncing: Promise.resolve() }
  }

  /** Takes over a pack that is durable as far as this says, to seal it when that can be done. */
  abandon(pack: UnsealedPack): void {
    this.#abandoned.set(pack.id, pack)
  }

  /**
   * Appends records; rows count their offsets from the first byte appended. With `index` their slices can be found at once,
   * though they are durable only after `sync`; without, the caller enters them when they are, which is what moving a slice needs.
   */
  append(parts: readonly Uint8Array[], rows: readonly PackRow[], options: { index: boolean } = { index: true }): Promise<PlacedRows> {
    return this.#inOrder(async () => {
      if (this.#deps.index.isOverfull) throw new Error('the index database cannot be written, and too many of its rows wait in memory')
      let frameBytes = this.#pack ? 0 : PACK_HEADER_BYTES
      const pack = this.#pack ?? (await this.#create())
      const base = pack.length
      await pack.file.write(parts, base)
      for (const part of parts) pack.length += part.byteLength
      const placed = rows.map((row) => ({ ...row, offset: base + row.offset }))
      pack.rows.push(...placed)
      // Of two transfers that bring the same slice the first one's record counts: it may be durable and promised already.
      if (options.index)
        this.#deps.index.add(
          pack.id,
          placed.filter((row) => !this.#deps.index.find(row.digest)),
        )
      this.#deps.crashPoint('packs:appended')
      if (pack.length >= this.#deps.sealBytes || pack.rows.length >= PACK_SEAL_RECORDS) frameBytes += await this.#seal(pack)
      return { pack: pack.id, rows: placed, frameBytes }
    })
  }

  /** Everything appended before the call is on stable storage when it resolves. Many callers share one fsync. */
  async sync(): Promise<void> {
    const generation = this.#generation
    if (this.#syncing) {
      this.#syncNext ??= this.#syncing.catch(() => {}).then(() => this.#startSync())
      await this.#syncNext
    } else {
      await this.#startSync()
    }
    this.check(generation)
  }

  /** Writes no more to the open pack, so that gc may take it; what was appended is durable. Needs no space on the disk. */
  retire(): Promise<void> {
    return this.#inOrder(async () => {
      const pack = this.#pack
      if (!pack) return
      await pack.syncing
      if (pack.syncedLength < pack.length) await pack.file.sync()
      this.#pack = undefined
      // Whoever takes it away may fail; then it is sealed like one that could not be written on.
      this.abandon({ id: pack.id, name: pack.name, length: pack.length, rows: pack.rows })
      await pack.file.close()
    })
  }

  /**
   * Seals the packs that failed writes left behind, as far as they are durable; what follows in them may be in the page cache only, and no
   * fsync would tell. Gives the bytes that took.
   */
  async sealAbandoned(): Promise<number> {
    let added = 0
    for (const pack of [...this.#abandoned.values()]) {
      try {
        if (!this.#deps.index.pack(pack.id)) {
          this.#abandoned.delete(pack.id)
          continue
        }
        await using file = await this.#deps.disk.openWrite(join(this.#deps.folder, packPath(pack.name)), 'existing')
        await file.truncate(pack.length)
        const length = await writePackFooter(file, pack.rows, pack.length)
        this.#deps.index.sealPack(pack.id, length)
        added += length - pack.length
      } catch (error) {
        // On a full disk it is read as it is; the next gc or start tries again.
        this.#deps.log.warn('an unsealed pack could not be sealed', { pack: pack.name, error })
        continue
      }
      this.#abandoned.delete(pack.id)
    }
    if (added > 0) await this.#drainIndex()
    return added
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sync().catch(() => {})
    const pack = this.#pack
    this.#pack = undefined
    // What was acknowledged is synced; closing has nothing left to lose.
    await pack?.file.close().catch(() => {})
  }

  #startSync(): Promise<void> {
    this.#syncNext = undefined
    const run = this.#syncAppended()
    this.#syncing = run
    const clear = (): void => {
      if (this.#syncing === run) this.#syncing = undefined
    }
    run.then(clear, clear)
    return run
  }

  /** Waits for its turn only to see how far the pack was written; appends go on while the disk works. */
  async #syncAppended(): Promise<void> {
    const mark = await this.#inOrder(async () => {
      const pack = this.#pack
      if (!pack || pack.syncedLength === pack.length) return undefined
      const { length, rows } = pack
      pack.syncing = pack.file.sync()
      // Who seals or closes the pack waits for it too; the failure is told here.
      pack.syncing.catch(() => {})
      return { pack, length, rows: rows.length, done: pack.syncing }
    })
    if (!mark) return
    const { pack } = mark
    try {
      await mark.done
    } catch (error) {
      await this.#inOrder(async () => {
        if (this.#pack === pack) throw error
      })
      return
    }
    pack.syncedLength = Math.max(pack.syncedLength, mark.length)
    pack.syncedRows = Math.max(pack.syncedRows, mark.rows)
    this.#deps.crashPoint('packs:synced')
  }

  /** Runs a step after all earlier ones. Any error abandons the open pack before the next step runs. */
  #inOrder<Result>(step: () => Promise<Result>): Promise<Result> {
    return this.#steps.run(async () => {
      try {
        return await step()
      } catch (error) {
        await this.#fail(error)
        throw new StoreWriteFailed('the store could not write its slices', { cause: error })
      }
    })
  }

  async #create(): Promise<OpenPack> {
    const { disk, folder, index, newName } = this.#deps
    const name = newName()
    const path = join(folder, packPath(name))
    await disk.makeFolder(dirname(path))
    const file = await disk.openWrite(path, 'create')
    try {
      await file.write([encodePackHeader()], 0)
      await file.sync()
      await disk.syncFolder(dirname(path))
      const { id } = index.addPack(name)
      this.#deps.crashPoint('packs:created')
      this.#pack = { id, name, file, rows: [], length: PACK_HEADER_BYTES, syncedLength: PACK_HEADER_BYTES, syncedRows: 0, syncing: Promise.resolve() }
      return this.#pack
    } catch (error) {
      await file.close().catch(() => {})
      // An empty pack left behind is removed at the next start.
      await disk.remove(path).catch(() => {})
      throw error
    }
  }

  /** Gives the bytes that the footer took. */
  async #seal(pack: OpenPack): Promise<number> {
    await pack.syncing
    const length = await writePackFooter(pack.file, pack.rows, pack.length)
    this.#deps.crashPoint('packs:sealed')
    this.#pack = undefined
    this.#deps.index.sealPack(pack.id, length)
    await pack.file.close()
    void this.#drainIndex()
    return length - pack.length
  }

  /** Brings the rows of sealed packs to the disk; nothing waits for it. */
  async #drainIndex(): Promise<void> {
    try {
      await this.#deps.index.flush()
    } catch (error) {
      // A state folder that is full does not stop the store: the rows stay in memory, and in the packs.
      this.#deps.log.error('the index database could not be written; its rows wait in memory', { error })
    }
  }

  /**
   * After an error the kernel may have dropped dirty pages (a later fsync would lie), so the pack is cut back to what was
   * synced and never written again; the slices after that are forgotten everywhere.
   */
  async #fail(error: unknown): Promise<void> {
    this.#generation++
    this.#cause = error
    const pack = this.#pack
    this.#pack = undefined
    if (!pack) return
    this.#deps.index.removeAll(pack.rows.slice(pack.syncedRows).map((row) => ({ ...row, pack: pack.id })))
    // What cannot be undone now is cut or indexed at the next start; nothing refers to it.
    await pack.syncing.catch(() => {})
    await pack.file.truncate(pack.syncedLength).catch(() => {})
    await pack.file.close().catch(() => {})
    if (pack.syncedRows > 0) {
      this.abandon({ id: pack.id, name: pack.name, length: pack.syncedLength, rows: pack.rows.slice(0, pack.syncedRows) })
      return
    }
    try {
      this.#deps.index.removePack(pack.id)
      await this.#deps.disk.remove(join(this.#deps.folder, packPath(pack.name)))
    } catch {
      // A pack without records is removed at the next start.
    }
  }
}
