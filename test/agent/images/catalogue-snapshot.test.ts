// The snapshot of the catalogue: a start with it finds what a start without it finds, whatever happened to the files of images, to the snapshot and
// to the clock meanwhile.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { createCatalogueSnapshot } from '../../../agent/images/catalogue-snapshot.ts'
import { createImageKeeper } from '../../../agent/images/records/image-keeper.ts'
import { decodeImageFile, encodeImageFile } from '../../../agent/images/records/image-file.ts'
import type { StoredImage } from '../../../agent/images/records/image-file.ts'
import { createImageTable } from '../../../agent/images/records/image-table.ts'
import { loadImages } from '../../../agent/images/load.ts'
import { createManifestFiles } from '../../../agent/images/manifests/manifest-files.ts'
import type { Disk, StatAll } from '../../../agent/contract/disk.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createStatAll } from '../../../agent/system/stat-all.ts'
import { errorCode } from '../../../protocol/errors.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { propertyOptions } from '../../support/properties.ts'

setDefaultTimeout(120_000)

const IMAGES = 6
const DAY_MS = 86_400_000
/** Two days after the files were written, so that none of them is recent. */
const LATER_MS = Date.now() + 2 * DAY_MS

let template: TemporaryFolder
let stored: StoredImage

const idOf = (i: number): string => `img_${String(i).padStart(26, '0')}`

beforeAll(async () => {
  template = await createTemporaryFolder()
  let id = ''
  {
    await using store = await openImageStore(template)
    id = (await store.add(seededBytes(100_000, 1))).id
  }
  const folder = template.file('mount', 'images', id)
  const decoded = await decodeImageFile(new Uint8Array(readFileSync(join(folder, 'image.json'))))
  if (decoded.kind !== 'whole') throw new Error(decoded.reason)
  stored = decoded.stored
  for (let i = 0; i < IMAGES; i++) {
    mkdirSync(template.file('images', idOf(i)), { recursive: true })
    cpSync(join(folder, 'manifest'), template.file('images', idOf(i), 'manifest'))
    writeFileSync(template.file('images', idOf(i), 'image.json'), await imageJson(i, 'first'))
  }
})

afterAll(() => template[Symbol.asyncDispose]())

function imageJson(i: number, description: string): Promise<Uint8Array> {
  return encodeImageFile({ ...stored, image: { ...stored.image, id: idOf(i), name: `image ${i}`, description } })
}

interface Start {
  readonly images: readonly StoredImage[]
  /** Images that were not read from their files. */
  readonly known: number
  write(): Promise<void>
}

/** Loads the images of a mount path, with the snapshot in its folder if `withSnapshot`. */
async function start(
  folder: string,
  { withSnapshot = true, nowMs = LATER_MS, disk = createDisk(), statAll }: { withSnapshot?: boolean; nowMs?: number; disk?: Disk; statAll?: StatAll } = {},
): Promise<Start> {
  const clock = { ...systemClock, nowMs: () => nowMs }
  const log = createMemoryLog()
  const images = join(folder, 'images')
  const table = createImageTable()
  const keeper = createImageKeeper({ disk, folder: images, table, nowMs: clock.nowMs, ledger: { append: () => Promise.resolve() } })
  const manifestFiles = (name: 'manifest' | 'compressed') =>
    createManifestFiles({ disk, folder: images, name, pause: () => clock.sleep(0), onDamaged: (_id, error) => Promise.resolve(error) })
  const manifests = manifestFiles('manifest')
  const snapshot = createCatalogueSnapshot({ disk, clock, log, path: join(folder, 'snapshot'), keeper, manifests, ...(statAll && { statAll }) })
  let known = 0
  const counted: Pick<typeof snapshot, 'load' | 'start'> = {
    async load(names) {
      const loaded = await snapshot.load(names)
      known = loaded.size
      return loaded
    },
    start: () => {},
  }
  await loadImages(
    { disk, clock, log, emit: () => {}, folder: images, quarantine: join(folder, 'quarantine'), keeper, manifests, compressed: manifestFiles('compressed') },
    withSnapshot ? counted : undefined,
  )
  return { images: table.all().toSorted((a, b) => (a.image.id < b.image.id ? -1 : 1)), known, write: () => snapshot.write() }
}

