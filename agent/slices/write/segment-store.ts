// Stores one segment that a worker has cut: pins the slices that are stored already, appends the new ones to the open pack, and returns the
// entries of the segment.

import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import type { SliceLookup } from '../index/index-roles.ts'
import type { PackRow } from '../packs/pack-format.ts'
import { RECORD_HEADER_BYTES } from '../packs/record.ts'
import { sliceKey } from '../packs/slice-row.ts'
import { encodeTable, NOT_STORED, viewTable } from './ingest-messages.ts'
import type { JobDone, Table, TableRow } from './ingest-messages.ts'
import type { PackWriter } from './pack-writer.ts'
import type { PinHold } from './pins.ts'
import type { Buffers } from './segment-buffers.ts'
import type { WorkerPool } from './worker-pool.ts'

export interface SegmentStoreDeps {
  readonly pool: WorkerPool
  readonly writer: PackWriter
  readonly index: SliceLookup
}

export interface StoredSegment {
  readonly entries: readonly ManifestEntry[]
  /** Bytes of new records. */
  readonly storedBytes: number
  /** The buffers of the segment, which are free again. */
  readonly buffers: Buffers
}

/** A slice of the segment that is not stored. */
type AbsentSlice = TableRow & { readonly digest: Uint8Array }

/** Stores a segment; its slices are pinned by `hold`. They are durable after the next sync of the writer. Throws StoreWriteFailed. */
export async function storeSegment(deps: SegmentStoreDeps, hold: PinHold, result: JobDone): Promise<StoredSegment> {
  const table = viewTable(result.table)
  const absent = pinKnown(deps, hold, table)
  let buffers: Buffers = result
  let storedBytes = await append(deps, hold, table, result.output)
  // Repeats of slices stored by this segment are found now. What is still absent, the filter took for a stored slice.
  const rest = absent.filter(({ digest }) => !pinIfFound(deps, hold, digest))
  if (rest.length > 0) {
    const { input, output } = buffers
    const stored = await deps.pool.run({ kind: 'store', input, output, table: encodeTable(rest) }).done
    buffers = stored
    storedBytes += await append(deps, hold, viewTable(stored.table), stored.output)
  }
  const entries: ManifestEntry[] = []
  for (let i = 0; i < table.count; i++) entries.push({ length: table.lengthAt(i), digest: table.isZeroAt(i) ? null : table.digestAt(i) })
  return { entries, storedBytes, buffers: { input: buffers.input, output: buffers.output } }
}

/** Pins the slices that the worker took for stored and that are; returns those that are not, each once. */
function pinKnown({ index }: SegmentStoreDeps, hold: PinHold, table: Table): AbsentSlice[] {
  const absent: AbsentSlice[] = []
  const absentKeys = new Set<string>()
  for (let i = 0; i < table.count; i++) {
    if (table.isZeroAt(i) || table.recordOffsetAt(i) !== NOT_STORED) continue
    const digest = table.digestAt(i)
    // Pinned in the same tick as it is found, so that gc cannot remove it in between.
    if (index.find(digest)) hold.add(digest)
    else if (!absentKeys.has(sliceKey(digest))) {
      absentKeys.add(sliceKey(digest))
      absent.push({ digest, start: table.startAt(i), length: table.lengthAt(i) })
    }
  }
  return absent
}

/** Appends the records of a table that are not stored yet; returns their bytes. */
async function append(deps: SegmentStoreDeps, hold: PinHold, table: Table, output: ArrayBuffer): Promise<number> {
  const parts: Uint8Array[] = []
  const rows: PackRow[] = []
  let offset = 0
  for (let i = 0; i < table.count; i++) {
    const at = table.recordOffsetAt(i)
    if (table.isZeroAt(i) || at === NOT_STORED) continue
    const digest = table.digestAt(i)
    // Another transfer may have stored it since the worker asked the filter.
    if (pinIfFound(deps, hold, digest)) continue
    hold.add(digest)
    const length = table.recordLengthAt(i)
    const last = parts.at(-1)
    // Adjacent records are one write: hundreds of small writes would cost more than their bytes.
    if (last && last.byteOffset + last.byteLength === at) parts[parts.length - 1] = new Uint8Array(output, last.byteOffset, last.byteLength + length)
    else parts.push(new Uint8Array(output, at, length))
    rows.push({ digest, offset, length: table.lengthAt(i), storedLength: length - RECORD_HEADER_BYTES })
    offset += length
  }
  if (rows.length === 0) return 0
  await deps.writer.append(parts, rows)
  return offset
}

function pinIfFound({ index }: SegmentStoreDeps, hold: PinHold, digest: Uint8Array): boolean {
  if (!index.find(digest)) return false
  hold.add(digest)
  return true
}
