// Reads the contents of a pack from the pack itself: by its table of contents when it is sealed, otherwise record by record.

import type { DiskFile } from '../../contract/disk.ts'
import type { PackRow } from './pack-format.ts'
import { PACK_HEADER_BYTES, packHeaderFault, readToc, readTrailer, recordLength, TOC_ROW_BYTES, TRAILER_BYTES } from './pack-format.ts'
import { checksumOf, RECORD_HEADER_BYTES, RECORD_MAGIC, readRecordHeader } from './record.ts'
import { sliceFault } from './record-check.ts'

/** Bytes read at a time while walking records. */
const WINDOW_BYTES = 4 * 1024 * 1024 + RECORD_HEADER_BYTES

/** Bytes read at a time for headers alone: one read covers many small records, and skips the bytes of a large one. */
const CHAIN_WINDOW_BYTES = 32 * 1024

/** A damaged stretch of a pack, with records after it. */
export interface BadStretch {
  readonly offset: number
  readonly length: number
  /** The slice that was stored there, if the header is still readable. */
  readonly digest: Uint8Array | undefined
}

export interface PackContents {
  readonly rows: PackRow[]
  readonly sealed: boolean
  /** End of the last whole record: a torn tail begins here. */
  readonly end: number
  /** Bytes after `end` that are not part of any record (unsealed packs only). */
  readonly tornBytes: number
  readonly bad: readonly BadStretch[]
  /** Faults of the frame of the pack (header, trailer, table). */
  readonly faults: readonly string[]
}

/** Reads the table of contents of a pack and compares it with the record headers; walks the records when that fails. */
export async function readPack(file: DiskFile): Promise<PackContents> {
  const length = await file.length()
  const header = Buffer.alloc(PACK_HEADER_BYTES)
  await file.read(header, 0)
  const headerFault = packHeaderFault(header)
  const faults = headerFault === undefined ? [] : [`the pack ${headerFault}`]
  const sealed = await readSealed(file, length)
  if (sealed && (await isChain(file, sealed))) return { rows: sealed.rows, sealed: true, end: sealed.end, tornBytes: 0, bad: [], faults }
  return walkPack(file, faults)
}

/** Reads the table of contents; undefined when there is no valid one. `end` is the end of the records. */
export async function readSealed(file: DiskFile, length: number): Promise<{ rows: PackRow[]; end: number } | undefined> {
  if (length < PACK_HEADER_BYTES + TRAILER_BYTES) return undefined
  const bytes = Buffer.alloc(TRAILER_BYTES)
  await file.read(bytes, length - TRAILER_BYTES)
  const trailer = readTrailer(bytes, length)
  if (!trailer) return undefined
  const table = Buffer.alloc(trailer.count * TOC_ROW_BYTES)
  await file.read(table, trailer.offset)
  const rows = readToc(table, trailer)
  return rows && { rows, end: trailer.offset }
}

/** Returns the rows of a sealed pack: by its table of contents, or record by record when that is damaged. */
export async function readSealedRows(file: DiskFile): Promise<PackRow[]> {
  return ((await readSealed(file, await file.length())) ?? (await walkPack(file))).rows
}

/**
 * Whether the record headers match the table, without gaps up to the table. The last slice in an unsealed pack may consist of bytes that look like a
 * table: such a table cannot match the header of the record that contains it.
 */
async function isChain(file: DiskFile, { rows, end }: { rows: readonly PackRow[]; end: number }): Promise<boolean> {
  const read = createWindow(file, CHAIN_WINDOW_BYTES)
  let at = PACK_HEADER_BYTES
  for (const row of rows) {
    if (row.offset !== at) return false
    const header = readRecordHeader(await read(at, RECORD_HEADER_BYTES), 0)
    if (!header || header.storedLength !== row.storedLength || header.length !== row.length || Buffer.compare(header.digest, row.digest) !== 0) return false
    at += recordLength(row)
  }
  return at === end
}

/**
 * Walks the records and verifies their checksums. After damage the walk continues at the next valid header. From then on it verifies the SHA-256 of
 * every slice too: that header may be inside a damaged record, in the contents of an image.
 */
export async function walkPack(file: DiskFile, faults: readonly string[] = []): Promise<PackContents> {
  const length = await file.length()
  const read = createWindow(file, WINDOW_BYTES)
  const rows: PackRow[] = []
  const bad: BadStretch[] = []
  let at = Math.min(PACK_HEADER_BYTES, length)
  let end = at
  while (at < length) {
    const header = readRecordHeader(await read(at, RECORD_HEADER_BYTES), 0)
    if (header && at + recordLength(header) <= length) {
      const { digest } = header
      const stored = (await read(at, recordLength(header))).subarray(RECORD_HEADER_BYTES)
      if (checksumOf(stored) === header.checksum && (bad.length === 0 || (await sliceFault(header, stored)) === undefined))
        rows.push({ digest, offset: at, length: header.length, storedLength: header.storedLength })
      else bad.push({ offset: at, length: recordLength(header), digest })
      at += recordLength(header)
      end = at
      continue
    }
    const next = await findRecord(file, at + 1, length)
    if (next === undefined) break
    bad.push({ offset: at, length: next - at, digest: undefined })
    at = next
  }
  // A damaged last record is damage, not a torn write, when its header is whole and the file holds all of it.
  return { rows, sealed: false, end, tornBytes: length - end, bad, faults }
}

/** Returns a function that reads bytes of a file, this many at a time. Each call begins at or after the one before; fewer bytes come at the end only. */
function createWindow(file: DiskFile, windowBytes: number): (position: number, length: number) => Promise<Buffer> {
  const window = Buffer.alloc(windowBytes)
  let [start, end] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
  return async (position, length) => {
    if (position + length > end) {
      start = position
      end = position + (await file.read(window, position))
    }
    return window.subarray(position - start, Math.min(position + length, end) - start)
  }
}

/** Returns the offset of the next valid record header at or after `from`. */
async function findRecord(file: DiskFile, from: number, length: number): Promise<number | undefined> {
  const magic = Buffer.from(Uint32Array.of(RECORD_MAGIC).buffer)
  const window = Buffer.alloc(WINDOW_BYTES)
  for (let start = from; start < length; start += WINDOW_BYTES - RECORD_HEADER_BYTES) {
    const bytes = window.subarray(0, await file.read(window, start))
    for (let at = bytes.indexOf(magic); at !== -1; at = bytes.indexOf(magic, at + 1)) {
      if (readRecordHeader(bytes, at)) return start + at
    }
  }
  return undefined
}
