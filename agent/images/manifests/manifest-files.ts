// Manifests on the mount path: written once and read verified. Short ones are kept in memory, long ones as an open file of which a
// block at a time is read.

import { join } from 'node:path'
import { hasCode } from '../../../protocol/errors.ts'
import { digestIn, formatDigest } from '../../../protocol/digest.ts'
import type { Digest } from '../../../protocol/digest.ts'
import {
  decodeManifest,
  decodeManifestHeader,
  MANIFEST_BLOCK_ENTRIES,
  MANIFEST_ENTRIES_MAX,
  MANIFEST_ENTRY_BYTES,
  MANIFEST_HEADER_BYTES,
  MANIFEST_TRAILER_BYTES,
  ManifestInvalid,
  manifestLength,
  SLICE_LENGTH_MAX,
} from '../../../protocol/manifest.ts'
import type { Manifest, ManifestBlock, ManifestEntry } from '../../../protocol/manifest.ts'
import { openManifest, walkManifest } from '../../../protocol/manifest-file.ts'
import type { ManifestHashes, OpenedManifest } from '../../../protocol/manifest-file.ts'
import type { Disk, DiskFile } from '../../contract/disk.ts'
import type { NewContent } from '../../contract/images.ts'
import { readManifestWindows } from './manifest-windows.ts'
import { copyManifest, writeManifest } from './manifest-writer.ts'
import type { WrittenManifest } from './manifest-writer.ts'

/** Longest manifest that is read, in bytes. */
export const MANIFEST_FILE_BYTES_MAX = manifestLength(MANIFEST_ENTRIES_MAX)
/** A manifest up to this many bytes (26,000 entries) lies in memory while it is used; of a longer one, blocks do. */
export const MANIFEST_MEMORY_BYTES_MAX = 1024 * 1024
/** Bytes of manifests kept in memory when nobody uses them, and open files of longer ones. */
export const MANIFEST_CACHE_BYTES_MAX = 64 * 1024 * 1024
export const MANIFEST_CACHE_FILES_MAX = 32

const HASHES: ManifestHashes = { sha256: () => new Bun.CryptoHasher('sha256'), checksum: (bytes) => Bun.hash.xxHash64(bytes) }

/** What a look at the first and last bytes of a manifest found. */
export type ManifestLook = { readonly kind: 'plausible'; readonly length: number } | { readonly kind: 'damaged'; readonly reason: string }

/** A manifest to be read until it is disposed, also when its image is removed meanwhile. */
export interface HeldManifest extends OpenedManifest, Disposable {}

export interface ManifestFiles {
  path(id: string): string
  /** Copies a manifest that was verified. */
  write(id: string, manifest: Manifest): Promise<void>
  /** Writes the manifest of a new image without holding it in memory. Throws `payload-too-large` before anything is written. */
  writeContent(id: string, content: NewContent): Promise<WrittenManifest>
  /** Durable removal. */
  remove(id: string): Promise<void>
  /** Forgets what is kept of a manifest, so that the next reader verifies its file again. */
  forget(id: string): void
  /** The verified manifest. Throws ManifestInvalid when it is damaged, not there, or another one. */
  open(id: string, manifestDigest: string | null): Promise<HeldManifest>
  /** Like `open`, but not kept for the next one who asks: for passes over all images. */
  openOnce(id: string, manifestDigest: string | null): Promise<HeldManifest>
  /** The blocks of a manifest, read once: those that came before a ManifestInvalid was thrown may be wrong. */
  walk(id: string, manifestDigest: string | null): AsyncIterable<ManifestBlock>
  /** Its entries in windows, without holding all of it (`readManifestWindows`). */
  windows(id: string, manifestDigest: string): AsyncIterable<Uint8Array>
  /** Header and trailer only, for the start with many images; the bytes between are verified when they are read. */
  look(id: string, manifestDigest: string | null): Promise<ManifestLook>
  /** Every entry that can be made out in a damaged file; none where there is no file. Errors of the disk are thrown. */
  salvage(id: string): AsyncIterable<ManifestEntry>
}

export interface ManifestFilesDeps {
  readonly disk: Disk
  readonly folder: string
  /** Lets other work on the event loop run. */
  readonly pause: () => Promise<void>
  /** Called when a manifest that was verified turns out damaged while it is read; gives the error for the reader. */
  readonly onDamaged: (id: string, error: ManifestInvalid) => Promise<Error>
}

/** A manifest that is kept, and how many use it now. */
interface Kept extends OpenedManifest {
  /** Bytes in memory. */
  readonly bytes: number
  readonly file: DiskFile | undefined
  users: number
  isForgotten: boolean
}

