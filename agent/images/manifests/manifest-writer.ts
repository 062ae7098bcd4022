// Writes a manifest whose entries do not fit into memory. The header contains the number of entries and is covered by the digest, so the entries
// are read twice: once to count them and once to write them.

import { dirname, join } from 'node:path'
import { hasCode } from '../../../protocol/errors.ts'
import { formatDigest } from '../../../protocol/slices/digest.ts'
import type { Digest } from '../../../protocol/slices/digest.ts'
import { encodeManifestHeader, MANIFEST_ENTRIES_MAX, MANIFEST_ENTRY_BYTES, MANIFEST_HEADER_BYTES } from '../../../protocol/slices/manifest.ts'
import type { Manifest, ManifestEntry } from '../../../protocol/slices/manifest.ts'
import { problem } from '../../../protocol/problems.ts'
import type { Disk, DiskFile } from '../../contract/disk.ts'
import type { NewContent } from '../../contract/images.ts'

/** Entries encoded in memory before they are written: 640 KiB, about 2 ms of work. */
const WINDOW_ENTRIES = 16_384

export interface WrittenManifest {
  readonly digest: Digest
  readonly imageLength: number
  readonly count: number
}

export interface ManifestWriterDeps {
  readonly disk: Disk
  /** Lets other work on the event loop run. */
  readonly pause: () => Promise<void>
}

/**
 * Replaces the manifest at a path; durable when it resolves. Merges adjacent runs of zeros and omits empty entries, so equal content always
 * results in equal bytes. Throws `payload-too-large` before writing if there are more than MANIFEST_ENTRIES_MAX entries.
 */
export async function writeManifest(deps: ManifestWriterDeps, path: string, content: NewContent): Promise<WrittenManifest> {
  const { count, imageLength } = await measure(deps, content)
  if (imageLength !== content.length) throw new Error(`the entries of ${path} cover ${imageLength} bytes, not ${content.length}`)
  const digest = await replaceFile(deps.disk, path, (file) => writeEntries(deps, file, content, { count, imageLength }))
  return { digest, imageLength, count }
}

/** Writes a copy of a verified manifest piece by piece; durable when it resolves. */
export async function copyManifest(disk: Disk, path: string, manifest: Manifest): Promise<void> {
  await replaceFile(disk, path, async (file) => {
    let at = 0
    for await (const piece of manifest.pieces()) {
      await file.write([piece], at)
      at += piece.byteLength
    }
  })
}

/** Writes a temporary file, syncs it and renames it to the path. */
async function replaceFile<Result>(disk: Disk, path: string, write: (file: DiskFile) => Promise<Result>): Promise<Result> {
  const temporary = join(dirname(path), 'manifest.next.tmp')
  const file = await createFile(disk, temporary)
  try {
    let result: Result
    try {
      result = await write(file)
      await file.sync()
    } finally {
      await file.close()
    }
    await disk.rename(temporary, path)
    return result
  } catch (error) {
    // If the removal fails, the next start removes the temporary file.
    await disk.remove(temporary).catch(() => {})
    throw error
  }
}

async function createFile(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.openWrite(path, 'create')
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error
    await disk.remove(path)
    return disk.openWrite(path, 'create')
  }
}

async function measure({ pause }: ManifestWriterDeps, { blocks, signal }: NewContent): Promise<Omit<WrittenManifest, 'digest'>> {
  const joined = createZeroJoin()
  let count = 0
  let imageLength = 0
  let seen = 0
  for await (const block of blocks()) {
    for (const entry of block) {
      if (joined.begins(entry)) count++
      imageLength += entry.length
      if (++seen % WINDOW_ENTRIES === 0) await pause()
    }
    signal?.throwIfAborted()
    refuseTooMany(count)
  }
  return { count, imageLength }
}

/** Throws `payload-too-large` if a manifest cannot have this many entries. */
export function refuseTooMany(count: number): void {
  if (count > MANIFEST_ENTRIES_MAX)
    throw problem('payload-too-large', `An image can have at most ${MANIFEST_ENTRIES_MAX} slices; this one has more.`, { limit: MANIFEST_ENTRIES_MAX })
}

async function writeEntries(deps: ManifestWriterDeps, file: DiskFile, { blocks, signal }: NewContent, size: Omit<WrittenManifest, 'digest'>): Promise<Digest> {
  const { pause } = deps
  const hash = new Bun.CryptoHasher('sha256')
  const joined = createZeroJoin()
  let at = 0
  const write = async (bytes: Uint8Array): Promise<void> => {
    await file.write([bytes], at)
    at += bytes.byteLength
  }
  const header = encodeManifestHeader(size)
  hash.update(header)
  await write(header)

  const window = new Uint8Array(WINDOW_ENTRIES * MANIFEST_ENTRY_BYTES)
  const view = new DataView(window.buffer)
  let filled = 0
  let offset = 0
  const flush = async (): Promise<void> => {
    const bytes = window.subarray(0, filled)
    filled = 0
    hash.update(bytes)
    await write(bytes)
  }
  for await (const block of blocks()) {
    for (const entry of block) {
      if (joined.begins(entry)) {
        view.setUint32(filled, offset >>> 0, true)
        view.setUint32(filled + 4, Math.floor(offset / 0x1_0000_0000), true)
        if (entry.digest) window.set(entry.digest, filled + 8)
        else window.fill(0, filled + 8, filled + MANIFEST_ENTRY_BYTES)
        filled += MANIFEST_ENTRY_BYTES
      }
      offset += entry.length
      if (filled < window.byteLength) continue
      await flush()
      await pause()
      signal?.throwIfAborted()
    }
  }
  if (filled > 0) await flush()
  if (at !== MANIFEST_HEADER_BYTES + size.count * MANIFEST_ENTRY_BYTES || offset !== size.imageLength) {
    throw new Error('the entries of the image changed while its manifest was written')
  }
  const raw = new Uint8Array(hash.digest())
  await write(raw)
  return formatDigest(raw)
}

/** Decides which entries start an entry of the manifest: all except empty entries and zeros that continue a run of zeros. */
function createZeroJoin(): { begins(entry: ManifestEntry): boolean } {
  let wasZero = false
  return {
    begins({ length, digest }) {
      if (length === 0) return false
      const begins = digest !== null || !wasZero
      wasZero = digest === null
      return begins
    },
  }
}
