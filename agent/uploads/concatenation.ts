// Concatenation (tus 1.0.0, "Concatenation"): a final upload is a splice of its parts' entries. No byte is read or copied;
// parts may be used again, and removed afterwards.

import { problem } from '../../protocol/problems.ts'
import { isId } from '../../protocol/ids.ts'
import type { Clock } from '../contract/runtime.ts'
import { ENTRY_BYTES, joinEntries, RECORD_ENTRIES_MAX } from './journal-codec.ts'
import type { PackedEntries } from './journal-codec.ts'
import { isWhole } from './upload.ts'
import type { Upload } from './upload.ts'

/** Parts of one final upload at most. */
export const CONCAT_PARTS_MAX = 1000
const NO_TAIL = new Uint8Array(0)

/** What an Upload-Concat header asks for. */
export type Concat = { readonly kind: 'partial' } | { readonly kind: 'final'; readonly parts: readonly string[] }

/** Reads an Upload-Concat header; parts are absolute or relative URLs of uploads. Throws `invalid-input`. */
export function parseConcat(header: string): Concat {
  const text = header.trim()
  if (text === 'partial') return { kind: 'partial' }
  const list = /^final\s*;\s*(.*)$/s.exec(text)?.[1]
  if (list === undefined) throw problem('invalid-input', 'Upload-Concat must be "partial" or "final;" and the URLs of the parts.')
  const urls = list.split(/\s+/).filter((url) => url !== '')
  if (urls.length === 0) throw problem('invalid-input', 'Upload-Concat: a final upload names at least one part.')
  if (urls.length > CONCAT_PARTS_MAX) throw problem('invalid-input', `Upload-Concat names ${urls.length} parts, the limit is ${CONCAT_PARTS_MAX}.`)
  return { kind: 'final', parts: urls.map(partId) }
}

/** Length of the whole; throws `invalid-input` naming a part that cannot be used. */
export function concatenatedLength(parts: readonly Upload[]): number {
  let length = 0
  for (const part of parts) {
    if (part.file.kind !== 'partial') throw problem('invalid-input', `Upload ${part.file.id} was not created as a part (Upload-Concat: partial).`)
    if (!isWhole(part)) throw problem('invalid-input', `Upload ${part.file.id} is not finished: a final upload needs all bytes of its parts.`)
    length += part.file.length ?? 0
  }
  return length
}

/** Writes the parts' entries one after the other into the journal of the final upload. */
export async function splice(parts: readonly Upload[], final: Upload, clock: Pick<Clock, 'nowMs'>): Promise<void> {
  let gathered: PackedEntries[] = []
  let gatheredBytes = 0
  const flush = async (): Promise<void> => {
    if (gatheredBytes > 0) await final.journal.append({ entries: joinEntries(gathered), tail: NO_TAIL, timeMs: clock.nowMs() })
    gathered = []
    gatheredBytes = 0
  }
  for (const part of parts) {
    for await (const entries of part.journal.entries()) {
      if (gatheredBytes + entries.byteLength > RECORD_ENTRIES_MAX * ENTRY_BYTES) await flush()
      gathered.push(entries)
      gatheredBytes += entries.byteLength
    }
  }
  await flush()
  await final.journal.close()
}

function partId(url: string): string {
  const path = url.replace(/[?#].*$/s, '')
  const id = /\/v1\/uploads\/([^/]+)\/?$/.exec(path)?.[1]
  if (id === undefined || !isId('upl', id)) throw problem('invalid-input', `Upload-Concat: ${JSON.stringify(url)} is not the URL of an upload here.`)
  return id
}
