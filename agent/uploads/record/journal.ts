// The journal of one upload: what it holds durably. Appends are fsynced before they count; opening reads records until the
// first invalid one and cuts the file there.

import { dirname } from 'node:path'
import { hasCode } from '../../../protocol/errors.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import type { Disk, DiskFile } from '../../contract/disk.ts'
import {
  decodeJournalHeader,
  decodeRecord,
  encodeJournalHeader,
  encodeRecord,
  ENTRY_BYTES,
  joinEntries,
  JOURNAL_HEADER_BYTES,
  packedLength,
  RECORD_ENTRIES_MAX,
  RECORD_HEADER_BYTES,
  recordLength,
} from './journal-codec.ts'
import type { JournalRecord, PackedEntries } from './journal-codec.ts'

/** Bytes read at a time while scanning. */
const WINDOW_BYTES = 256 * 1024
/** Superseded bytes that may stay, beside as many as are live, before the journal is written anew. */
export const COMPACT_SLACK_BYTES = 4 * 1024 * 1024
const NO_BYTES = new Uint8Array(0)
/** A journal that is being written anew, beside the one in force. */
const NEXT_SUFFIX = '.next'

export interface JournalDeps {
  readonly disk: Disk
  /** 8 random bytes for a new journal's chain of checks. */
  readonly random: (length: number) => Uint8Array
}

interface Position {
  readonly at: number
  readonly check: bigint
}

interface Scanned extends Position {
  readonly record: JournalRecord
  readonly end: Position
}

/** What an append brings: entries since the append before, and the whole tail after them. */
export interface JournalAppend {
  readonly entries: PackedEntries
  readonly tail: Uint8Array
  readonly timeMs: number
}

/**
 * One writer at a time. A failed append leaves the object unusable (`isBroken`): load it again, which finds what is
 * durable. The file is made by the first append.
 */
export class Journal {
  readonly #deps: JournalDeps
  readonly #path: string
  #file: DiskFile | undefined
  #end: Position = { at: 0, check: 0n }
  /** Where the first record lies that the present tail is read from. */
  #tailFrom: Position = { at: 0, check: 0n }
  #covered = 0
  #tailLength = 0
  #entryBytes = 0
  #timeMs = 0
  #bytesTimeMs = 0
  #broken = false
  #droppedBytes = 0

  private constructor(deps: JournalDeps, path: string) {
    this.#deps = deps
    this.#path = path
  }

  /** The journal of an upload that has none yet. */
  static empty(deps: JournalDeps, path: string): Journal {
    return new Journal(deps, path)
  }

