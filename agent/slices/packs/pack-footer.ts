// Sealing: appends the table of contents and the trailer to a pack, after which it never changes.

import type { DiskFile } from '../../contract/disk.ts'
import type { PackRow } from './pack-format.ts'
import { encodePackFooter } from './pack-format.ts'

/**
 * Appends the footer to a pack whose records end at `end`, and makes it durable. The records are fsynced first, so that a valid trailer found after
 * a power cut proves that every record in its table is durable. Returns the length of the file.
 */
export async function writePackFooter(file: DiskFile, rows: readonly PackRow[], end: number): Promise<number> {
  await file.sync()
  const footer = encodePackFooter(rows, end)
  await file.write([footer], end)
  await file.sync()
  return end + footer.length
}
