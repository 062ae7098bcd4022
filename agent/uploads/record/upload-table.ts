// The table of uploads in memory: unfinished ones and parts with their journals, published ones by id only.

import { join } from 'node:path'
import type { Disk } from '../../contract/disk.ts'
import type { Log } from '../../contract/runtime.ts'
import type { SliceRoot } from '../../contract/slices.ts'
import { errorCode } from '../../../protocol/errors.ts'
import { isId } from '../../../protocol/ids.ts'
import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import { Journal } from './journal.ts'
import { readEntries } from './journal-scan.ts'
import { packedLength, unpackEntries } from './journal-codec.ts'
import type { PackedEntries } from './journal-codec.ts'
import { journalPath, readUploadFile, removeUploadFolder } from './upload-file.ts'
import type { UploadFile } from './upload-file.ts'
import type { Upload } from './upload.ts'

/** Most ids of expired uploads that are remembered; requests for older ones get `not-found`. */
const EXPIRED_IDS_MAX = 10_000
/** Folders that are read at the same time while opening. */
const OPEN_AT_ONCE = 16

/** What is kept in memory about an upload that became an image. */
export type PublishedUpload = Pick<UploadFile, 'id' | 'imageId' | 'publishedAtMs' | 'creator' | 'createdAtMs'>

export interface UploadTableDeps {
  readonly disk: Disk
  readonly log: Log
  readonly random: (length: number) => Uint8Array
  /** The folder `uploads` of the mount path. */
  readonly folder: string
}

export class UploadTable {
  readonly #deps: UploadTableDeps
  readonly #live = new Map<string, Upload>()
  readonly #published = new Map<string, PublishedUpload>()
  readonly #expired = new Set<string>()
  /** Uploads whose folder is being removed: their journal may already be gone. */
  readonly #removing = new Set<string>()
  /** Uploads that could not be read: their slices are kept. Each request for one reads it again; a damaged upload.json waits for an operator. */
  readonly #unreadable = new Set<string>()
  /** Attempts to read one of them that are in progress. */
  readonly #attempts = new Map<string, Promise<void>>()

  private constructor(deps: UploadTableDeps) {
    this.#deps = deps
  }