/** Creates a mount path with images and a snapshot of them. */
async function withImages(): Promise<TemporaryFolder> {
  const folder = await createTemporaryFolder()
  cpSync(template.file('images'), folder.file('images'), { recursive: true })
  // Times that can be set again exactly.
  const seconds = Math.floor(Date.now() / 1000)
  for (let i = 0; i < IMAGES; i++) for (const name of ['image.json', 'manifest']) utimesSync(folder.file('images', idOf(i), name), seconds, seconds)
  await (await start(folder.path)).write()
  // Times of the file system advance in steps.
  await systemClock.sleep(10)
  return folder
}

/** Writes bytes into the file itself, and gives it the time that it had: what no start must overlook. */
function patchInPlace(path: string, patch: (bytes: Buffer) => void): void {
  const { atime, mtime } = statSync(path)
  const bytes = readFileSync(path)
  patch(bytes)
  writeFileSync(path, bytes)
  utimesSync(path, atime, mtime)
}

describe('a start with a snapshot', () => {
  test('reads no image that did not change', async () => {
    await using folder = await withImages()
    const read: string[] = []
    const disk = createDisk()
    const watched: Disk = { ...disk, readFile: (path, lengthMax) => (read.push(path), disk.readFile(path, lengthMax)) }
    const found = await start(folder.path, { disk: watched })
    expect([found.known, found.images.length, read]).toEqual([IMAGES, IMAGES, []])
    expect(found.images).toEqual((await start(folder.path, { withSnapshot: false })).images)
  })

  test('asks for the states of many files together', async () => {
    await using folder = await withImages()
    // Folders that are not in the snapshot.
    for (let i = IMAGES; i < 1000; i++) mkdirSync(folder.file('images', idOf(i)))
    const asked: number[] = []
    const statAll = createStatAll()
    const counted: StatAll = (paths) => (asked.push(paths.length), statAll(paths))
    writeFileSync(folder.file('images', idOf(1), 'image.json'), await imageJson(1, 'second'))
    const found = await start(folder.path, { statAll: counted })
    expect([found.known, found.images.length, asked]).toEqual([IMAGES - 1, IMAGES, [3 * IMAGES]])
    expect(found.images[1]?.image.description).toBe('second')
    await found.write()
    // A store with fewer images starts no thread.
    expect((await start(folder.path, { statAll: counted })).known).toBe(IMAGES)
    expect(asked).toEqual([3 * IMAGES])
  })

  test('reads every image from its files when the states cannot be read', async () => {
    await using folder = await withImages()
    for (let i = IMAGES; i < 1000; i++) mkdirSync(folder.file('images', idOf(i)))
    const found = await start(folder.path, { statAll: () => Promise.reject(new Error('the thread failed')) })
    expect([found.known, found.images.length]).toEqual([0, IMAGES])
  })

  test('reads the images that changed since, and the next snapshot has them', async () => {
    await using folder = await withImages()
    writeFileSync(folder.file('images', idOf(1), 'new'), await imageJson(1, 'second'))
    renameSync(folder.file('images', idOf(1), 'new'), folder.file('images', idOf(1), 'image.json'))
    rmSync(folder.file('images', idOf(2)), { recursive: true })
    const found = await start(folder.path)
    expect(found.known).toBe(IMAGES - 2)
    expect(found.images.map(({ image }) => image.description)).toEqual(['first', 'second', 'first', 'first', 'first'])
    await found.write()
    expect((await start(folder.path)).known).toBe(IMAGES - 1)
  })

  test('is written again without a read of the images that the former one has', async () => {
    await using folder = await withImages()
    const read: string[] = []
    const disk = createDisk()
    const watched: Disk = { ...disk, readFile: (path, lengthMax) => (read.push(path), disk.readFile(path, lengthMax)) }
    const found = await start(folder.path, { disk: watched })
    await found.write()
    expect(read).toEqual([])
    const again = await start(folder.path)
    expect([again.known, again.images]).toEqual([IMAGES, found.images])
  })

  test('reads recent images from their files, because their names may not be durable', async () => {
    await using folder = await withImages()
    expect((await start(folder.path, { nowMs: Date.now() })).known).toBe(0)
  })

  test('does not count on a file that changed while the snapshot was written, or just before', async () => {
    await using folder = await withImages()
    rmSync(folder.file('snapshot'))
    // At the time of the last change, a second change could have the same time.
    const early = await start(folder.path, { nowMs: Date.now() })
    await early.write()
    expect((await start(folder.path)).known).toBe(0)
  })

  test('has only images whose files did not change for ten seconds', async () => {
    await using folder = await withImages()
    const changedMs = Array.from({ length: IMAGES }, (_, i) =>
      Math.max(...['', 'image.json', 'manifest'].map((name) => statSync(folder.file('images', idOf(i), name)).ctimeMs)),
    )
    const [first = 0] = changedMs
    for (const ageMs of [9999, 10_000]) {
      rmSync(folder.file('snapshot'))
      await (await start(folder.path, { nowMs: first + ageMs })).write()
      expect((await start(folder.path)).known).toBe(changedMs.filter((ms) => ms <= first + ageMs - 10_000).length)
    }
  })

  test('works on a disk that tells neither inodes nor times of change', async () => {
    await using folder = await withImages()
    const disk = createDisk()
    const plain: Disk = {
      ...disk,
      async stat(path) {
        const found = await disk.stat(path)
        return found && { kind: found.kind, length: found.length, modifiedMs: found.modifiedMs }
      },
    }
    const found = await start(folder.path, { disk: plain })
    expect([found.known, found.images.length]).toEqual([0, IMAGES])
    await found.write()
    expect((await start(folder.path)).known).toBe(0)
  })

  test('of another program, or damaged, or on a disk that cannot be read, reads what it needs from the files', async () => {
    await using folder = await withImages()
    const whole = readFileSync(folder.file('snapshot'))
    const other = whole.toString().replace(/^(slipway catalogue snapshot 2 )\w+/, '$10000000000000000')
    writeFileSync(folder.file('snapshot'), other)
    expect((await start(folder.path)).known).toBe(0)
    writeFileSync(folder.file('snapshot'), whole.subarray(0, -10))
    expect((await start(folder.path)).known).toBe(IMAGES - 1)
    const flipped = Buffer.from(whole)
    flipped[whole.byteLength - 100] = (flipped[whole.byteLength - 100] ?? 0) ^ 1
    writeFileSync(folder.file('snapshot'), flipped)
    expect((await start(folder.path)).known).toBe(IMAGES - 1)
    const disk = createDisk()
    const failing: Disk = {
      ...disk,
      openRead: (path) => (path.endsWith('snapshot') ? Promise.reject(Object.assign(new Error('bad'), { code: 'EIO' })) : disk.openRead(path)),
    }
    expect(await start(folder.path, { disk: failing })).toMatchObject({ known: 0, images: { length: IMAGES } })
  })

  test('has the same images as one without, after any changes', async () => {
    const image = fc.nat({ max: IMAGES - 1 })
    const change = fc.oneof(
      fc.record({ kind: fc.constant('replace' as const), image, text: fc.string({ maxLength: 8 }) }),
      fc.record({ kind: fc.constantFrom('flip' as const, 'flip manifest' as const), image, at: fc.nat({ max: 5000 }) }),
      fc.record({ kind: fc.constant('rename in place' as const), image }),
      fc.record({
        kind: fc.constantFrom(
          'lose image.json' as const,
          'lose manifest' as const,
          'lose folder' as const,
          'cut manifest' as const,
          'leave temporary file' as const,
          'leave compressed file' as const,
        ),
        image,
      }),
      fc.record({ kind: fc.constantFrom('swap' as const, 'restore from backup' as const, 'copy folder' as const), image, other: fc.nat({ max: IMAGES }) }),
      fc.record({ kind: fc.constant('set times' as const), image, ms: fc.integer({ min: 0, max: 4e12 }) }),
      fc.record({ kind: fc.constant('flip snapshot' as const), image, at: fc.nat({ max: 20_000 }) }),
      fc.record({ kind: fc.constant('write snapshot' as const), image }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), fc.integer({ min: -10, max: 10 }), async (changes, days) => {
        await using folder = await withImages()
        for (const one of changes) await apply(folder, one)
        const nowMs = LATER_MS + days * DAY_MS
        // The start without a snapshot has a copy, because a start moves and removes damaged files.
        await using copy = await createTemporaryFolder()
        cpSync(folder.path, copy.path, { recursive: true, preserveTimestamps: true })
        const expected = await start(copy.path, { withSnapshot: false, nowMs })
        const found = await start(folder.path, { nowMs })
        expect(found.images).toEqual(expected.images)
        expect(listing(folder)).toEqual(listing(copy))
      }),
      propertyOptions(40),
    )
  })
})

