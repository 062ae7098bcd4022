// Compares the index with a pack: the rows that the index has in it, and whether a record is where the index says.

import { hasCode } from '../../../protocol/errors.ts'
import type { PackFiles } from '../packs/pack-files.ts'
import { RECORD_HEADER_BYTES, readRecordHeader } from '../packs/record.ts'
import type { Location, SliceRow } from '../packs/slice-row.ts'
import type { SliceLookup } from './index-roles.ts'

/** Whether the record of a slice begins at a location. Reads its header alone; its bytes are not verified. */
export async function hasRecord(
  { index, files }: { readonly index: SliceLookup; readonly files: PackFiles },
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

/** Yields every row that the index has in a pack. Walks the whole index, so it is used after damage only. */
export async function* indexedRows(index: SliceLookup, pack: number, pause: () => Promise<void>): AsyncGenerator<SliceRow> {
  yield* index.waiting().filter((row) => row.pack === pack)
  let after: Uint8Array | undefined
  do {
    const { rows, last } = index.walk(after)
    yield* rows.filter((row) => row.pack === pack)
    after = last
    await pause()
  } while (after)
}
