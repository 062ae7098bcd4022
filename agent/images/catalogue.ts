// The catalogue: all images of a store, on the mount path in images/<id>/ and in memory. The way of an image through its
// parts: publication.ts brings it in, life-cycle.ts changes and removes it, damage.ts notes what is broken of it,
// roots.ts keeps its slices alive.

import { join } from 'node:path'
import type { Digest } from '../../protocol/digest.ts'
import type { Image, ImageFilter } from '../../protocol/image.ts'
import { ManifestInvalid } from '../../protocol/manifest.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import type { Page, PageQuery } from '../../protocol/page.ts'
import { problem } from '../../protocol/problems.ts'
import type { Disk } from '../contract/disk.ts'
import type { ImageAdmission, ImageContents, ImagePublisher, ImageVerification, OwnedImage } from '../contract/images.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { SliceMaintenance, SliceProvider, SliceRoots } from '../contract/slices.ts'
import type { EmitEvent } from '../contract/work.ts'
import { createDamage } from './damage.ts'
import type { Damage } from './damage.ts'
import { createDamagedSlices } from './damaged-slices.ts'
import { isDamaged } from './image-states.ts'
import { createImageKeeper } from './image-keeper.ts'
import { createImageTable, pageOfImages } from './image-table.ts'
import { createLifeCycle } from './life-cycle.ts'
import type { LifeCycle, RetentionPolicy } from './life-cycle.ts'
import { loadImage, loadImages } from './load.ts'
import { createManifestFiles } from './manifests/manifest-files.ts'
import { createOwnerLimit } from './owner-limit.ts'
import { createPublication } from './publication.ts'
import type { Publication } from './publication.ts'
import { createContentHolds, createImageRoots } from './roots.ts'
import { createUniqueSizes } from './unique-sizes.ts'
import { createWorkQueue } from './work-queue.ts'

/** How often images whose files could not be read are tried again, in milliseconds. */
const RELOAD_MS = 30_000

export interface CatalogueDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  /** The mount path: images/ and quarantine/ lie in it. */
  readonly mount: string
  readonly slices: SliceProvider & Pick<SliceMaintenance, 'sizes'>
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  readonly retention: RetentionPolicy
  /** Images that one owner may have; without it, any number. */
  readonly imagesPerOwnerMax?: number
  /** Images that unfinished uploads will become; they count for the limit of their owner. */
  readonly expected?: () => Iterable<OwnedImage>
  /** Milliseconds since a body of an upload last arrived at full speed; 0 while one does. Without it, digests are computed at once. */
  readonly quietMs?: () => number
  /** Called after every change of any image; must neither throw nor wait. */
  readonly changed?: () => void
}

/** Counts of images by status, for the store and its metrics. */
export interface ImageCounts {
  readonly available: number
  readonly deleted: number
  readonly other: number
  /** Images outside the recycle bin whose slices, manifest or metadata are damaged. */
  readonly damaged: number
  /** Bytes of all images as files. */
  readonly imageBytes: number
}

export interface OpenContent extends Disposable {
  readonly manifest: Manifest
}