export function createManifestFiles(deps: ManifestFilesDeps): ManifestFiles {
  const { disk } = deps
  const path = (id: string): string => join(deps.folder, id, 'manifest')
  // In order of use, the oldest first.
  const kept = new Map<string, Kept>()
  const opening = new Map<string, Promise<Kept>>()

  const close = (one: Kept): void => {
    // A file open for reading has nothing to lose when closing fails.
    if (one.users === 0) void one.file?.close().catch(() => {})
  }
  const forget = (id: string): void => {
    opening.delete(id)
    const one = kept.get(id)
    kept.delete(id)
    if (!one) return
    one.isForgotten = true
    close(one)
  }
  const trim = (): void => {
    let bytes = 0
    let files = 0
    for (const [id, one] of [...kept].toReversed()) {
      bytes += one.bytes
      files += one.file ? 1 : 0
      if ((bytes > MANIFEST_CACHE_BYTES_MAX || files > MANIFEST_CACHE_FILES_MAX) && one.users === 0) forget(id)
    }
  }
  const hold = (one: Kept): HeldManifest => {
    one.users++
    let isHeld = true
    return {
      manifest: one.manifest,
      digest: one.digest,
      [Symbol.dispose]() {
        if (!isHeld) return
        isHeld = false
        one.users--
        if (one.isForgotten) close(one)
        else trim()
      },
    }
  }
  const checked = (digest: Digest, manifestDigest: string | null): void => {
    if (manifestDigest !== null && digest !== manifestDigest) throw new ManifestInvalid('it is not the manifest that image.json names')
  }
  const openFile = async (id: string): Promise<DiskFile> => {
    try {
      return await disk.openRead(path(id))
    } catch (error) {
      if (hasCode(error, 'ENOENT')) throw new ManifestInvalid('its file is missing', { cause: error })
      throw error
    }
  }
  const load = async (id: string): Promise<Kept> => {
    const file = await openFile(id)
    let isKept = false
    try {
      const length = await file.length()
      if (length > MANIFEST_FILE_BYTES_MAX) throw new ManifestInvalid(`${length} bytes long, the limit is ${MANIFEST_FILE_BYTES_MAX}`)
      if (length <= MANIFEST_MEMORY_BYTES_MAX) {
        const bytes = new Uint8Array(length)
        if ((await file.read(bytes, 0)) < length) throw new ManifestInvalid('its file became shorter')
        return { ...(await decodeManifest(bytes)), bytes: length, file: undefined, users: 0, isForgotten: false }
      }
      const failing = { length: () => file.length(), read: (into: Uint8Array, position: number) => readOrForget(id, file, into, position) }
      const opened = await openManifest(failing, HASHES)
      isKept = true
      const manifest = watchManifest(opened.manifest, (error) => {
        if (kept.get(id)?.file === file) forget(id)
        return deps.onDamaged(id, error)
      })
      return { ...opened, manifest, bytes: Math.ceil(length / MANIFEST_ENTRY_BYTES / MANIFEST_BLOCK_ENTRIES) * 16, file, users: 0, isForgotten: false }
    } finally {
      if (!isKept) await file.close()
    }
  }
  const loadAndKeep = (id: string): Promise<Kept> => {
    const loading: Promise<Kept> = load(id).then(
      (one) => {
        // Replaced or removed meanwhile: whoever asked before that may read it, nobody after.
        if (opening.get(id) !== loading) return { ...one, isForgotten: true }
        opening.delete(id)
        kept.set(id, one)
        return one
      },
      (error: unknown) => {
        if (opening.get(id) === loading) opening.delete(id)
        throw error
      },
    )
    opening.set(id, loading)
    return loading
  }
  /** A mount that went away and came back needs a new open file. */
  const readOrForget = async (id: string, file: DiskFile, into: Uint8Array, position: number): Promise<number> => {
    try {
      return await file.read(into, position)
    } catch (error) {
      if (kept.get(id)?.file === file) forget(id)
      throw error
    }
  }

  return {
    path,
    async write(id, manifest) {
      await copyManifest(disk, path(id), manifest)
      forget(id)
    },
    async writeContent(id, content) {
      const written = await writeManifest(deps, path(id), content)
      forget(id)
      return written
    },
    async remove(id) {
      forget(id)
      await disk.remove(path(id))
    },
    forget,
    async open(id, manifestDigest) {
      const known = kept.get(id)
      if (known) {
        checked(known.digest, manifestDigest)
        // Used last, closed last.
        kept.delete(id)
        kept.set(id, known)
        return hold(known)
      }
      const one = await (opening.get(id) ?? loadAndKeep(id))
      const held = hold(one)
      try {
        checked(one.digest, manifestDigest)
      } catch (error) {
        held[Symbol.dispose]()
        throw error
      }
      return held
    },
    async openOnce(id, manifestDigest) {
      const known = kept.get(id)
      const one = known ?? { ...(await load(id)), isForgotten: true }
      const held = hold(one)
      try {
        checked(one.digest, manifestDigest)
      } catch (error) {
        held[Symbol.dispose]()
        throw error
      }
      return held
    },
    async *walk(id, manifestDigest) {
      const file = await openFile(id)
      try {
        const blocks = walkManifest(file, HASHES)
        for (;;) {
          const { value, done } = await blocks.next()
          if (done) return checked(value, manifestDigest)
          yield value
        }
      } finally {
        await file.close()
      }
    },
    windows: (id, manifestDigest) => readManifestWindows(disk, path(id), manifestDigest),
    look: (id, manifestDigest) => lookAtManifest(disk, path(id), manifestDigest),
    async *salvage(id) {
      let file: DiskFile
      try {
        file = await openFile(id)
      } catch (error) {
        if (error instanceof ManifestInvalid) return
        throw error
      }
      try {
        yield* salvageEntries(file)
      } finally {
        await file.close()
      }
    },
  }
}

