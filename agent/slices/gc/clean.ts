// Cleans one pack for a gc: moves its live slices to the open pack, then removes the file.

import type { Disk, DiskFile } from '../../contract/disk.ts'
import type { CrashPoint, Log } from '../../contract/runtime.ts'
import type { PackLength } from './plan.ts'
import type { CorrectableIndex } from '../index/index-roles.ts'
import type { PackFiles } from '../packs/pack-files.ts'
import type { PackRow } from '../packs/pack-format.ts'
import { recordLength } from '../packs/pack-format.ts'
import { hasRecord } from '../index/indexed-record.ts'
import { readPack } from '../packs/pack-scan.ts'
import type { PackWriter } from '../write/pack-writer.ts'
import type { Quarantine } from '../rebuild/quarantine.ts'
import { checksumOf, RECORD_HEADER_BYTES, readRecordHeader } from '../packs/record.ts'

/** Bytes of records moved by one append and one fsync. */
const MOVE_BATCH_BYTES = 8 * 1024 * 1024

export interface CleanDeps {
  readonly disk: Disk
  readonly log: Log
  readonly index: CorrectableIndex
  readonly writer: PackWriter
  readonly files: PackFiles
  readonly quarantine: Quarantine
  readonly crashPoint: CrashPoint
  /** Whether a root or a pin names a slice, as far as this gc has seen. */
  readonly isNamed: (digest: Uint8Array) => boolean
  /** Lets other work on the event loop run first. */
  readonly pause: () => Promise<void>
}

/** Result of cleaning a pack: bytes written to other packs, and whether the file was removed. */
export interface CleanedPack {
  readonly addedBytes: number
  readonly isRemoved: boolean
}

/**
 * Copies the live slices of a pack to the open pack and removes the file. The index points to the old location until the copy is fsynced, and
 * the file is removed only after that, so every live slice is in an fsynced record at any moment. The pack stays when a slice cannot be moved,
 * when the sweep counted more live bytes in it than the pack shows, and when it has a named slice that the index does not find anywhere.
 */
export async function cleanPack(deps: CleanDeps, pack: PackLength, liveBytes: number, signal: AbortSignal | undefined): Promise<CleanedPack> {
  let addedBytes = 0
  let foundBytes = 0
  const rows = await deps.files.use(pack.name, async (file) => {
    const found = (await readPack(file)).rows
    let batch: PackRow[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      addedBytes += await moveRows(deps, pack, file, batch)
      batch = []
      bytes = 0
      signal?.throwIfAborted()
      await deps.pause()
    }
    for (const row of found) {
      if (!(await isIndexedHere(deps, pack, row))) continue
      batch.push(row)
      bytes += recordLength(row)
      foundBytes += recordLength(row)
      if (bytes >= MOVE_BATCH_BYTES) await flush()
    }
    await flush()
    return found
  })
  // Check and removal in one tick: otherwise scrub could find a slice here again in between. An index that lacks slices proves nothing.
  if (foundBytes < liveBytes || rows.some((row) => mayBeNeeded(deps, pack, row)) || deps.index.isIncomplete) {
    deps.log.warn('a pack was not removed: some of its slices could not be moved', { pack: pack.name })
    return { addedBytes, isRemoved: false }
  }
  deps.index.removePack(pack.id)
  await removeFile(deps, pack)
  return { addedBytes, isRemoved: true }
}

/** Whether this pack may have the only copy of a slice that is needed. */
function mayBeNeeded({ index, isNamed, quarantine }: CleanDeps, pack: PackLength, { digest, offset }: PackRow): boolean {
  const at = index.find(digest)
  return at ? at.pack === pack.id : isNamed(digest) && !quarantine.has(digest, pack.name, offset)
}

/** Removes the file of a pack after its removal from the index is durable: the index never names a pack that is gone. */
async function removeFile({ index, disk, files, crashPoint }: CleanDeps, pack: PackLength): Promise<void> {
  crashPoint('gc:moved')
  try {
    // The pack that the slices moved to may be sealed by now: the next start would not read it again.
    await index.flush()
    index.makeDurable()
    crashPoint('gc:before-remove')
    await disk.remove(files.path(pack.name))
  } catch (error) {
    // If the removal was not synced, a power cut may bring the file back: it is then read and collected again.
    if (await exists(disk, files.path(pack.name))) {
      // Added again, so that the next gc removes it.
      index.addPack(pack.name)
      throw error
    }
  }
  files.forget(pack.name)
  crashPoint('gc:removed')
}

async function exists(disk: Disk, path: string): Promise<boolean> {
  try {
    return (await disk.stat(path)) !== undefined
  } catch {
    return true
  }
}

/** Whether the index has this slice in this pack. When the index has it where no such record is, the index is corrected first. */
async function isIndexedHere(deps: CleanDeps, pack: PackLength, row: PackRow): Promise<boolean> {
  const at = deps.index.find(row.digest)
  if (!at) return false
  if (at.pack === pack.id && at.offset === row.offset) return true
  if (await hasRecord(deps, row.digest, at)) return false
  const again = deps.index.find(row.digest)
  if (again?.pack === at.pack && again.offset === at.offset) {
    deps.index.distrust('it had a wrong location for a slice')
    deps.index.add(pack.id, [row])
  }
  return true
}

/** Copies records to the open pack; returns the bytes written. */
async function moveRows(deps: CleanDeps, pack: PackLength, file: DiskFile, rows: readonly PackRow[]): Promise<number> {
  const parts: Uint8Array[] = []
  const relative: PackRow[] = []
  let offset = 0
  for (const row of rows) {
    const record = Buffer.allocUnsafe(recordLength(row))
    const filled = await file.read(record, row.offset)
    const header = readRecordHeader(record.subarray(0, filled), 0)
    if (!header || Buffer.compare(header.digest, row.digest) !== 0 || checksumOf(record.subarray(RECORD_HEADER_BYTES, filled)) !== header.checksum) {
      await deps.quarantine.add(row.digest, { ...row, pack: pack.id }, 'its checksum does not match')
      continue
    }
    parts.push(record)
    relative.push({ ...row, offset })
    offset += record.length
  }
  if (relative.length === 0) return 0
  const placed = await deps.writer.append(parts, relative, { index: false })
  await deps.writer.sync()
  // A slice that was quarantined, or stored again, during the move keeps what the index says of it now.
  deps.index.add(
    placed.pack,
    placed.rows.filter((row) => deps.index.find(row.digest)?.pack === pack.id),
  )
  return offset + placed.frameBytes
}
