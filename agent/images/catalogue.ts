// The catalogue of all images of a store. Images are stored in images/<id>/ on the mount path and cached in memory. This file creates the parts
// (catalogue-parts.ts), loads the images and combines the parts into one interface. roots.ts protects the slices of images from gc.

import { join } from 'node:path'
import type { Digest } from '../../protocol/slices/digest.ts'
import type { Image } from '../../protocol/images/image.ts'
import { ManifestInvalid } from '../../protocol/slices/manifest.ts'
import type { Manifest } from '../../protocol/slices/manifest.ts'
import type { DamagedImage, ImageAdmission, ImageContents, ImagePublisher, ImageRepair, ImageVerification } from '../contract/images.ts'
import type { LiveWork } from '../contract/work.ts'
import type { SliceRoots } from '../contract/slices.ts'
import type { UsageSnapshot } from '../contract/usage.ts'
import { createCatalogueParts } from './catalogue-parts.ts'
import type { CatalogueDeps, CatalogueParts } from './catalogue-parts.ts'
import type { Damage } from './damage/damage.ts'
import { createDamagedSlices } from './damage/damaged-slices.ts'
import type { MediaGroups } from './media-groups.ts'
import type { StoredImage } from './records/image-file.ts'
import { createCatalogueSnapshot } from './catalogue-snapshot.ts'
import type { CatalogueSnapshot } from './catalogue-snapshot.ts'
import { createImageLookup } from './image-lookup.ts'
import type { ImageLookup } from './image-lookup.ts'
import { neverHadContent } from './records/image-states.ts'
import type { LifeCycle } from './life-cycle.ts'
import { loadImage, loadImages } from './load.ts'
import type { LoadDeps } from './load.ts'
import { createReaderPins, createImageRoots } from './roots.ts'
import type { ReaderPins } from './roots.ts'
import { createUniqueSizes } from './unique-sizes.ts'
import { createUsageSnapshot } from './usage/periods.ts'
import { createPendingTasks } from './pending/pending-tasks.ts'
import { createWorkQueue } from './pending/work-queue.ts'

/** Interval at which images with unreadable files are read again, in milliseconds. */
const RELOAD_MS = 30_000

export interface OpenContent extends Disposable {
  readonly manifest: Manifest
}

export interface Catalogue
  extends
    ImagePublisher,
    ImageContents,
    ImageAdmission,
    ImageVerification,
    ImageRepair,
    LifeCycle,
    ImageLookup,
    Pick<Damage, 'markDamaged' | 'applyScrub'>,
    AsyncDisposable {
  /** Returns the SHA-256 of the complete image if this store has computed it, else null. */
  verifiedDigest(id: string): Digest | null
  /** Opens the manifest of an image and pins its slices until disposed, even if the image is removed. Throws `not-found` and `data-corrupt`. */
  open(id: string): Promise<OpenContent>
  readonly mediaGroups: MediaGroups
  /** Iterates over all images in any status, unordered. */
  each(): Iterable<Image>
  /** Returns the periods in which the existing images were available. */
  usage(): UsageSnapshot
  /** Returns a counter that increases with every change of any image. A result derived from `each` is valid until the counter changes. */
  version(): number
  /** Returns the fingerprint of all images, as in protocol/images/fingerprint.ts. */
  fingerprint(): string
  /**
   * Yields the encoded entries of an image's manifest in windows of whole entries. They are verified only once the last window has been
   * yielded. Throws ManifestInvalid if the manifest is damaged, and marks the image as `error`.
   */
  manifestWindows(image: Image): AsyncIterable<Uint8Array>
  /** Reports a slice that a read found damaged. The images that use it become degraded in the background. Never throws or blocks. */
  sliceDamaged(digest: Uint8Array, reason: string): void
  readonly roots: SliceRoots
  /** Inspections and digests in progress as tasks. */
  readonly liveTasks: LiveWork
  /** Resolves when no inspection, digest or search for damaged slices is pending. */
  settled(): Promise<void>
}

/**
 * Loads all images and resumes inspections, digests and removals that a crash interrupted. Disposing aborts background work; the next start
 * resumes it.
 */