function listing(folder: TemporaryFolder): string[] {
  return readdirSync(folder.file('images'), { recursive: true }).map(String).toSorted()
}

type Change =
  | { readonly kind: 'replace'; readonly image: number; readonly text: string }
  | { readonly kind: 'flip' | 'flip manifest' | 'flip snapshot'; readonly image: number; readonly at: number }
  | { readonly kind: 'swap' | 'restore from backup' | 'copy folder'; readonly image: number; readonly other: number }
  | { readonly kind: 'set times'; readonly image: number; readonly ms: number }
  | {
      readonly kind:
        | 'rename in place'
        | 'lose image.json'
        | 'lose manifest'
        | 'lose folder'
        | 'cut manifest'
        | 'leave temporary file'
        | 'leave compressed file'
        | 'write snapshot'
      readonly image: number
    }

/** Changes the files of an image as other programs do. A file that is gone already changes nothing. */
async function apply(folder: TemporaryFolder, change: Change): Promise<void> {
  const path = folder.file('images', idOf(change.image))
  const json = join(path, 'image.json')
  const manifest = join(path, 'manifest')
  const flip = (at: number) => (bytes: Buffer) => void (bytes[at % bytes.byteLength] = (bytes[at % bytes.byteLength] ?? 0) ^ 4)
  try {
    switch (change.kind) {
      case 'replace':
        writeFileSync(`${json}.new`, await imageJson(change.image, change.text))
        return renameSync(`${json}.new`, json)
      case 'flip':
        return patchInPlace(json, flip(change.at))
      case 'flip manifest':
        return patchInPlace(manifest, flip(change.at))
      case 'flip snapshot':
        return patchInPlace(folder.file('snapshot'), flip(change.at))
      case 'rename in place':
        // The same length, with a digest that fits.
        const bytes = await imageJson(change.image, 'third')
        return patchInPlace(json, (target) => target.set(bytes.subarray(0, target.byteLength)))
      case 'lose image.json':
        return rmSync(json)
      case 'lose manifest':
        return rmSync(manifest)
      case 'lose folder':
        return rmSync(path, { recursive: true })
      case 'cut manifest':
        return truncateSync(manifest, 100)
      case 'leave temporary file':
        return writeFileSync(join(path, '.image.json.1.tmp'), 'torn')
      case 'leave compressed file':
        return writeFileSync(join(path, 'compressed'), 'torn')
      case 'swap':
        renameSync(path, `${path} away`)
        renameSync(folder.file('images', idOf(change.other)), path)
        return renameSync(`${path} away`, folder.file('images', idOf(change.other)))
      case 'restore from backup':
        rmSync(path, { recursive: true })
        return cpSync(template.file('images', idOf(change.image)), path, { recursive: true, preserveTimestamps: true })
      case 'copy folder':
        return cpSync(path, folder.file('images', idOf(change.other)), { recursive: true, preserveTimestamps: true })
      case 'set times':
        return utimesSync(json, change.ms / 1000, change.ms / 1000)
      case 'write snapshot':
        await (await start(folder.path)).write()
        return await systemClock.sleep(10)
    }
  } catch (error) {
    if (errorCode(error) === undefined) throw error
  }
}
