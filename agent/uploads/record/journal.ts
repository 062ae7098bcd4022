// The journal of one upload: what the upload durably holds. An append counts once it is fsynced. Loading reads records up to the first
// invalid one and truncates the file there.

import { dirname } from 'node:path'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import type { Disk, DiskFile } from '../../contract/disk.ts'
import { encodeJournalHeader, ENTRY_BYTES, joinEntries, JOURNAL_HEADER_BYTES, packedLength, RECORD_ENTRIES_MAX } from './journal-codec.ts'
import type { PackedEntries } from './journal-codec.ts'
import { readEntries, readStart, scanRecords } from './journal-scan.ts'
import type { Position } from './journal-scan.ts'
import { JournalState } from './journal-state.ts'
import type { JournalAppend } from './journal-state.ts'

/** Superseded bytes that a journal may have, besides as many as are live, before it is compacted. */
export const COMPACT_SLACK_BYTES = 4 * 1024 * 1024
const NO_BYTES = new Uint8Array(0)
const NO_FILE: Position = { at: 0, check: 0n }
/** A compacted journal while it is written, next to the one in force. */
const NEXT_SUFFIX = '.next'

export interface JournalDeps {
  readonly disk: Disk
  /** Returns 8 random bytes for the chain of checks of a new journal. */
  readonly random: (length: number) => Uint8Array
}

/**
 * One writer at a time. After a failed append the object is unusable (`isBroken`): load the journal again, which finds what is durable.
 * The first append creates the file.
 */
export class Journal {
  readonly #deps: JournalDeps
  readonly #path: string
  #file: DiskFile | undefined
  #state = new JournalState(NO_FILE)
  #broken = false
  #droppedBytes = 0

  private constructor(deps: JournalDeps, path: string) {
    this.#deps = deps
    this.#path = path
  }

  /** Returns the journal of an upload that has no bytes yet. */
  static empty(deps: JournalDeps, path: string): Journal {
    return new Journal(deps, path)
  }

  /** Reads a journal, truncates a torn end and syncs the rest. Without a file the journal is empty. */
  static async load(deps: JournalDeps, path: string): Promise<Journal> {
    await deps.disk.remove(path + NEXT_SUFFIX)
    const journal = new Journal(deps, path)
    const stat = await deps.disk.stat(path)
    if (!stat) return journal
    const file = await deps.disk.openWrite(path, 'existing')
    try {
      const start = await readStart(file)
      if (!start) {
        journal.#droppedBytes = stat.length
        await deps.disk.remove(path)
        return journal
      }
      const state = new JournalState(start)
      for await (const scanned of scanRecords(file, start)) state.apply(scanned)
      if (state.end.at < stat.length) await file.truncate(state.end.at)
      // A record may be complete and yet only in the page cache, written by a process that died: it counts once it is durable.
      await file.sync()
      // The same holds for its name: an append may have failed after the file was created and before its folder was synced.
      await deps.disk.syncFolder(dirname(path))
      journal.#state = state
      journal.#droppedBytes = stat.length - state.end.at
      return journal
    } finally {
      await file.close()
    }
  }

  /** Bytes of the upload that are durable. */
  get offset(): number {
    return this.#state.offset
  }

  /** Bytes that entries cover; the tail begins there. */
  get covered(): number {
    return this.#state.covered
  }

  get tailLength(): number {
    return this.#state.tailLength
  }

  get entryCount(): number {
    return this.#state.entryCount
  }

  /** Time of the last append, 0 before the first. */
  get timeMs(): number {
    return this.#state.timeMs
  }

  /** Time of the last append that brought bytes, 0 before the first. */
  get bytesTimeMs(): number {
    return this.#state.bytesTimeMs
  }

  /** Bytes that loading truncated: a torn append, or damage. */
  get droppedBytes(): number {
    return this.#droppedBytes
  }

  get isBroken(): boolean {
    return this.#broken
  }

  /** Length of the file in bytes. */
  get length(): number {
    return this.#state.end.at
  }

  /** Commits entries, tail and the offset they lead to, all or nothing; durable when it resolves. */
  async append(append: JournalAppend): Promise<void> {
    const isFirst = this.#state.end.at === 0
    this.#broken = true
    const file = await this.#open()
    const state = this.#state
    const records = [...state.encode(append)]
    try {
      await file.write(
        records.map(({ bytes }) => bytes),
        state.end.at,
      )
      await file.sync()
      // The folder entry is synced only now that the file has content.
      if (isFirst) await this.#deps.disk.syncFolder(dirname(this.#path))
    } catch (error) {
      // After a failed sync the kernel may have dropped the pages, and a later sync succeeds without writing them: what was not synced must
      // not be read again. If this fails, too, the next append or start meets the same disk.
      await file.truncate(isFirst ? 0 : state.end.at).catch(() => {})
      throw error
    }
    for (const record of records) state.apply(record)
    this.#broken = false
    if (state.end.at > COMPACT_SLACK_BYTES + 2 * state.liveBytes) await this.#compact(append)
  }

