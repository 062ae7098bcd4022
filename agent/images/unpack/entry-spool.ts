// The entries of an image that is being unpacked, in a temporary file: they may be more than fit into memory. The file is a root for gc while it exists.
// A start removes it, because unpacking begins again then.

import { hasCode } from '../../../protocol/errors.ts'
import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import type { Disk, DiskFile } from '../../contract/disk.ts'

/** Length of an entry as 64 bits, and its digest; zeros for a run of zeros. */
const ENTRY_BYTES = 40
/** Entries that are read at once: 80 KiB. */
const WINDOW_ENTRIES = 2048
/** Suffix of files that a start removes. */
const SPOOL_NAME = 'unpacked.tmp'

export interface EntrySpool extends AsyncDisposable {
  /** Bytes of the image that the entries cover. */
  readonly length: number
  /** Adds entries in image order. They are part of `blocks` when it resolves. */
  append(entries: readonly ManifestEntry[]): Promise<void>
  /** Yields the entries so far, one block at a time. Yields nothing once the spool was disposed. */
  blocks(): AsyncGenerator<ManifestEntry[]>
}

/** Creates an empty spool in a folder. Disposing removes its file. */
export async function createEntrySpool(disk: Disk, folder: string): Promise<EntrySpool> {
  const path = `${folder}/${SPOOL_NAME}`
  await disk.remove(path)
  const file = await disk.openWrite(path, 'create')
  let count = 0
  let length = 0
  return {
    get length() {
      return length
    },
    async append(entries) {
      const bytes = new Uint8Array(entries.length * ENTRY_BYTES)
      const view = new DataView(bytes.buffer)
      for (const [i, entry] of entries.entries()) {
        view.setBigUint64(i * ENTRY_BYTES, BigInt(entry.length), true)
        if (entry.digest) bytes.set(entry.digest, i * ENTRY_BYTES + 8)
      }
      await file.write([bytes], count * ENTRY_BYTES)
      count += entries.length
      for (const entry of entries) length += entry.length
    },
    async *blocks() {
      const reading = await openSpool(disk, path)
      if (!reading) return
      await using opened = reading
      for (let first = 0; first < count; first += WINDOW_ENTRIES) {
        const window = new Uint8Array(Math.min(WINDOW_ENTRIES, count - first) * ENTRY_BYTES)
        await opened.read(window, first * ENTRY_BYTES)
        yield decodeEntries(window)
      }
    },
    async [Symbol.asyncDispose]() {
      await file.close()
      await disk.remove(path)
    },
  }
}

async function openSpool(disk: Disk, path: string): Promise<DiskFile | undefined> {
  try {
    return await disk.openRead(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

function decodeEntries(window: Uint8Array): ManifestEntry[] {
  const view = new DataView(window.buffer)
  const entries: ManifestEntry[] = []
  for (let at = 0; at < window.byteLength; at += ENTRY_BYTES) {
    const digest = new Uint8Array(window.subarray(at + 8, at + ENTRY_BYTES))
    entries.push({ length: Number(view.getBigUint64(at, true)), digest: digest.every((byte) => byte === 0) ? null : digest })
  }
  return entries
}
