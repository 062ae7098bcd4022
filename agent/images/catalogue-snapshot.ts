// The snapshot of the catalogue: what a start would read of the files of each image, in one file of the state folder. A start with a snapshot asks the
// file system for the state of each image's files and reads only those that changed. The mount path stays the truth: an entry counts only while the
// folder, the image.json and the manifest have the inode, length and times that they had when the entry was read from them. Damage by the hardware
// changes none of these; reads and scrubs find it, as they do while an agent runs.

import { join } from 'node:path'
import { z } from 'zod'
import { OPERATING_SYSTEMS } from '../../protocol/images/operating-systems.ts'
import type { Disk, FileStat, StatAll } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import { blankImage, decodeImageFile, IMAGE_FILE_BYTES_MAX, isNameRecent, newLife, storedSchema } from './records/image-file.ts'
import type { StoredImage } from './records/image-file.ts'
import type { ImageKeeper } from './records/image-keeper.ts'
import type { ManifestFiles } from './manifests/manifest-files.ts'
import { COMMON_DETAILS, packImage, unpackImage } from './snapshot/packed-image.ts'
import { formatLine, openSnapshotWriter, readSnapshotFile } from './snapshot/snapshot-file.ts'
import type { SnapshotLine, SnapshotPlace } from './snapshot/snapshot-file.ts'

/** Changes of images after which the snapshot is written again: a start reads about 1,500 images a second from their files. */
const CHANGES_MIN = 500
/** Interval at which the changes are counted, in milliseconds. */
const CHECK_MS = 60_000
/**
 * Age of the last change of a file, in milliseconds, before which an entry is not written: file systems count time in steps of up to 2 s, so a further
 * change within the same step could not be seen.
 */
const SETTLED_MS = 10_000
/** Images whose files are read at a time for the snapshot. It is not urgent. */
const READS_MAX = 4
/** Files of whose states `statAll` is asked: it starts a thread, which does not pay for fewer. */
const STAT_ALL_MIN = 3000

/** An image as most are, from which those of the snapshot differ. Its parts belong to many images, so nothing may change them. */
export const COMMON_IMAGE: StoredImage = {
  image: blankImage({ id: '', format: 'raw', status: 'available', formatDetails: COMMON_DETAILS }, 0),
  life: newLife(),
}

export interface CatalogueSnapshotDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  /** Path of the snapshot in the state folder. */
  readonly path: string
  readonly keeper: ImageKeeper
  readonly manifests: ManifestFiles
  /** Asks for the states of many files at a time. Default: `stat` of the disk for each. */
  readonly statAll?: StatAll
}

export interface CatalogueSnapshot extends AsyncDisposable {
  /** Puts the images whose files did not change into the table, and returns their ids. Never throws: without a snapshot there are none. */
  load(names: ReadonlySet<string>): Promise<Set<string>>
  /** Writes the snapshot in the background from now on, whenever enough images changed. */
  start(changesAtStart: number): void
  /** Writes the snapshot now. Throws disk errors. */
  write(): Promise<void>
}

/** Creates the snapshot of a catalogue. Nothing is read before `load`. */
export function createCatalogueSnapshot(deps: CatalogueSnapshotDeps): CatalogueSnapshot {
  const { clock, log, keeper } = deps
  const stopping = new AbortController()
  /** Version of the table at the last snapshot. */
  let writtenVersion = 0
  let writing: Promise<void> | undefined
  let watch: Disposable | undefined
  const write = async (): Promise<void> => {
    const version = keeper.table.version()
    const count = await writeSnapshot(deps, stopping.signal)
    if (count === undefined) return
    writtenVersion = version
    log.info('the snapshot of the catalogue was written', { images: count })
  }
  const check = (): void => {
    if (writing || keeper.table.version() - writtenVersion < CHANGES_MIN) return
    writing = write()
      // Without a snapshot, the next start reads every image from its files.
      .catch((error: unknown) => log.warn('the snapshot of the catalogue could not be written', { error }))
      .finally(() => (writing = undefined))
  }
  return {
    async load(names) {
      try {
        return await loadSnapshot(deps, names)
      } catch (error) {
        log.warn('the snapshot of the catalogue cannot be read', { error })
        return new Set([...names].filter((name) => keeper.table.get(name)))
      }
    },
    start(changesAtStart) {
      writtenVersion = keeper.table.version() - changesAtStart
      watch = clock.every(CHECK_MS, check)
    },
    write,
    async [Symbol.asyncDispose]() {
      watch?.[Symbol.dispose]()
      stopping.abort()
      await writing
    },
  }
}

let keyOfThisProgram: string | undefined

/** Returns a text that differs between programs whose images in memory have other members or values than those of this one. */
function snapshotKey(): string {
  keyOfThisProgram ??= hashOfShape()
  return keyOfThisProgram
}

function hashOfShape(): string {
  const shape = JSON.stringify([z.toJSONSchema(storedSchema, { io: 'output', unrepresentable: 'any' }), OPERATING_SYSTEMS, COMMON_IMAGE])
  return Bun.hash.xxHash64(shape).toString(16).padStart(16, '0')
}

function placeOf({ disk, path }: CatalogueSnapshotDeps): SnapshotPlace {
  return { disk, path, key: snapshotKey() }
}