  /** Returns the bytes after the last entry, read back and verified. */
  async readTail(): Promise<Uint8Array> {
    const { tailLength, tailFrom } = this.#state
    const tail = new Uint8Array(tailLength)
    if (tailLength === 0) return tail
    const file = await this.#deps.disk.openRead(this.#path)
    try {
      let filled = 0
      for await (const { record } of scanRecords(file, tailFrom)) {
        tail.set(record.tail, filled)
        filled += record.tail.byteLength
      }
      if (filled !== tailLength) throw damaged(`its tail has ${filled} of ${tailLength} bytes`)
      return tail
    } finally {
      await file.close()
    }
  }

  /** Returns all entries, read back and verified, in blocks of one record. A journal that is found damaged is broken from then on. */
  async *entries(): AsyncGenerator<PackedEntries> {
    let covered = 0
    for await (const entries of readEntries(this.#deps.disk, this.#path)) {
      covered += packedLength(entries)
      yield entries
    }
    if (covered === this.#state.covered) return
    this.#broken = true
    throw damaged(`its entries cover ${covered} of ${this.#state.covered} bytes`)
  }

  /** Closes the file; the next append opens it again. */
  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  async #open(): Promise<DiskFile> {
    if (this.#file) return this.#file
    if (this.#state.end.at > 0) {
      this.#file = await this.#deps.disk.openWrite(this.#path, 'existing')
      return this.#file
    }
    await this.#deps.disk.remove(this.#path)
    const { file, start } = await this.#create(this.#path)
    this.#file = file
    this.#state = new JournalState(start)
    return file
  }

  /** Creates a file with a header. */
  async #create(path: string): Promise<{ file: DiskFile; start: Position }> {
    const salt = new DataView(new Uint8Array(this.#deps.random(8)).buffer).getBigUint64(0, true)
    const { bytes, check } = encodeJournalHeader(salt)
    const file = await this.#deps.disk.openWrite(path, 'create')
    try {
      await file.write([bytes], 0)
    } catch (error) {
      await file.close()
      throw error
    }
    return { file, start: { at: JOURNAL_HEADER_BYTES, check } }
  }

  /** Writes entries and tail to a new file and replaces the journal with it. */
  async #compact(append: JournalAppend): Promise<void> {
    const next = this.#path + NEXT_SUFFIX
    let compacted: JournalState
    try {
      compacted = await this.#writeCompacted(next, append)
      await this.#deps.disk.rename(next, this.#path)
    } catch {
      // The journal in force is whole. A longer one only costs space, and the next append retries.
      await this.#deps.disk.remove(next).catch(() => {})
      return
    }
    await this.close()
    this.#state = compacted
  }

  async #writeCompacted(path: string, { tail, timeMs }: JournalAppend): Promise<JournalState> {
    const { bytesTimeMs } = this.#state
    const { file, start } = await this.#create(path)
    try {
      const state = new JournalState(start)
      let gathered: PackedEntries[] = []
      let gatheredBytes = 0
      const write = async (withTail: Uint8Array, writtenMs: number): Promise<void> => {
        const append = { entries: joinEntries(gathered), tail: withTail, timeMs: writtenMs }
        gathered = []
        gatheredBytes = 0
        for (const record of [...state.encode(append)]) {
          await file.write([record.bytes], record.at)
          state.apply(record)
        }
      }
      for await (const entries of this.entries()) {
        if (gatheredBytes + entries.byteLength > RECORD_ENTRIES_MAX * ENTRY_BYTES) await write(NO_BYTES, bytesTimeMs)
        gathered.push(entries)
        gatheredBytes += entries.byteLength
      }
      await write(tail, bytesTimeMs)
      // An empty record keeps the time of work that brought no bytes.
      if (timeMs !== bytesTimeMs) await write(tail, timeMs)
      await file.sync()
      return state
    } finally {
      await file.close()
    }
  }
}

function damaged(detail: string): ProblemError {
  return problem('data-corrupt', `The journal of the upload is damaged: ${detail}.`, { action: 'Delete the upload and upload the file again.' })
}