/** Returns a manifest whose readers get the error that `onInvalid` gives when a block is no longer the one that was verified. */
function watchManifest(manifest: Manifest, onInvalid: (error: ManifestInvalid) => Promise<Error>): Manifest {
  const failure = async (error: unknown): Promise<unknown> => (error instanceof ManifestInvalid ? onInvalid(error) : error)
  return {
    ...manifest,
    async *blocks(from) {
      try {
        yield* manifest.blocks(from)
      } catch (error) {
        throw await failure(error)
      }
    },
    async find(offset) {
      try {
        return await manifest.find(offset)
      } catch (error) {
        throw await failure(error)
      }
    },
    async *pieces(position) {
      try {
        yield* manifest.pieces(position)
      } catch (error) {
        throw await failure(error)
      }
    },
  }
}

async function lookAtManifest(disk: Disk, path: string, manifestDigest: string | null): Promise<ManifestLook> {
  const damaged = (reason: string): ManifestLook => ({ kind: 'damaged', reason })
  const stat = await disk.stat(path)
  if (stat?.kind !== 'file') return damaged('its file is missing')
  if (stat.length < manifestLength(0)) return damaged('shorter than the smallest manifest')
  await using file = await disk.openRead(path)
  const ends = new Uint8Array(MANIFEST_HEADER_BYTES + MANIFEST_TRAILER_BYTES)
  await file.read(ends.subarray(0, MANIFEST_HEADER_BYTES), 0)
  await file.read(ends.subarray(MANIFEST_HEADER_BYTES), stat.length - MANIFEST_TRAILER_BYTES)
  const count = Number(new DataView(ends.buffer).getBigUint64(12, true))
  if (manifestLength(count) !== stat.length) return damaged(`${count} entries do not fill ${stat.length} bytes`)
  try {
    decodeManifestHeader(ends.subarray(0, MANIFEST_HEADER_BYTES))
  } catch (error) {
    if (error instanceof ManifestInvalid) return damaged(error.message)
    throw error
  }
  if (manifestDigest !== null && formatDigest(ends.subarray(MANIFEST_HEADER_BYTES)) !== manifestDigest)
    return damaged('it is not the manifest that image.json names')
  return { kind: 'plausible', length: stat.length }
}

/** Digests in the places where entries stand, whatever the frame says: rather too many than one too few. */
async function* salvageEntries(file: DiskFile): AsyncGenerator<ManifestEntry> {
  const window = new Uint8Array(MANIFEST_BLOCK_ENTRIES * MANIFEST_ENTRY_BYTES)
  for (let position = MANIFEST_HEADER_BYTES; position < MANIFEST_FILE_BYTES_MAX; position += window.byteLength) {
    const filled = await file.read(window, position)
    for (let at = 0; at + MANIFEST_ENTRY_BYTES <= filled; at += MANIFEST_ENTRY_BYTES) {
      const digest = digestIn(window, at + 8)
      // The true length cannot be told from damaged offsets; whoever keeps slices alive goes by the digest.
      yield { length: SLICE_LENGTH_MAX, digest: digest.every((byte) => byte === 0) ? null : digest }
    }
    if (filled < window.byteLength) return
  }
}