export interface Catalogue
  extends ImagePublisher, ImageContents, ImageAdmission, ImageVerification, LifeCycle, Pick<Damage, 'markDamaged' | 'applyScrub'>, AsyncDisposable {
  list(filter: ImageFilter, page: PageQuery): Page<Image>
  /** By id or unambiguous name; throws `not-found`, or `conflict` when several images have the name. */
  need(idOrName: string): Image
  /** Like `need`, with its unique size counted where that is affordable. */
  show(idOrName: string): Promise<Image>
  /** Stored bytes that only these images hold, together; null where counting is not affordable. Throws `not-found` and `conflict` as `need` does. */
  uniqueSize(idsOrNames: readonly string[]): Promise<number | null>
  /** SHA-256 of the whole file where it was computed from the bytes here; null until then. */
  verifiedDigest(id: string): Digest | null
  /** The manifest of an image whose content is about to be read; its slices stay until disposed, whatever becomes of the image. */
  open(id: string): Promise<OpenContent>
  counts(): ImageCounts
  /** Every image, whatever its status, in no order. */
  each(): Iterable<Image>
  /** Counts every change of any image: what was made of `each` holds until it changes. */
  version(): number
  /** Windows of whole entries of an image's manifest, verified when the last one was given. Throws ManifestInvalid, and makes the image an error then. */
  manifestWindows(image: Image): AsyncIterable<Uint8Array>
  /** Takes a slice that a read found bad: the images that name it become degraded soon. Never throws and never waits. */
  sliceDamaged(digest: Uint8Array, reason: string): void
  readonly roots: SliceRoots
  /** Resolves when no inspection, digest or search is under way. */
  settled(): Promise<void>
}

/**
 * Loads all images and takes up what a crash interrupted: inspections, digests, removals. Disposing ends what runs
 * behind the scenes; it is taken up again at the next start.
 */
