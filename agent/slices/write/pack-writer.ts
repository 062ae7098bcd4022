// Pack writer: appends records to the one open pack of the store, makes them durable for many callers with one fsync, and seals the pack
// when it is full. After a failed write, nothing that was not synced counts as stored.

import { dirname, join } from 'node:path'
import type { DiskFile } from '../../contract/disk.ts'
import { createInOrder } from '../../contract/in-order.ts'
import type { CrashPoint } from '../../contract/runtime.ts'
import { StoreWriteFailed } from '../../contract/slices.ts'
import { writePackFooter } from '../packs/pack-footer.ts'
import type { PackName, PackRow } from '../packs/pack-format.ts'
import { encodePackHeader, PACK_HEADER_BYTES, packPath } from '../packs/pack-format.ts'
import { PACK_SEAL_RECORDS } from '../packs/parameters.ts'
import { sealPack } from './seal-packs.ts'
import type { SealDeps, UnsealedPack } from './seal-packs.ts'

export interface PackWriterDeps extends SealDeps {
  readonly crashPoint: CrashPoint
  /** Returns the name of a new pack, 32 random hex digits. */
  readonly newName: () => PackName
  /** Length at which a pack is sealed. */
  readonly sealBytes: number
}

/** Where appended rows were written. */
export interface PlacedRows {
  readonly pack: number
  readonly rows: readonly PackRow[]
  /** Bytes written in addition to the records: the header of a new pack, the footer of a sealed one. */
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
  /** The last fsync that was started; the file is not closed before it ends. */
  syncing: Promise<void>
}

/** Owns the open pack. */
export class PackWriter implements AsyncDisposable {
  readonly #deps: PackWriterDeps
  #pack: OpenPack | undefined
  /** Appends and seals run one after the other. */
  readonly #steps = createInOrder()
  #syncing: Promise<void> | undefined
  #syncNext: Promise<void> | undefined
  /** Incremented by every failure: what was appended under an older number and not synced is lost. */
  #generation = 0
  #cause: unknown
  /** Packs that can no longer be written and are not sealed yet, by number. */
  readonly #abandoned = new Map<number, UnsealedPack>()

  constructor(deps: PackWriterDeps) {
    this.#deps = deps
  }

  /** Number of failures so far. A caller remembers it when it starts to append; when it has changed, unsynced appends are lost. */
  get generation(): number {
    return this.#generation
  }

  /** Number of the open pack, which gc does not touch. */
  get openPackId(): number | undefined {
    return this.#pack?.id
  }

  /** Length of the open pack in bytes; 0 when none is open. */
  get openPackBytes(): number {
    return this.#pack?.length ?? 0
  }

  /** Throws StoreWriteFailed when the writer has failed since that generation. */
  check(generation: number): void {
    if (generation !== this.#generation) throw new StoreWriteFailed('the store could not write its slices', { cause: this.#cause })
  }

  /** Opens a pack that an earlier run left unsealed and continues it. Its torn tail must have been cut. A pack that cannot be opened is abandoned. */
  async resume(pack: UnsealedPack): Promise<void> {
    let file: DiskFile
    try {
      file = await this.#deps.disk.openWrite(join(this.#deps.folder, packPath(pack.name)), 'existing')
    } catch (error) {
      this.#deps.log.warn('an unsealed pack cannot be resumed', { pack: pack.name, error })
      this.abandon(pack)
      return
    }
    this.#pack = { ...pack, file, syncedLength: pack.length, syncedRows: pack.rows.length, syncing: Promise.resolve() }
  }

  /** Registers a pack for `sealAbandoned`. */
  abandon(pack: UnsealedPack): void {
    this.#abandoned.set(pack.id, pack)
  }

  /**
   * Appends records; the offsets of the rows count from the first byte appended. With `index`, the slices can be found at once, although they
   * are durable only after `sync`. Without it, the caller indexes them after `sync`, as moving a slice requires. Throws StoreWriteFailed.
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
      // When two transfers bring the same slice, the first record stays indexed: it may be durable and acknowledged already.
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

  /** Makes everything appended before the call durable. Callers that overlap share one fsync. Throws StoreWriteFailed. */
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

  /** Syncs and closes the open pack without sealing it, so that gc may remove it. Needs no disk space. */
  retire(): Promise<void> {
    return this.#inOrder(async () => {
      const pack = this.#pack
      if (!pack) return
      await pack.syncing
      if (pack.syncedLength < pack.length) await pack.file.sync()
      this.#pack = undefined
      // If gc fails to remove it, it is sealed later like a pack that could not be written.
      this.abandon({ id: pack.id, name: pack.name, length: pack.length, rows: pack.rows })
      await pack.file.close()
    })
  }

  /**
   * Seals abandoned packs at their durable length: bytes after it may be in the page cache only, which no fsync would report. Packs that cannot
   * be sealed stay abandoned. Returns the bytes written.
   */
  async sealAbandoned(): Promise<number> {
    let added = 0
    for (const pack of [...this.#abandoned.values()]) {
      const footerBytes = this.#deps.index.pack(pack.id) ? await sealPack(this.#deps, pack) : 0
      if (footerBytes === undefined) continue
      added += footerBytes
      this.#abandoned.delete(pack.id)
    }
    if (added > 0) await this.#flushIndex()
    return added
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sync().catch(() => {})
    const pack = this.#pack
    this.#pack = undefined
    // Everything acknowledged is synced, so a failed close loses nothing.
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

  /** Syncs what was appended so far. Only the start of the fsync is a step in order; appends continue while the disk works. */
  async #syncAppended(): Promise<void> {
    const started = await this.#inOrder(async () => {
      const pack = this.#pack
      if (!pack || pack.syncedLength === pack.length) return undefined
      const { length, rows } = pack
      pack.syncing = pack.file.sync()
      // Whatever seals or closes the pack waits for this promise too; the failure is reported below.
      pack.syncing.catch(() => {})
      return { pack, length, rows: rows.length, done: pack.syncing }
    })
    if (!started) return
    const { pack } = started
    try {
      await started.done
    } catch (error) {
      await this.#inOrder(async () => {
        if (this.#pack === pack) throw error
      })
      return
    }
    pack.syncedLength = Math.max(pack.syncedLength, started.length)
    pack.syncedRows = Math.max(pack.syncedRows, started.rows)
    this.#deps.crashPoint('packs:synced')
  }

  /** Runs a step after all earlier ones. An error in it abandons the open pack before the next step starts. */
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
      // An empty pack that stays is removed at the next start.
      await disk.remove(path).catch(() => {})
      throw error
    }
  }

  /** Seals and closes the open pack; returns the bytes of its footer. */
  async #seal(pack: OpenPack): Promise<number> {
    await pack.syncing
    const length = await writePackFooter(pack.file, pack.rows, pack.length)
    this.#deps.crashPoint('packs:sealed')
    this.#pack = undefined
    this.#deps.index.sealPack(pack.id, length)
    await pack.file.close()
    void this.#flushIndex()
    return length - pack.length
  }

  /** Writes the rows of sealed packs to the index. Never rejects. */
  async #flushIndex(): Promise<void> {
    try {
      await this.#deps.index.flush()
    } catch (error) {
      // A full state folder does not stop the store: the rows stay in memory, and in the packs.
      this.#deps.log.error('the index database could not be written; its rows wait in memory', { error })
    }
  }

  /**
   * Abandons the open pack after an error. The kernel may have dropped dirty pages, and a later fsync would not report that. So the pack is cut
   * back to what was synced and never appended to again, and the index forgets the slices after that.
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
