// Sealing: gives a pack its table of contents and trailer, after which it never changes.

import type { DiskFile } from '../../contract/disk.ts'
import type { PackRow } from './pack-format.ts'
import { encodePackFooter } from './pack-format.ts'

/**
 * Appends the footer to a pack whose records end at `end`, and makes it durable. The records are fsynced first: whoever finds a valid
 * trailer after a power cut may trust every row of its table. Gives the length of the whole file.
 */
export async function writePackFooter(file: DiskFile, rows: readonly PackRow[], end: number): Promise<number> {
  await file.sync()
  const footer = encodePackFooter(rows, end)
  await file.write([footer], end)
  await file.sync()
  return end + footer.length
}