export async function createCatalogue(deps: CatalogueDeps): Promise<Catalogue> {
  const { disk, clock, log, emit, crashPoint, slices } = deps
  const folder = join(deps.mount, 'images')
  const table = createImageTable(deps.changed)
  const keeper = createImageKeeper({ disk, folder, table })
  const manifests = createManifestFiles({
    disk,
    folder,
    pause: () => clock.sleep(0),
    async onDamaged(id, error) {
      // A reader of an older file must not mark the image: the file that is there now decides.
      await damage.verifyManifest(id)
      return problem('data-corrupt', `The manifest of image ${id} is damaged: ${error.message}.`, {}, { cause: error })
    },
  })
  const damage: Damage = createDamage({ clock, log, emit, keeper, manifests, resume: (id) => publication.resume(id) })
  const ownerLimit = createOwnerLimit({
    imagesMax: deps.imagesPerOwnerMax ?? 0,
    *images() {
      for (const { image } of table.each()) yield image
    },
    expected: deps.expected ?? (() => []),
  })
  const publication: Publication = createPublication({
    disk,
    clock,
    log,
    slices,
    emit,
    crashPoint,
    keeper,
    manifests,
    damage,
    ownerLimit,
    quietMs: deps.quietMs ?? (() => Number.POSITIVE_INFINITY),
  })
  const lifeCycle = createLifeCycle({ disk, clock, log, emit, crashPoint, retention: deps.retention, keeper, manifests, damage, publication, ownerLimit })
  const uniqueSizes = createUniqueSizes({ clock, log, table, manifests, sizes: (digests) => slices.sizes(digests) })
  const searches = createWorkQueue(1, (work, error) => log.error('work on the catalogue failed', { work, error }))
  const holds = createContentHolds()
  const sliceDamaged = createDamagedSlices({ log, table, manifests, damage, queue: searches, pause: () => clock.sleep(0) })

  await disk.makeFolder(folder)
  const loading = { disk, clock, log, emit, folder, quarantine: join(deps.mount, 'quarantine'), keeper, manifests }
  const ids = await loadImages(loading)
  for (const id of ids) {
    publication.resume(id)
    if (table.get(id)?.image.status !== 'deleting') continue
    // A removal that fails again is tried again by the next prune; the image stays `deleting` and says so.
    await lifeCycle.purge(id, 'start').catch((error: unknown) => log.warn('an image could not be purged', { image: id, error }))
  }
  const reload = async (): Promise<void> => {
    for (const { image } of table.all()) {
      if (image.status !== 'fileUnavailable') continue
      await table.locked(image.id, async () => {
        const stored = await loadImage(loading, image.id)
        if (stored) table.put(stored)
        else table.remove(image.id)
      })
      publication.resume(image.id)
    }
  }
  const reloading = clock.every(RELOAD_MS, () => searches.add('files that could not be read', reload))
  log.info('the catalogue is loaded', { images: ids.length })

  const named = (name: string): Image[] => {
    const found: Image[] = []
    for (const { image } of table.all()) if (image.name === name && image.status !== 'deleted' && image.status !== 'deleting') found.push(image)
    return found
  }
  const withSize = (image: Image): Image => ({ ...image, uniqueSize: uniqueSizes.known(image.id) })
  const need = (idOrName: string): Image => {
    const image = table.get(idOrName)?.image
    if (image) return image
    const found = named(idOrName)
    const [first] = found
    if (!first) throw problem('not-found', `There is no image ${idOrName}.`)
    if (found.length > 1)
      throw problem('conflict', `${found.length} images are named ${idOrName}.`, {
        action: 'Use the id of the one that is meant.',
        ids: found.slice(0, 10).map(({ id }) => id),
      })
    return first
  }
  return {
    publish: (image, content) => publication.publish(image, content),
    refuse: (image, length, reason) => publication.refuse(image, length, reason),
    adopt: (image, manifest) => publication.adopt(image, manifest),
    isWhole: (id) => damage.verifyManifest(id),
    admit: (image) => ownerLimit.claim(image),
    find: (id) => (keeper.unfinished.has(id) ? undefined : table.get(id)?.image),
    resolve: (idOrName) => {
      const byId = table.get(idOrName)?.image
      const found = byId ? [byId] : named(idOrName)
      return found.length === 1 ? found[0] : undefined
    },
    ...lifeCycle,
    markDamaged: (roots, reason) => damage.markDamaged(roots, reason),
    applyScrub: (findings) => damage.applyScrub(findings),
    list(filter, page) {
      const { items, next } = pageOfImages(table.all(), filter, page)
      return { items: items.map(withSize), next }
    },
    need,
    async show(idOrName) {
      const { id } = need(idOrName)
      await uniqueSizes.count([id])
      return withSize(keeper.need(id).image)
    },
    uniqueSize: (idsOrNames) => uniqueSizes.count(idsOrNames.map((idOrName) => need(idOrName).id)),
    verifiedDigest(id) {
      const stored = table.get(id)
      return stored && !stored.life.digestClaimed ? (stored.image.digest as Digest | null) : null
    },
    async open(id) {
      using opening = new DisposableStack()
      const { manifest } = opening.use(await damage.manifest(id))
      // Whoever removed the image meanwhile removed it first.
      keeper.need(id)
      opening.use(holds.add(id, manifest))
      const held = opening.move()
      return { manifest, [Symbol.dispose]: () => held.dispose() }
    },
    counts() {
      let available = 0
      let deleted = 0
      let other = 0
      let damaged = 0
      let imageBytes = 0
      for (const stored of table.each()) {
        const { image } = stored
        if (isDamaged(stored)) damaged++
        if (image.status === 'available') available++
        else if (image.status === 'deleted') deleted++
        else other++
        imageBytes += image.length
      }
      return { available, deleted, other, damaged, imageBytes }
    },
    *each() {
      for (const { image } of table.each()) yield image
    },
    version: () => table.version(),
    async *manifestWindows({ id, manifestDigest }) {
      try {
        yield* manifests.windows(id, manifestDigest ?? '')
      } catch (error) {
        // The file of an image that was purged or replaced meanwhile is no damage.
        if (error instanceof ManifestInvalid && table.get(id)?.image.manifestDigest === manifestDigest) await damage.manifestDamaged(id, error.message)
        throw error
      }
    },
    roots: createImageRoots({ keeper, manifests, damage, holds }),
    sliceDamaged,
    async settled() {
      await publication.settled()
      await searches.idle()
    },
    async [Symbol.asyncDispose]() {
      reloading[Symbol.dispose]()
      await searches[Symbol.asyncDispose]()
      await publication[Symbol.asyncDispose]()
    },
  }
}