export async function createCatalogue(deps: CatalogueDeps): Promise<Catalogue> {
  const { disk, clock, log, emit, slices } = deps
  const parts = createCatalogueParts(deps)
  const { keeper, manifests, damage, settling, publication } = parts
  const { table } = keeper
  const pause = (): Promise<void> => clock.sleep(0)
  const uniqueSizes = createUniqueSizes({ clock, log, table, manifests, sizes: (digests) => slices.sizes(digests) })
  const searches = createWorkQueue({ clock, concurrency: 1, onFailure: (work, error) => log.error('work on the catalogue failed', { work, error }) })
  const readerPins = createReaderPins()

  const loading = {
    disk,
    clock,
    log,
    emit,
    folder: join(deps.mount, 'images'),
    quarantine: join(deps.mount, 'quarantine'),
    keeper,
    manifests,
    compressed: parts.compressed,
  }
  await parts.groups.load()
  const { snapshotPath, statAll } = deps
  const snapshot =
    snapshotPath === undefined ? undefined : createCatalogueSnapshot({ disk, clock, log, path: snapshotPath, keeper, manifests, ...(statAll && { statAll }) })
  await loadAll(loading, parts, snapshot)
  const reloading = clock.every(RELOAD_MS, () => searches.add('files that could not be read', () => reloadUnavailable(loading, parts)))

  return {
    ...publication,
    ...parts.lifeCycle,
    ...createImageLookup({ keeper, uniqueSizes, inProgress: deps.inProgress ?? (() => undefined), works: settling.works, place: parts.groupRecords.place }),
    mediaGroups: parts.groups,
    markDamaged: (roots, reason) => damage.markDamaged(roots, reason),
    applyScrub: (findings) => damage.applyScrub(findings),
    slicesIntact: (id, startedAtMs) => damage.slicesIntact(id, startedAtMs),
    damageMarked: () => searches.idle(),
    damagedImages: () => damagedOf(table.each()),
    isWhole: (id) => damage.verifyManifest(id),
    admit: (image) => parts.ownerLimit.claim(image),
    verifiedDigest(id) {
      const stored = table.get(id)
      return stored && !stored.life.digestClaimed ? (stored.image.digest as Digest | null) : null
    },
    open: (id) => openContent(parts, readerPins, id),
    *each() {
      for (const { image } of table.each()) yield image
    },
    version: () => table.version(),
    fingerprint: () => table.fingerprint(),
    usage: () => createUsageSnapshot(table.each()),
    manifestWindows: (image) => windowsOf(parts, image),
    liveTasks: createPendingTasks({ works: settling.works, find: (id) => table.get(id)?.image, nowMs: () => clock.nowMs() }),
    roots: createImageRoots({ keeper, manifests, compressed: parts.compressed, unpacking: () => parts.unpacking.roots(), damage, readerPins }),
    sliceDamaged: createDamagedSlices({ log, table, manifests, damage, queue: searches, pause }),
    async settled() {
      await settling.settled()
      await searches.idle()
    },
    async [Symbol.asyncDispose]() {
      reloading[Symbol.dispose]()
      await snapshot?.[Symbol.asyncDispose]()
      await searches[Symbol.asyncDispose]()
      await settling[Symbol.asyncDispose]()
    },
  }
}

/** Loads all images from the mount path into the table and resumes pending work. */
async function loadAll(loading: LoadDeps, { keeper, settling, lifeCycle }: CatalogueParts, snapshot: CatalogueSnapshot | undefined): Promise<void> {
  const { disk, log, folder } = loading
  await disk.makeFolder(folder)
  const ids = await loadImages(loading, snapshot)
  // Sorts the order of every list that names none, which is no work for a request.
  keeper.table.all()
  for (const id of ids) {
    settling.resume(id)
    if (keeper.table.get(id)?.image.status !== 'deleting') continue
    // If the removal fails, the image stays `deleting` and the next prune retries it.
    await lifeCycle.purge(id, 'start').catch((error: unknown) => log.warn('an image could not be purged', { image: id, error }))
  }
  log.info('the catalogue is loaded', { images: ids.length })
}

/** Retries reading images whose files were unreadable. */
async function reloadUnavailable(loading: LoadDeps, { keeper, settling }: CatalogueParts): Promise<void> {
  const { table } = keeper
  for (const { image } of table.all()) {
    if (image.status !== 'fileUnavailable') continue
    await table.locked(image.id, async () => {
      const stored = await loadImage(loading, image.id)
      if (stored) table.put(stored)
      else table.remove(image.id)
    })
    settling.resume(image.id)
  }
}

function damagedOf(stored: Iterable<StoredImage>): DamagedImage[] {
  const damaged: DamagedImage[] = []
  for (const one of stored) {
    const { image, life } = one
    if (image.status === 'deleting' || image.status === 'fileUnavailable' || life.compressed !== null || neverHadContent(one)) continue
    if (life.damage === 'slices') damaged.push({ image, damage: 'slices' })
    else if (life.damage === 'manifest' && image.status === 'error') damaged.push({ image, damage: 'manifest' })
  }
  return damaged
}

async function openContent({ damage, keeper }: CatalogueParts, readerPins: ReaderPins, id: string): Promise<OpenContent> {
  using opening = new DisposableStack()
  const { manifest } = opening.use(await damage.openManifest(id))
  // The image may have been removed while its manifest was opened.
  keeper.need(id)
  opening.use(readerPins.add(id, manifest))
  const held = opening.move()
  return { manifest, [Symbol.dispose]: () => held.dispose() }
}

async function* windowsOf({ manifests, damage, keeper }: CatalogueParts, { id, manifestDigest }: Image): AsyncGenerator<Uint8Array> {
  try {
    yield* manifests.windows(id, manifestDigest ?? '')
  } catch (error) {
    // If the image was purged or replaced while it was read, the mismatch is not damage.
    if (error instanceof ManifestInvalid && keeper.table.get(id)?.image.manifestDigest === manifestDigest) await damage.markManifestDamaged(id, error.message)
    throw error
  }
}
