// Verifies one record of a pack: its header, its checksum, and the SHA-256 of the slice in it.

import { DIGEST_BYTES } from '../../../protocol/slices/digest.ts'
import type { DiskFile } from '../../contract/disk.ts'
import type { PackRow } from './pack-format.ts'
import { recordLength } from './pack-format.ts'
import { checksumOf, RECORD_HEADER_BYTES, readRecordHeader } from './record.ts'
import type { RecordHeader } from './record.ts'
import { sliceBytes, SliceBytesInvalid } from './slice-bytes.ts'

/** Reads a record and returns what is wrong with it, or undefined. */
export async function recordFault(file: DiskFile, row: PackRow): Promise<string | undefined> {
  const record = Buffer.allocUnsafe(recordLength(row))
  if ((await file.read(record, row.offset)) < record.length) return 'its record is cut off'
  const header = readRecordHeader(record, 0)
  if (!header) return 'its record has no valid header'
  if (Buffer.compare(header.digest, row.digest) !== 0 || header.storedLength !== row.storedLength) return 'its record has another slice'
  const stored = record.subarray(RECORD_HEADER_BYTES)
  if (checksumOf(stored) !== header.checksum) return 'its checksum does not match'
  return sliceFault(header, stored)
}

/** Decompresses the slice of a record and compares it with its digest; returns what is wrong, or undefined. */
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
