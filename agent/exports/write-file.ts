// Writes a conversion to a file with holes.

import type { Conversion, Part } from '../contract/convert.ts'
import type { Disk, DiskFile } from '../contract/disk.ts'

/** Bytes that are written together, and bytes after which the file is synced: the last sync then does not take minutes. */
const WRITE_BYTES = 1024 * 1024
const SYNC_BYTES = 64 * 1024 * 1024

export interface FileOrder {
  readonly conversion: Conversion
  readonly path: string
  readonly signal: AbortSignal
  /** Called after each sync, with the offset that was reached and the bytes that the file takes so far. */
  readonly onSynced: (offset: number, writtenBytes: number) => Promise<void>
}

/** Writes a new file, complete and synced when it resolves; returns its length. Throws when the signal aborts; what was written then stays. */
export async function writeFile(disk: Disk, { conversion, path, signal, onSynced }: FileOrder): Promise<number> {
  await using file = await disk.openWrite(path, 'create')
  const parts = conversion.kind === 'seekable' ? conversion.parts(0, conversion.length, signal) : conversion.parts(signal)
  let offset = 0
  let written = 0
  let syncedAt = 0
  for await (const run of runsOf(parts)) {
    signal.throwIfAborted()
    if (run.bytes > 0) await write(file, run.parts, offset)
    offset += run.bytes + run.zeros
    written += run.bytes
    if (written - syncedAt < SYNC_BYTES) continue
    syncedAt = written
    await file.sync()
    await onSynced(offset, written)
  }
  await file.truncate(offset)
  await file.sync()
  await onSynced(offset, written)
  return offset
}

async function write(file: DiskFile, parts: readonly Uint8Array[], offset: number): Promise<void> {
  await file.write(parts, offset)
}

/** Bytes that follow each other, and the zeros after them. */
interface Run {
  readonly parts: readonly Uint8Array[]
  readonly bytes: number
  readonly zeros: number
}

/** Gathers parts into runs of bounded length. */
async function* runsOf(parts: AsyncIterable<Part>): AsyncGenerator<Run> {
  let gathered: Uint8Array[] = []
  let bytes = 0
  for await (const part of parts) {
    const zeros = part instanceof Uint8Array ? 0 : part.zeros
    if (part instanceof Uint8Array) {
      gathered.push(part)
      bytes += part.byteLength
    }
    if (zeros === 0 && bytes < WRITE_BYTES) continue
    yield { parts: gathered, bytes, zeros }
    gathered = []
    bytes = 0
  }
  if (bytes > 0) yield { parts: gathered, bytes, zeros: 0 }
}
