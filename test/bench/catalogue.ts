// Bench `catalogue`: lists of a store with 100,000 images, and loading a catalogue from its files and from its snapshot. Lists run on the table in memory, as each request does, and
// end with the JSON of the answer. The catalogue that is loaded has a folder with a manifest and an image.json for each image.

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCatalogueSnapshot } from '../../agent/images/catalogue-snapshot.ts'
import { decodeImageFile, encodeImageFile, newLife } from '../../agent/images/records/image-file.ts'
import { createImageKeeper } from '../../agent/images/records/image-keeper.ts'
import { createImageTable } from '../../agent/images/records/image-table.ts'
import { loadImages } from '../../agent/images/load.ts'
import { createManifestFiles } from '../../agent/images/manifests/manifest-files.ts'
import { systemClock } from '../../agent/system/clock.ts'
import { createDisk } from '../../agent/system/disk.ts'
import { createStatAll } from '../../agent/system/stat-all.ts'
import { pageOfImages } from '../../agent/images/lists/pages.ts'
import type { Image } from '../../protocol/images/image.ts'
import { IMAGE_SORTS } from '../../protocol/images/image-list.ts'
import type { ImageFilter, ImageOrder } from '../../protocol/images/image-list.ts'
import { openImageStore, seededBytes } from '../support/images/image-store.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../support/machine/temporary-folder.ts'
import { memoryImage } from '../support/memory/memory-image.ts'
import { createMemoryLog } from '../support/memory/memory-log.ts'
import { createRandom } from '../support/properties.ts'
import type { BenchContext } from './context.ts'
import type { Figure } from './figure.ts'
import { figure, quantile } from './figure.ts'

/** Images of the lists. */
const LISTED = 100_000
/** Images of the catalogue that is loaded: each has two files. With a snapshot, images are loaded much faster. */
const LOADED = 1000
const LOADED_WITH_SNAPSHOT = 20_000
/** Pages that are measured of each list. */
const PAGES = 60

const BASE = memoryImage()

const FILTERS: Readonly<Record<string, Partial<ImageFilter>>> = {
  'all images': {},
  'one owner in a thousand': { owner: 'owner-7' },
  'a label and what fits 4 GB': { label: 'env=test', memory: 4_000_000_000 },
  'a text that no image has': { search: 'nothing has this' },
}

export async function benchCatalogue(context: BenchContext): Promise<Figure[]> {
  return [...(await benchLists()), ...(await benchLoad(context)), ...(await benchSnapshot(context))]
}

async function benchLists(): Promise<Figure[]> {
  const random = createRandom(1)
  const table = createImageTable(undefined, undefined, systemClock)
  for (let i = 0; i < LISTED; i++) table.put({ image: imageOf(i, random), life: newLife() })
  const { orders } = table
  const orderNames: ImageOrder[] = ['-createdAt', 'name', '-length', 'owner']
  const figures: Figure[] = []

  let startedMs = 0
  const firsts = IMAGE_SORTS.map((sort) => {
    startedMs = cpuMs()
    pageOfImages({ orders, others: [] }, {}, { sort, limit: 100 })
    return cpuMs() - startedMs
  })
  figures.push(figure('catalogue', `${LISTED} images: first use of an order, p99`, quantile(firsts, 0.99), 'CPU ms'))
  startedMs = cpuMs()
  while (!IMAGE_SORTS.every((sort) => orders.isSorted(sort))) await systemClock.sleep(10)
  figures.push(figure('catalogue', `${LISTED} images: sorting an order in the background`, (cpuMs() - startedMs) / IMAGE_SORTS.length, 'CPU ms'))

  for (const [name, filter] of Object.entries(FILTERS)) {
    const times: number[] = []
    for (const sort of orderNames) {
      let cursor: string | undefined
      for (let page = 0; page < PAGES / orderNames.length; page++) {
        startedMs = cpuMs()
        const { items, next } = pageOfImages({ orders, others: [] }, filter, { sort, limit: 100, cursor })
        JSON.stringify(items)
        times.push(cpuMs() - startedMs)
        cursor = next ?? undefined
      }
    }
    figures.push(figure('catalogue', `${LISTED} images: a page of ${name}, p99`, quantile(times, 0.99), 'CPU ms'))
  }

  const changes: number[] = []
  for (let i = 0; i < PAGES; i++) {
    const stored = table.get(`img_${String(random.below(LISTED)).padStart(26, '0')}`)
    if (!stored) continue
    startedMs = cpuMs()
    table.put({ ...stored, image: { ...stored.image, name: `renamed ${i}`, length: random.below(1e9) } })
    changes.push(cpuMs() - startedMs)
  }
  figures.push(figure('catalogue', `${LISTED} images: a change, with every order in use, p99`, quantile(changes, 0.99), 'CPU ms'))
  return figures
}

