// Concatenation (tus 1.0.0, "Concatenation"): a final upload splices the entries of its parts. No content is read or copied. Parts can be
// used again, and removed afterwards.

import { problem } from '../../protocol/problems.ts'
import { isId } from '../../protocol/ids.ts'
import type { Clock, CrashPoint } from '../contract/runtime.ts'
import { ENTRY_BYTES, joinEntries, RECORD_ENTRIES_MAX } from './record/journal-codec.ts'
import type { PackedEntries } from './record/journal-codec.ts'
import { refuseTooManyEntries } from './limits/limits.ts'
import type { Upload } from './record/upload.ts'

/** Most parts of one final upload. */
const CONCAT_PARTS_MAX = 1000
/** Most times that a final upload can name one part: each time copies all entries of the part. */
export const CONCAT_REPEATS_MAX = 8
const NO_TAIL = new Uint8Array(0)

/** What an Upload-Concat header requests. */
export type Concat = { readonly kind: 'partial' } | { readonly kind: 'final'; readonly parts: readonly string[] }

/** Parses an Upload-Concat header; parts are absolute or relative URLs of uploads. Throws `invalid-input`. */
export function parseConcat(header: string): Concat {
  const text = header.trim()
  if (text === 'partial') return { kind: 'partial' }
  const list = /^final\s*;\s*(.*)$/s.exec(text)?.[1]
  if (list === undefined) throw problem('invalid-input', 'Upload-Concat must be "partial" or "final;" and the URLs of the parts.')
  const urls = list.split(/\s+/).filter((url) => url !== '')
  if (urls.length === 0) throw problem('invalid-input', 'Upload-Concat: a final upload must name at least one part.')
  if (urls.length > CONCAT_PARTS_MAX) throw problem('invalid-input', `Upload-Concat names ${urls.length} parts; the limit is ${CONCAT_PARTS_MAX}.`)
  const parts = urls.map(partId)
  const counts = new Map<string, number>()
  for (const id of parts) {
    const count = (counts.get(id) ?? 0) + 1
    if (count > CONCAT_REPEATS_MAX) throw problem('invalid-input', `Upload-Concat names part ${id} more than ${CONCAT_REPEATS_MAX} times.`)
    counts.set(id, count)
  }
  return { kind: 'final', parts }
}

/** The size of a final upload. */
export interface Concatenated {
  /** Length of the upload in bytes. */
  readonly length: number
  readonly entryCount: number
}

/** Measures the parts of a final upload. Throws `invalid-input`, which names a part that cannot be used, and `payload-too-large`. */
export function measureParts(parts: readonly Upload[], entriesMax: number): Concatenated {
  let length = 0
  let entryCount = 0
  for (const { file, journal } of parts) {
    if (file.kind !== 'partial') throw problem('invalid-input', `Upload ${file.id} was not created as a part (Upload-Concat: partial).`)
    // A part without its last slice was interrupted while it completed; the next request for it completes it.
    if (file.length === null || journal.covered !== file.length)
      throw problem('invalid-input', `Upload ${file.id} is not finished; a final upload needs all bytes of its parts.`)
    length += file.length
    entryCount += journal.entryCount
  }
  if (entryCount > entriesMax) throw refuseTooManyEntries(entryCount, entriesMax)
  return { length, entryCount }
}

export interface SpliceDeps {
  readonly clock: Pick<Clock, 'nowMs'>
  readonly crashPoint: CrashPoint
  /** Ends the splice between two appends. */
  readonly signal: AbortSignal
}

/** Appends the entries of the parts, in order, to the journal of the final upload. Holds the entries of one record in memory. */
export async function splice(parts: readonly Upload[], final: Upload, { clock, crashPoint, signal }: SpliceDeps): Promise<void> {
  let gathered: PackedEntries[] = []
  let gatheredBytes = 0
  const flush = async (): Promise<void> => {
    if (gatheredBytes > 0) await final.journal.append({ entries: joinEntries(gathered), tail: NO_TAIL, timeMs: clock.nowMs() })
    gathered = []
    gatheredBytes = 0
  }
  crashPoint('uploads:before-splice')
  for (const part of parts) {
    for await (const entries of part.journal.entries()) {
      signal.throwIfAborted()
      if (gatheredBytes + entries.byteLength > RECORD_ENTRIES_MAX * ENTRY_BYTES) await flush()
      gathered.push(entries)
      gatheredBytes += entries.byteLength
    }
  }
  await flush()
  await final.journal.close()
  crashPoint('uploads:spliced')
}

function partId(url: string): string {
  const path = url.replace(/[?#].*$/s, '')
  const id = /\/v1\/uploads\/([^/]+)\/?$/.exec(path)?.[1]
  if (id === undefined || !isId('upl', id)) throw problem('invalid-input', `Upload-Concat: ${JSON.stringify(url)} is not the URL of an upload of this store.`)
  return id
}
