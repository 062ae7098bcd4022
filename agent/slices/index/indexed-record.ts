// Looks in a pack for the record that the index names, by its header alone.

import { hasCode } from '../../../protocol/errors.ts'
import type { PackFiles } from '../packs/pack-files.ts'
import { RECORD_HEADER_BYTES, readRecordHeader } from '../packs/record.ts'
import type { Location } from '../packs/slice-row.ts'
import type { IndexDatabase } from './index-database.ts'

/** Whether the record of a slice begins at a place; its bytes are not verified. */
export async function hasRecord(
  { index, files }: { readonly index: IndexDatabase; readonly files: PackFiles },
  digest: Uint8Array,
  at: Location,
): Promise<boolean> {
  const pack = index.pack(at.pack)
  if (!pack || at.offset < 0) return false
  try {
    return await files.use(pack.name, async (file) => {
      const bytes = Buffer.alloc(RECORD_HEADER_BYTES)
      const header = readRecordHeader(bytes.subarray(0, await file.read(bytes, at.offset)), 0)
      return header !== undefined && Buffer.compare(header.digest, digest) === 0 && header.storedLength === at.storedLength && header.length === at.length
    })
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
}
