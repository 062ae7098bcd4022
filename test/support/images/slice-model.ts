// A slice store and a model of it: the images that it must contain, as plain bytes. The model provides the roots of the store.

import fc from 'fast-check'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeManifest, manifestEntries } from '../../../protocol/slices/manifest.ts'
import type { Manifest, ManifestEntry, MemoryManifest } from '../../../protocol/slices/manifest.ts'
import type { Disk } from '../../../agent/contract/disk.ts'
import type { Clock, CrashPoint } from '../../../agent/contract/runtime.ts'
import type { Ingest, SliceRoot, SliceRoots } from '../../../agent/contract/slices.ts'
import { SliceUnreadable } from '../../../agent/contract/slices.ts'
import type { CutterParameters } from '../../../protocol/slices/cutter.ts'
import { openSliceStore } from '../../../agent/slices/store.ts'
import type { OpenSliceStore } from '../../../agent/slices/store.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createMemoryLog } from '../memory/memory-log.ts'
import { createRandom } from '../properties.ts'

/** Cutter parameters that produce many small slices. */
export const SMALL_CUTTER: CutterParameters = { block: 512, minimum: 1024, average: 2048, maximum: 8192 }
/** Length at which packs are sealed: small enough that a few images fill several packs. */
export const SMALL_PACK_BYTES = 64 * 1024

export interface StoreOptions {
  /** Contains the folders `mount` and `state`. */
  readonly folder: string
  readonly roots?: readonly SliceRoots[]
  readonly disk?: Disk
  readonly clock?: Clock
  readonly cutter?: CutterParameters
  readonly packSealBytes?: number
  readonly crashPoint?: CrashPoint
  readonly rebuild?: boolean
  readonly onCorrupt?: (digest: Uint8Array, reason: string) => void
  readonly onIndexDamaged?: (reason: string) => void
  readonly onIndexRebuilt?: (packs: number) => void
}

/** Opens a store in a folder. Opening the same folder again is a restart. */
export async function openStore(options: StoreOptions): Promise<OpenSliceStore> {
  const disk = options.disk ?? createDisk()
  const mount = join(options.folder, 'mount')
  await disk.makeFolder(mount)
  return openSliceStore(
    {
      disk,
      clock: options.clock ?? systemClock,
      log: createMemoryLog(),
      crashPoint: options.crashPoint ?? (() => {}),
      mount,
      state: join(options.folder, 'state'),
      cutter: options.cutter ?? SMALL_CUTTER,
      workers: 1,
      packSealBytes: options.packSealBytes ?? SMALL_PACK_BYTES,
      roots: options.roots ?? [],
      ...(options.onCorrupt ? { onCorrupt: options.onCorrupt } : {}),
      ...(options.onIndexDamaged ? { onIndexDamaged: options.onIndexDamaged } : {}),
      ...(options.onIndexRebuilt ? { onIndexRebuilt: options.onIndexRebuilt } : {}),
    },
    { rebuild: options.rebuild ?? false },
  )
}

export interface ModelImage {
  readonly name: string
  readonly bytes: Buffer
  readonly manifest: MemoryManifest
}

/** The images that a store must contain. They are its roots. */
export interface SliceModel extends SliceRoots {
  readonly images: Map<string, ModelImage>
  /** Returns the digests, as hex, of all slices in use. */
  live(): Set<string>
  /** Stores bytes as an image and adds it to the roots before its pins are released. */
  add(store: OpenSliceStore, name: string, bytes: Buffer): Promise<ModelImage>
  remove(name: string): void
}

export function createSliceModel(): SliceModel {
  const images = new Map<string, ModelImage>()
  return {
    images,
    *list(): Iterable<SliceRoot> {
      for (const { name, manifest } of images.values()) yield { name: `image ${name}`, entries: () => manifestEntries(manifest) }
    },
    live: () => new Set([...images.values()].flatMap(({ manifest }) => digestsOf(manifest))),
    async add(store, name, bytes) {
      await using ingest = store.ingest({ offset: 0, tail: new Uint8Array(0) })
      await writeAll(ingest, bytes)
      const checkpoint = await ingest.finish()
      const { manifest } = await encodeManifest(checkpoint.entries)
      const image = { name, bytes, manifest }
      images.set(name, image)
      checkpoint.release()
      return image
    },
    remove: (name) => void images.delete(name),
  }
}

