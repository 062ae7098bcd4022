// Reads a journal from the disk, record by record, until the first one that is invalid.

import { hasCode } from '../../../protocol/errors.ts'
import type { Disk, DiskFile } from '../../contract/disk.ts'
import { decodeJournalHeader, decodeRecord, JOURNAL_HEADER_BYTES, RECORD_HEADER_BYTES, recordLength } from './journal-codec.ts'
import type { JournalRecord, PackedEntries } from './journal-codec.ts'

/** Bytes that a scan reads at a time. */
const WINDOW_BYTES = 256 * 1024

/** Where a record begins or ends in the file, and the check that seeds the next record. */
export interface Position {
  readonly at: number
  readonly check: bigint
}

/** A record with the positions at its beginning and its end. */
export interface Scanned extends Position {
  readonly record: JournalRecord
  readonly end: Position
}

/** Returns the entries of a journal as it is on the disk now, in blocks of one record; none without a file. The file may be removed at any moment. */
export async function* readEntries(disk: Disk, path: string): AsyncGenerator<PackedEntries> {
  const file = await openIfPresent(disk, path)
  if (!file) return
  try {
    const start = await readStart(file)
    if (!start) return
    for await (const { record } of scanRecords(file, start)) if (record.entries.byteLength > 0) yield record.entries
  } finally {
    await file.close()
  }
}

/** Returns the position of the first record; undefined when the file does not begin with a valid header. */
export async function readStart(file: DiskFile): Promise<Position | undefined> {
  const header = new Uint8Array(JOURNAL_HEADER_BYTES)
  const filled = await file.read(header, 0)
  const check = decodeJournalHeader(header.subarray(0, filled))
  return check === undefined ? undefined : { at: JOURNAL_HEADER_BYTES, check }
}

/** Returns the records from a position on, up to the first invalid one. */
export async function* scanRecords(file: DiskFile, start: Position): AsyncGenerator<Scanned> {
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

/** Opens a file, which is the only check for it: between a look at the name and the opening another request may remove the file. */
async function openIfPresent(disk: Disk, path: string): Promise<DiskFile | undefined> {
  try {
    return await disk.openRead(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