  /** Reads all uploads of a store. Removes those that a crash left half created or half removed. */
  static async open(deps: UploadTableDeps): Promise<UploadTable> {
    const table = new UploadTable(deps)
    await deps.disk.makeFolder(deps.folder)
    const ids = (await deps.disk.list(deps.folder)).filter((name) => isId('upl', name)).toSorted()
    for (let at = 0; at < ids.length; at += OPEN_AT_ONCE) {
      await Promise.all(ids.slice(at, at + OPEN_AT_ONCE).map((id) => table.#read(id)))
    }
    return table
  }

  /** Uploads that are not images: unfinished ones and parts. */
  get live(): ReadonlyMap<string, Upload> {
    return this.#live
  }

  /** Records of uploads that became images. */
  get published(): ReadonlyMap<string, PublishedUpload> {
    return this.#published
  }

  /** Ids of uploads that could not be read so far. */
  get unreadable(): readonly string[] {
    return [...this.#unreadable]
  }

  wasExpired(id: string): boolean {
    return this.#expired.has(id)
  }

  /** Returns an upload, with its journal reloaded if it is broken; undefined when there is none. The caller holds the lock of the upload. */
  async find(id: string): Promise<Upload | undefined> {
    const upload = await this.peek(id)
    if (upload?.journal.isBroken) {
      await upload.journal.close()
      upload.journal = await this.#loadJournal(id)
    }
    return upload
  }

  /**
   * Returns an upload as it was last durable; undefined when there is none. Needs no lock: its journal stays as it is, because a journal is
   * broken, too, while an append is in progress.
   */
  async peek(id: string): Promise<Upload | undefined> {
    if (this.#unreadable.has(id)) await this.#readAgain(id)
    const upload = this.#live.get(id)
    if (upload) return upload
    if (!this.#published.has(id)) return undefined
    const { disk, folder } = this.#deps
    const file = await readUploadFile(disk, folder, id)
    return file && { file, journal: Journal.empty(this.#deps, journalPath(folder, id)) }
  }

  add(upload: Upload): void {
    this.#live.set(upload.file.id, upload)
  }

  /** Keeps the record of an upload that became an image. */
  publish({ id, imageId, publishedAtMs, creator, createdAtMs }: PublishedUpload): void {
    this.#live.delete(id)
    this.#published.set(id, { id, imageId, publishedAtMs, creator, createdAtMs })
  }

  /** Removes an upload and everything it holds; durable when it resolves. */
  async remove({ id }: Pick<UploadFile, 'id'>): Promise<void> {
    await this.#live.get(id)?.journal.close()
    this.#removing.add(id)
    try {
      await removeUploadFolder(this.#deps.disk, this.#deps.folder, id)
    } finally {
      this.#removing.delete(id)
    }
    this.#live.delete(id)
    this.#published.delete(id)
  }

  /**
   * Moves the folder of an upload that cannot be read to another path, durably; the slices that it names are no longer kept. Returns false if the
   * upload can be read by now. Throws disk errors. The caller holds the lock of the upload.
   */
  async moveUnreadable(id: string, path: string): Promise<boolean> {
    if (!this.#unreadable.has(id)) return false
    await this.#readAgain(id)
    if (!this.#unreadable.has(id)) return false
    await this.#deps.disk.rename(join(this.#deps.folder, id), path)
    this.#unreadable.delete(id)
    return true
  }

  rememberExpired(id: string): void {
    this.#expired.add(id)
    const [oldest] = this.#expired
    if (this.#expired.size > EXPIRED_IDS_MAX && oldest !== undefined) this.#expired.delete(oldest)
  }

  async #loadJournal(id: string): Promise<Journal> {
    const journal = await Journal.load(this.#deps, journalPath(this.#deps.folder, id))
    if (journal.droppedBytes > 0)
      this.#deps.log.warn('journal cut at its last whole record', { upload: id, droppedBytes: journal.droppedBytes, offset: journal.offset })
    return journal
  }

  /** Returns the durable entries of an upload's journal, in blocks of one record. */
  entries(id: string): AsyncIterable<PackedEntries> {
    return readEntries(this.#deps.disk, journalPath(this.#deps.folder, id))
  }

  /** Returns everything here that keeps slices alive. */
  *roots(): Generator<SliceRoot> {
    for (const id of [...this.#live.keys(), ...this.#unreadable]) yield { name: `upload ${id}`, entries: () => this.#entriesOf(id) }
  }

  /** Throws when the journal holds less than was committed: then gc must not collect anything. */
  async *#entriesOf(id: string): AsyncGenerator<ManifestEntry> {
    const coveredMin = this.#live.get(id)?.journal.covered ?? 0
    let covered = 0
    for await (const packed of this.entries(id)) {
      covered += packedLength(packed)
      yield* unpackEntries(packed)
    }
    // A journal that was removed while it was read belongs to an upload that is now an image or deleted.
    if (covered < coveredMin && this.#live.has(id) && !this.#removing.has(id)) throw new Error(`the journal of ${id} covers ${covered} of ${coveredMin} bytes`)
  }

  /** Reads an upload from its folder into the table. */
  async #load(id: string): Promise<void> {
    const { disk, folder } = this.#deps
    const file = await readUploadFile(disk, folder, id)
    if (!file || file.id !== id) {
      await removeUploadFolder(disk, folder, id)
      return
    }
    if (file.publishedAtMs !== null) {
      await disk.remove(journalPath(folder, id))
      this.publish(file)
      return
    }
    const journal = await this.#loadJournal(id)
    this.#live.set(id, { file, journal })
  }

  async #read(id: string): Promise<void> {
    try {
      await this.#load(id)
    } catch (error) {
      this.#unreadable.add(id)
      this.#deps.log.error('upload cannot be read; its slices are kept', { upload: id, error })
    }
  }

  /**
   * Reads an upload that could not be read before; requests at the same time share one attempt. Throws the disk's error when it still cannot be
   * read: the client must not take the upload for absent.
   */
  async #readAgain(id: string): Promise<void> {
    const attempt = this.#attempts.get(id) ?? this.#load(id).finally(() => this.#attempts.delete(id))
    this.#attempts.set(id, attempt)
    try {
      await attempt
      this.#unreadable.delete(id)
    } catch (error) {
      if (errorCode(error) !== undefined) throw error
    }
  }
}
