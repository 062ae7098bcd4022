// What the records of a journal add up to: the bytes they cover, the tail after them, and where the file ends. Pure.

import { encodeRecord, ENTRY_BYTES, packedLength, RECORD_ENTRIES_MAX } from './journal-codec.ts'
import type { JournalRecord, PackedEntries } from './journal-codec.ts'
import type { Position, Scanned } from './journal-scan.ts'

const NO_BYTES = new Uint8Array(0)

/** What an append brings: the entries since the append before, and the whole tail after them. */
export interface JournalAppend {
  readonly entries: PackedEntries
  readonly tail: Uint8Array
  readonly timeMs: number
}

/** A record with its bytes, to be written at its position. */
export interface EncodedRecord extends Scanned {
  readonly bytes: Uint8Array<ArrayBuffer>
}

export class JournalState {
  #end: Position
  #tailFrom: Position
  #covered = 0
  #tailLength = 0
  #entryBytes = 0
  #timeMs = 0
  #bytesTimeMs = 0

  /** The state of a journal without records, whose first record begins at `start`. */
  constructor(start: Position) {
    this.#end = start
    this.#tailFrom = start
  }

  /** The end of the last record. */
  get end(): Position {
    return this.#end
  }

  /** The first of the records that the tail is read from. */
  get tailFrom(): Position {
    return this.#tailFrom
  }

  /** Bytes of the upload that entries cover; the tail begins there. */
  get covered(): number {
    return this.#covered
  }

  get tailLength(): number {
    return this.#tailLength
  }

  /** Bytes of the upload, in entries and tail. */
  get offset(): number {
    return this.#covered + this.#tailLength
  }

  get entryCount(): number {
    return this.#entryBytes / ENTRY_BYTES
  }

  /** Time of the last record, 0 without one. */
  get timeMs(): number {
    return this.#timeMs
  }

  /** Time of the last record that brought bytes, 0 without one. */
  get bytesTimeMs(): number {
    return this.#bytesTimeMs
  }

  /** Bytes of the file that a compacted journal would have, without its headers. */
  get liveBytes(): number {
    return this.#entryBytes + this.#tailLength
  }

  /** Encodes an append as the records that follow the last one. Does not change the state. */
  *encode(append: JournalAppend): Generator<EncodedRecord> {
    let position = this.#end
    for (const record of this.#records(append)) {
      const { bytes, check } = encodeRecord(record, position.check)
      const end = { at: position.at + bytes.byteLength, check }
      yield { ...position, record, end, bytes }
      position = end
    }
  }

  /** Adds a record that follows the last one. */
  apply({ record, end, at, check }: Scanned): void {
    if (record.entries.byteLength > 0) {
      this.#covered += packedLength(record.entries)
      this.#entryBytes += record.entries.byteLength
      this.#tailLength = record.tail.byteLength
      this.#tailFrom = { at, check }
    } else {
      this.#tailLength += record.tail.byteLength
    }
    this.#timeMs = record.timeMs
    if (record.entries.byteLength > 0 || record.tail.byteLength > 0) this.#bytesTimeMs = record.timeMs
    this.#end = end
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
}