/** Writes bytes in pieces. The default length of 64 KiB is that of request bodies. */
export async function writeAll(ingest: Ingest, bytes: Buffer, pieceLength: number = 64 * 1024): Promise<void> {
  for (let at = 0; at < bytes.length; at += pieceLength) await ingest.write(bytes.subarray(at, at + pieceLength))
}

/** Reads the bytes [start, end) of an image from the store. */
export async function readBack(store: OpenSliceStore, manifest: Manifest, start = 0, end: number = manifest.imageLength): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of store.read(manifest, start, end)) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

/** Reads an image. Returns `unreadable` if the store refuses to read it, and throws if the store returns wrong bytes. */
export async function readOutcome(store: OpenSliceStore, image: ModelImage): Promise<'whole' | 'unreadable'> {
  let read: Buffer
  try {
    read = await readBack(store, image.manifest)
  } catch (error) {
    if (error instanceof SliceUnreadable) return 'unreadable'
    throw error
  }
  if (!read.equals(image.bytes)) throw new Error(`the store returned wrong bytes for ${image.name}`)
  return 'whole'
}

/** Returns the digests, as hex, of the slices of a manifest. */
export function digestsOf(manifest: MemoryManifest): string[] {
  const digests: string[] = []
  for (let i = 0; i < manifest.count; i++) if (!manifest.isZeroAt(i)) digests.push(Buffer.from(manifest.digestAt(i)).toString('hex'))
  return digests
}

/** Merges adjacent runs of zeros, as a manifest does. */
export function joinZeroRuns(entries: readonly ManifestEntry[]): ManifestEntry[] {
  const joined: ManifestEntry[] = []
  for (const entry of entries) {
    const before = joined.at(-1)
    if (entry.length === 0) continue
    if (before?.digest === null && entry.digest === null) joined[joined.length - 1] = { length: before.length + entry.length, digest: null }
    else joined.push(entry)
  }
  return joined
}

/** Returns incompressible bytes, as many as this number of blocks of SMALL_CUTTER has. Equal seeds give equal bytes. */
export function noiseBlocks(seed: number, blocks: number): Buffer {
  return createRandom(seed).bytes(blocks * SMALL_CUTTER.block)
}

/** A stretch of content: zeros, incompressible bytes, or compressible bytes. */
export interface Stretch {
  readonly kind: 'zeros' | 'noise' | 'text'
  readonly length: number
  readonly seed: number
}

/** Returns the bytes of stretches. Equal stretches have equal bytes. */
export function contentOf(stretches: readonly Stretch[]): Buffer {
  return Buffer.concat(
    stretches.map(({ kind, length, seed }) => {
      if (kind === 'zeros') return Buffer.alloc(length)
      const random = createRandom(seed)
      if (kind === 'noise') return random.bytes(length)
      const words = Buffer.alloc(length)
      for (let at = 0; at < length; at += 16) words.write(`line ${random.below(1000)} of a log\n`, at, 'latin1')
      return words
    }),
  )
}

/** Generates stretches for `contentOf` from few seeds, so that content repeats within and across images. */
export function stretchesArbitrary(bounds: { stretchesMax: number; lengthMax: number; block?: number }): fc.Arbitrary<Stretch[]> {
  const block = bounds.block ?? SMALL_CUTTER.block
  const length = fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 1, max: Math.floor(bounds.lengthMax / block) }).map((blocks) => blocks * block) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: bounds.lengthMax }) },
  )
  const kind = fc.constantFrom<Stretch['kind'][]>('zeros', 'noise', 'text')
  return fc.array(fc.record({ kind, length, seed: fc.integer({ min: 0, max: 7 }) }), { maxLength: bounds.stretchesMax })
}

/** Returns the total length of all files below a folder. */
export async function folderBytes(folder: string): Promise<number> {
  let bytes = 0
  for await (const file of new Bun.Glob('**/*').scan({ cwd: folder, dot: true })) bytes += Bun.file(join(folder, file)).size
  return bytes
}

/** Returns the sorted paths of all files below a folder with this ending. */
export async function filesBelow(folder: string, ending: string): Promise<string[]> {
  const files = await Array.fromAsync(new Bun.Glob(`**/*${ending}`).scan({ cwd: folder, dot: true }))
  return files.map((file) => join(folder, file)).toSorted()
}

/** Changes bytes of a file in place, to simulate bit rot. */
export async function damage(path: string, offset: number, change: (byte: number) => number = (byte) => byte ^ 0xff, length = 1): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const bytes = Buffer.alloc(length)
    await file.read(bytes, 0, length, offset)
    await file.write(bytes.map(change), 0, length, offset)
  } finally {
    await file.close()
  }
}