/** CPU time of this process: a busy machine does not change it much. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function imageOf(number: number, random: ReturnType<typeof createRandom>): Image {
  return {
    ...BASE,
    id: `img_${String(number).padStart(26, '0')}`,
    name: `image ${random.below(1e9)}`,
    owner: `owner-${number % 1000}`,
    os: 'debian-12',
    length: random.below(1e9),
    labels: { env: number % 3 === 0 ? 'test' : 'production', team: `team-${number % 50}` },
    requirements: { cpus: 1 + (number % 8), memory: (number % 16) * 1e9, disk: 4e9 },
    createdAt: new Date(1.7e12 + number * 1000).toISOString(),
  }
}

async function benchLoad(context: BenchContext): Promise<Figure[]> {
  await using folder = await createTemporaryFolder()
  await writeImages(context, folder, LOADED)
  const startedMs = performance.now()
  await using store = await openImageStore(folder)
  const seconds = (performance.now() - startedMs) / 1000
  if ([...store.catalogue.each()].length !== LOADED + 1) throw new Error('the catalogue is not complete')
  rmSync(folder.file('mount', 'images'), { recursive: true, force: true })
  return [figure('catalogue', `loading ${LOADED} images`, seconds, 's')]
}

/** Loads images from a snapshot. The time of two days later makes their files old enough to be in it. */
async function benchSnapshot(context: BenchContext): Promise<Figure[]> {
  await using folder = await createTemporaryFolder()
  await writeImages(context, folder, LOADED_WITH_SNAPSHOT)
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + 2 * 86_400_000 }
  const images = folder.file('mount', 'images')
  const open = () => {
    const disk = createDisk()
    const log = createMemoryLog()
    const table = createImageTable(undefined, undefined, clock)
    const keeper = createImageKeeper({ disk, folder: images, table, nowMs: clock.nowMs, ledger: { append: () => Promise.resolve() } })
    const files = { disk, folder: images, pause: () => clock.sleep(0), onDamaged: (_id: string, error: Error) => Promise.resolve(error) }
    const manifests = createManifestFiles({ ...files, name: 'manifest' })
    const snapshot = createCatalogueSnapshot({ disk, clock, log, path: folder.file('snapshot'), keeper, manifests, statAll: createStatAll() })
    const load = () =>
      loadImages(
        {
          disk,
          clock,
          log,
          emit: () => {},
          folder: images,
          quarantine: folder.file('quarantine'),
          keeper,
          manifests,
          compressed: createManifestFiles({ ...files, name: 'compressed' }),
        },
        snapshot,
      )
    return { table, load, write: () => snapshot.write(), close: () => snapshot[Symbol.asyncDispose]() }
  }
  const first = open()
  await first.load()
  context.say('writing the snapshot')
  await first.write()
  await first.close()
  const second = open()
  const [startedMs, startedCpuMs] = [performance.now(), cpuMs()]
  const ids = await second.load()
  second.table.all()
  const [wallMs, usedMs] = [performance.now() - startedMs, cpuMs() - startedCpuMs]
  await second.close()
  if (ids.length !== LOADED_WITH_SNAPSHOT + 1) throw new Error('the catalogue is not complete')
  const title = `loading ${LOADED_WITH_SNAPSHOT} images with a snapshot`
  return [figure('catalogue', title, wallMs / 1000, 's'), figure('catalogue', `${title}, CPU`, usedMs / 1000, 'CPU s')]
}

/** Writes the files of images that have the same content. */
async function writeImages(context: BenchContext, folder: TemporaryFolder, count: number): Promise<void> {
  let id = ''
  {
    await using store = await openImageStore(folder)
    id = (await store.add(seededBytes(100_000, 1))).id
  }
  const images = folder.file('mount', 'images')
  const decoded = await decodeImageFile(new Uint8Array(readFileSync(join(images, id, 'image.json'))))
  if (decoded.kind !== 'whole') throw new Error(decoded.reason)
  context.say(`writing ${count} images`)
  for (let i = 0; i < count; i++) {
    const image = { ...decoded.stored.image, id: `img_${String(i).padStart(26, '0')}`, name: `image ${i}` }
    mkdirSync(join(images, image.id))
    cpSync(join(images, id, 'manifest'), join(images, image.id, 'manifest'))
    writeFileSync(join(images, image.id, 'image.json'), await encodeImageFile({ ...decoded.stored, image }))
  }
}
