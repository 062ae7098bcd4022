// The size of the audit log. It is never cut (decision 0016), so somebody must be told before its size is a nuisance.

import { formatSize } from '../../protocol/units.ts'

/** Entries from which a log is long: about 1 GB, and 15 s of a core for `audit verify`. A fleet with a thousand writes a day has as many after five years. */
export const LONG_LOG_ENTRIES = 4_000_000
/** What an entry takes in the database, in bytes; measured with commands of usual length. */
const ENTRY_BYTES = 230

/** Says that a log is long, what that means and what to do, in sentences; undefined for a log that is not. */
export function longLogNote(entries: number): string | undefined {
  if (entries < LONG_LOG_ENTRIES) return undefined
  const size = formatSize(entries * ENTRY_BYTES)
  return `The audit log has ${entries} entries, about ${size}, and is never cut. Make sure that the disk of the bot's home has room for as much again; find who writes most of it with audit list --reads.`
}