async function loadSnapshot(deps: CatalogueSnapshotDeps, names: ReadonlySet<string>): Promise<Set<string>> {
  const { clock, keeper } = deps
  const loaded = new Set<string>()
  const stateOf = names.size * FILES_OF_IMAGE < STAT_ALL_MIN ? undefined : deps.statAll
  const load = async (lines: readonly SnapshotLine[], asked: Promise<(FileStat | undefined)[]>): Promise<void> => {
    const states = await asked
    for (const [i, { id, identity, value }] of lines.entries()) {
      const files = identityOfFiles(states, i * FILES_OF_IMAGE)
      if (!files || !isSame(files.identity, identity) || isNameRecent(files.modifiedMs, clock.nowMs())) continue
      keeper.table.put(unpackImage(value, COMMON_IMAGE))
      loaded.add(id)
    }
  }
  let loading = Promise.resolve()
  for await (const all of readSnapshotFile(placeOf(deps))) {
    const lines = all.filter(({ id }) => names.has(id))
    const paths = lines.flatMap(({ id }) => filesOf(keeper, id))
    const asked = stateOf ? stateOf(paths) : Promise.all(paths.map((path) => deps.disk.stat(path)))
    // The next lines are read while the file system is asked about these.
    await loading
    loading = load(lines, asked)
    loading.catch(() => {})
  }
  await loading
  return loaded
}

/** Writes the snapshot and returns the number of its images; undefined if it was aborted. */
async function writeSnapshot(deps: CatalogueSnapshotDeps, signal: AbortSignal): Promise<number | undefined> {
  const { keeper } = deps
  const place = placeOf(deps)
  await using writer = await openSnapshotWriter(place)
  const written = new Set<string>()
  const copyLine = async ({ id, identity, text }: SnapshotLine): Promise<void> => {
    if (!keeper.table.get(id) || written.has(id) || !isSame((await identify(deps, id))?.identity, identity)) return
    written.add(id)
    await writer.add(text())
  }
  for await (const lines of readSnapshotFile(place)) {
    for (let at = 0; at < lines.length && !signal.aborted; at += READS_MAX) await Promise.all(lines.slice(at, at + READS_MAX).map(copyLine))
  }
  const ids = keeper.table.all().map(({ image }) => image.id)
  const others = ids.filter((id) => !written.has(id)).values()
  const readOthers = async (): Promise<void> => {
    for (const id of others) {
      if (signal.aborted) return
      const entry = await readEntry(deps, id).catch(() => undefined)
      if (!entry) continue
      written.add(id)
      await writer.add(entry)
    }
  }
  // All readers share one iterator, so each image is read once.
  await Promise.all(Array.from({ length: READS_MAX }, readOthers))
  if (signal.aborted) return undefined
  await writer.finish()
  return written.size
}

/** Reads the files of an image as a start does, and returns its line; undefined if a start would do more than read, or if the files change meanwhile. */
async function readEntry(deps: CatalogueSnapshotDeps, id: string): Promise<string | undefined> {
  const { disk, clock, keeper, manifests } = deps
  const before = await identify(deps, id)
  if (!before || keeper.unfinished.has(id) || Math.abs(clock.nowMs() - before.changedMs) < SETTLED_MS) return undefined
  const folder = keeper.folder(id)
  if ((await disk.list(folder)).toSorted().join() !== 'image.json,manifest') return undefined
  const decoded = await decodeImageFile(await disk.readFile(join(folder, 'image.json'), IMAGE_FILE_BYTES_MAX))
  if (decoded.kind === 'damaged') return undefined
  const { image, life } = decoded.stored
  if (image.id !== id || image.status === 'deleting' || life.compressed !== null || life.damage === 'manifest') return undefined
  if ((await manifests.checkEnds(id, image.manifestDigest)).kind === 'damaged') return undefined
  const after = await identify(deps, id)
  return isSame(after?.identity, before.identity) ? formatLine({ id, identity: before.identity, value: packImage(decoded.stored, COMMON_IMAGE) }) : undefined
}

/** Files of an image whose states identify what was read: its folder, image.json and manifest. */
const FILES_OF_IMAGE = 3

function filesOf(keeper: ImageKeeper, id: string): readonly string[] {
  const folder = keeper.folder(id)
  return [folder, `${folder}/image.json`, `${folder}/manifest`]
}

interface ImageFiles {
  /** Numbers of which one differs after any change of the folder, image.json or manifest. */
  readonly identity: readonly number[]
  /** Time of the last change of any of them. */
  readonly changedMs: number
  /** Time of the last change of the bytes of image.json. */
  readonly modifiedMs: number
}

/** Asks for the state of the files of an image. Returns undefined if one is missing, or if the disk does not tell enough. */
async function identify({ disk, keeper }: CatalogueSnapshotDeps, id: string): Promise<ImageFiles | undefined> {
  return identityOfFiles(await Promise.all(filesOf(keeper, id).map((path) => disk.stat(path))), 0)
}

/** Returns what the states of the files of an image from `at` on say, as `identify` does. */
function identityOfFiles(states: readonly (FileStat | undefined)[], at: number): ImageFiles | undefined {
  const folder = states[at]
  const image = states[at + 1]
  const manifest = states[at + 2]
  if (folder?.kind !== 'folder' || image?.kind !== 'file' || manifest?.kind !== 'file') return undefined
  const { changedMs, inode } = folder
  const { changedMs: imageMs, inode: imageInode } = image
  const { changedMs: manifestMs, inode: manifestInode } = manifest
  if (changedMs === undefined || imageMs === undefined || manifestMs === undefined) return undefined
  if (inode === undefined || imageInode === undefined || manifestInode === undefined) return undefined
  const ofFolder = [inode, folder.modifiedMs, changedMs]
  const identity = [...ofFolder, imageInode, image.length, image.modifiedMs, imageMs, manifestInode, manifest.length, manifest.modifiedMs, manifestMs]
  return { identity, changedMs: Math.max(changedMs, imageMs, manifestMs), modifiedMs: image.modifiedMs }
}

function isSame(identity: readonly number[] | undefined, other: readonly number[]): boolean {
  return identity?.length === other.length && identity.every((number, i) => number === other[i])
}