  /** Reads a journal, cuts what is torn and makes sure that the rest is durable. Without a file the journal is empty. */
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
      journal.#end = start
      journal.#tailFrom = start
      for await (const scanned of scan(file, start)) journal.#apply(scanned)
      if (journal.#end.at < stat.length) await file.truncate(journal.#end.at)
      // A record may be whole and yet only in the page cache of a process that died: its offset is told only once it is durable.
      await file.sync()
      journal.#droppedBytes = stat.length - journal.#end.at
      return journal
    } finally {
      await file.close()
    }
  }

  /** Bytes of the upload that are durable. */
  get offset(): number {
    return this.#covered + this.#tailLength
  }

  /** Bytes covered by entries; the tail begins there. */
  get covered(): number {
    return this.#covered
  }

  get tailLength(): number {
    return this.#tailLength
  }

  /** Entries that the journal holds. */
  get entryCount(): number {
    return this.#entryBytes / ENTRY_BYTES
  }

  /** Time of the last append, 0 before the first. */
  get timeMs(): number {
    return this.#timeMs
  }

  /** Time of the last append that brought bytes, 0 before the first. */
  get bytesTimeMs(): number {
    return this.#bytesTimeMs
  }

  /** Bytes that loading cut off: a torn append, or damage. */
  get droppedBytes(): number {
    return this.#droppedBytes
  }

  get isBroken(): boolean {
    return this.#broken
  }

  /** Length of the file in bytes. */
  get length(): number {
    return this.#end.at
  }

  /** Commits entries, tail and the offset they lead to: all of it or nothing, durable when it resolves. */
  async append(append: JournalAppend): Promise<void> {
    const before = this.#end
    this.#broken = true
    const file = await this.#open()
    const parts: Uint8Array[] = []
    const scans: Scanned[] = []
    let position = this.#end
    for (const record of this.#records(append)) {
      const { bytes, check } = encodeRecord(record, position.check)
      const end = { at: position.at + bytes.byteLength, check }
      scans.push({ ...position, record, end })
      parts.push(bytes)
      position = end
    }
    await file.write(parts, this.#end.at)
    await file.sync()
    // The folder knows of the file only now that there is something in it.
    if (before.at === 0) await this.#deps.disk.syncFolder(dirname(this.#path))
    for (const scanned of scans) this.#apply(scanned)
    this.#broken = false
    if (this.#isWasteful()) await this.#compact(append)
  }

  /** Bytes after the last entry, read back and verified. */
  async readTail(): Promise<Uint8Array> {
    const tail = new Uint8Array(this.#tailLength)
    if (this.#tailLength === 0) return tail
    const file = await this.#deps.disk.openRead(this.#path)
    try {
      let filled = 0
      for await (const { record, end } of scan(file, this.#tailFrom)) {
        tail.set(record.tail, filled)
        filled += record.tail.byteLength
        if (end.at >= this.#end.at) break
      }
      if (filled !== this.#tailLength) throw damaged(`its tail has ${filled} of ${this.#tailLength} bytes`)
      return tail
    } finally {
      await file.close()
    }
  }

  /** All entries, read back and verified, in blocks of one record. A journal found damaged is broken from then on. */
  async *entries(): AsyncGenerator<PackedEntries> {
    let covered = 0
    for await (const entries of readEntries(this.#deps.disk, this.#path)) {
      covered += packedLength(entries)
      yield entries
    }
    if (covered === this.#covered) return
    this.#broken = true
    throw damaged(`its entries cover ${covered} of ${this.#covered} bytes`)
  }

  /** Closes the file; the next append opens it again. */
  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  async #open(): Promise<DiskFile> {
    if (this.#file) return this.#file
    if (this.#end.at > 0) {
      this.#file = await this.#deps.disk.openWrite(this.#path, 'existing')
      return this.#file
    }
    await this.#deps.disk.remove(this.#path)
    const { file, start } = await this.#begin(this.#path)
    this.#file = file
    this.#end = start
    this.#tailFrom = start
    return file
  }

  /** A new file with a header. */
  async #begin(path: string): Promise<{ file: DiskFile; start: Position }> {
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

  *#records({ entries, tail, timeMs }: JournalAppend): Generator<JournalRecord> {
    if (entries.byteLength === 0) {
      yield { entries, tail: tail.subarray(this.#tailLength), offset: this.#covered + tail.byteLength, timeMs }
      return
    }
    let covered = this.#covered
    const blockBytes = RECORD_ENTRIES_MAX * ENTRY_BYTES
    for (let at = 0; at < entries.byteLength; at += blockBytes) {
      const block = entries.subarray(at, at + blockBytes)
      covered += packedLength(block)
      const blockTail = at + blockBytes < entries.byteLength ? NO_BYTES : tail
      yield { entries: block, tail: blockTail, offset: covered + blockTail.byteLength, timeMs }
    }
  }

  #apply(scanned: Scanned): void {
    const { record, end } = scanned
    if (record.entries.byteLength > 0) {
      this.#covered += packedLength(record.entries)
      this.#entryBytes += record.entries.byteLength
      this.#tailLength = record.tail.byteLength
      this.#tailFrom = { at: scanned.at, check: scanned.check }
    } else {
      this.#tailLength += record.tail.byteLength
    }
    this.#timeMs = record.timeMs
    if (record.entries.byteLength > 0 || record.tail.byteLength > 0) this.#bytesTimeMs = record.timeMs
    this.#end = end
  }

  #isWasteful(): boolean {
    const live = this.#entryBytes + this.#tailLength
    return this.#end.at > COMPACT_SLACK_BYTES + 2 * live
  }

  /** Writes entries and tail anew beside the journal and puts the file in its place. */
  async #compact({ tail, timeMs }: JournalAppend): Promise<void> {
    const next = this.#path + NEXT_SUFFIX
    const compacted = new Journal(this.#deps, this.#path)
    try {
      const { file, start } = await compacted.#begin(next)
      try {
        compacted.#end = start
        compacted.#tailFrom = start
        let gathered: PackedEntries[] = []
        let gatheredBytes = 0
        const write = async (withTail: Uint8Array, writtenMs = this.#bytesTimeMs): Promise<void> => {
          const append = { entries: joinEntries(gathered), tail: withTail, timeMs: writtenMs }
          gathered = []
          gatheredBytes = 0
          for (const record of compacted.#records(append)) {
            const { bytes, check } = encodeRecord(record, compacted.#end.check)
            const end = { at: compacted.#end.at + bytes.byteLength, check }
            await file.write([bytes], compacted.#end.at)
            compacted.#apply({ ...compacted.#end, record, end })
          }
        }
        for await (const entries of this.entries()) {
          if (gatheredBytes + entries.byteLength > RECORD_ENTRIES_MAX * ENTRY_BYTES) await write(NO_BYTES)
          gathered.push(entries)
          gatheredBytes += entries.byteLength
        }
        await write(tail)
        // An empty record keeps the time of work that brought no bytes.
        if (timeMs !== this.#bytesTimeMs) await write(tail, timeMs)
        await file.sync()
      } finally {
        await file.close()
      }
      await this.#deps.disk.rename(next, this.#path)
    } catch {
      // The journal in force is whole; a longer one costs space only, and the next append tries again.
      await this.#deps.disk.remove(next).catch(() => {})
      return
    }
    await this.close()
    this.#end = compacted.#end
    this.#tailFrom = compacted.#tailFrom
  }
}

function damaged(detail: string): ProblemError {
  return problem('data-corrupt', `The journal of the upload is damaged: ${detail}.`, { action: 'Delete the upload and send it again.' })
}

/** Entries of a journal as it is on disk now, in blocks of one record; none when there is no file. The file may be removed at any moment. */
export async function* readEntries(disk: Disk, path: string): AsyncGenerator<PackedEntries> {
  const file = await openIfPresent(disk, path)
  if (!file) return
  try {
    const start = await readStart(file)
    if (!start) return
    for await (const { record } of scan(file, start)) if (record.entries.byteLength > 0) yield record.entries
  } finally {
    await file.close()
  }
}

/** Opening is the only check: between a look at the name and the opening another request may remove the file. */
async function openIfPresent(disk: Disk, path: string): Promise<DiskFile | undefined> {
  try {
    return await disk.openRead(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

async function readStart(file: DiskFile): Promise<Position | undefined> {
  const header = new Uint8Array(JOURNAL_HEADER_BYTES)
  const filled = await file.read(header, 0)
  const check = decodeJournalHeader(header.subarray(0, filled))
  return check === undefined ? undefined : { at: JOURNAL_HEADER_BYTES, check }
}

/** Records from a position on, until the first invalid one. */
async function* scan(file: DiskFile, start: Position): AsyncGenerator<Scanned> {
  const window = new Uint8Array(WINDOW_BYTES)
  let windowAt = start.at
  let windowLength = 0
  let position = start
  const bytesAt = async (length: number): Promise<Uint8Array> => {
    if (length > window.byteLength) {
      const bytes = new Uint8Array(length)
      return bytes.subarray(0, await file.read(bytes, position.at))
    }
    if (position.at + length > windowAt + windowLength) {
      windowAt = position.at
      windowLength = await file.read(window, windowAt)
    }
    return window.subarray(position.at - windowAt, Math.min(position.at - windowAt + length, windowLength))
  }
  for (;;) {
    const length = recordLength(await bytesAt(RECORD_HEADER_BYTES))
    if (length === undefined) return
    const decoded = decodeRecord(await bytesAt(length), position.check)
    if (!decoded) return
    const end = { at: position.at + length, check: decoded.check }
    yield { ...position, record: decoded.record, end }
    position = end
  }
}
