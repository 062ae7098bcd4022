// Verifies one record of a pack: its header, its checksum, and the SHA-256 of the slice in it.

import { DIGEST_BYTES } from '../../../protocol/digest.ts'
import type { DiskFile } from '../../contract/disk.ts'
import type { PackRow } from './pack-format.ts'
import { recordLength } from './pack-format.ts'
import { checksumOf, RECORD_HEADER_BYTES, readRecordHeader } from './record.ts'
import type { RecordHeader } from './record.ts'
import { sliceBytes, SliceBytesInvalid } from './slice-bytes.ts'

/** What is wrong with a record, its bytes read from the disk; undefined when it is whole. */
export async function recordFault(file: DiskFile, row: PackRow): Promise<string | undefined> {
  const record = Buffer.allocUnsafe(recordLength(row))
  if ((await file.read(record, row.offset)) < record.length) return 'its record is cut off'
  const header = readRecordHeader(record, 0)
  if (!header) return 'its record has no valid header'
  if (Buffer.compare(header.digest, row.digest) !== 0 || header.storedLength !== row.storedLength) return 'its record holds another slice'
  const stored = record.subarray(RECORD_HEADER_BYTES)
  if (checksumOf(stored) !== header.checksum) return 'its checksum does not match'
  return sliceFault(header, stored)
}

/** What is wrong with the slice in a record whose stored bytes are those that were written; undefined when it is what its digest says. */
export async function sliceFault({ codec, length, digest }: RecordHeader, stored: Uint8Array): Promise<string | undefined> {
  try {
    const actual = Buffer.allocUnsafe(DIGEST_BYTES)
    Bun.SHA256.hash(await sliceBytes({ codec, length, stored }), actual)
    return actual.equals(digest) ? undefined : 'its SHA-256 does not match'
  } catch (error) {
    if (error instanceof SliceBytesInvalid) return 'it does not decompress'
    throw error
  }
}
