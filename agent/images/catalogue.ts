// The catalogue: all images of a store, in images/<id>/ on the mount path and in memory. Opens its parts (catalogue-parts.ts), loads the images,
// and gives the rest of the agent one face to them. roots.ts keeps the slices of images from gc.

import { join } from 'node:path'
import type { Digest } from '../../protocol/digest.ts'
import type { Image } from '../../protocol/image.ts'
import { ManifestInvalid } from '../../protocol/manifest.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import type { ImageAdmission, ImageContents, ImagePublisher, ImageVerification } from '../contract/images.ts'
import type { SliceRoots } from '../contract/slices.ts'
import { createCatalogueParts } from './catalogue-parts.ts'
import type { CatalogueDeps, CatalogueParts } from './catalogue-parts.ts'
import type { Damage } from './damage.ts'
import { createDamagedSlices } from './damaged-slices.ts'
import { createImageLookup } from './image-lookup.ts'
import type { ImageLookup } from './image-lookup.ts'
import type { LifeCycle } from './life-cycle.ts'
import { loadImage, loadImages } from './load.ts'
import type { LoadDeps } from './load.ts'
import { createContentHolds, createImageRoots } from './roots.ts'
import type { ContentHolds } from './roots.ts'
import { createUniqueSizes } from './unique-sizes.ts'
import { createWorkQueue } from './work-queue.ts'

/** How often images whose files could not be read are read again, in milliseconds. */
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
    LifeCycle,
    ImageLookup,
    Pick<Damage, 'markDamaged' | 'applyScrub'>,
    AsyncDisposable {
  /** SHA-256 of the whole file where it was computed from the bytes here; null until then. */
  verifiedDigest(id: string): Digest | null
  /** The manifest of an image whose content is about to be read; its slices stay until disposed, whatever becomes of the image. */
  open(id: string): Promise<OpenContent>
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
 * Loads all images and continues what a crash interrupted: inspections, digests, removals. Disposing ends background work, which the next
 * start continues.
 */
export async function createCatalogue(deps: CatalogueDeps): Promise<Catalogue> {
  const { disk, clock, log, emit, slices } = deps
  const parts = createCatalogueParts(deps)
  const { keeper, manifests, damage, settling, publication } = parts
  const { table } = keeper
  const pause = (): Promise<void> => clock.sleep(0)
  const uniqueSizes = createUniqueSizes({ clock, log, table, manifests, sizes: (digests) => slices.sizes(digests) })
  const searches = createWorkQueue({ clock, concurrency: 1, onFailure: (work, error) => log.error('work on the catalogue failed', { work, error }) })
  const holds = createContentHolds()

  const loading = { disk, clock, log, emit, folder: join(deps.mount, 'images'), quarantine: join(deps.mount, 'quarantine'), keeper, manifests }
  await loadAll(loading, parts)
  const reloading = clock.every(RELOAD_MS, () => searches.add('files that could not be read', () => reloadUnavailable(loading, parts)))

  return {
    ...publication,
    ...parts.lifeCycle,
    ...createImageLookup({ keeper, uniqueSizes }),
    markDamaged: (roots, reason) => damage.markDamaged(roots, reason),
    applyScrub: (findings) => damage.applyScrub(findings),
    isWhole: (id) => damage.verifyManifest(id),
    admit: (image) => parts.ownerLimit.claim(image),
    verifiedDigest(id) {
      const stored = table.get(id)
      return stored && !stored.life.digestClaimed ? (stored.image.digest as Digest | null) : null
    },
    open: (id) => openContent(parts, holds, id),
    *each() {
      for (const { image } of table.each()) yield image
    },
    version: () => table.version(),
    manifestWindows: (image) => windowsOf(parts, image),
    roots: createImageRoots({ keeper, manifests, damage, holds }),
    sliceDamaged: createDamagedSlices({ log, table, manifests, damage, queue: searches, pause }),
    async settled() {
      await settling.settled()
      await searches.idle()
    },
    async [Symbol.asyncDispose]() {
      reloading[Symbol.dispose]()
      await searches[Symbol.asyncDispose]()
      await settling[Symbol.asyncDispose]()
    },
  }
}

/** Fills the table from the mount path and continues the work on every image. */
async function loadAll(loading: LoadDeps, { keeper, settling, lifeCycle }: CatalogueParts): Promise<void> {
  const { disk, log, folder } = loading
  await disk.makeFolder(folder)
  const ids = await loadImages(loading)
  for (const id of ids) {
    settling.resume(id)
    if (keeper.table.get(id)?.image.status !== 'deleting') continue
    // The next prune tries a failed removal again; until then the image is `deleting`.
    await lifeCycle.purge(id, 'start').catch((error: unknown) => log.warn('an image could not be purged', { image: id, error }))
  }
  log.info('the catalogue is loaded', { images: ids.length })
}

/** Reads images again whose files could not be read. */
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

async function openContent({ damage, keeper }: CatalogueParts, holds: ContentHolds, id: string): Promise<OpenContent> {
  using opening = new DisposableStack()
  const { manifest } = opening.use(await damage.manifest(id))
  // A removal deletes the image from the table first.
  keeper.need(id)
  opening.use(holds.add(id, manifest))
  const held = opening.move()
  return { manifest, [Symbol.dispose]: () => held.dispose() }
}

async function* windowsOf({ manifests, damage, keeper }: CatalogueParts, { id, manifestDigest }: Image): AsyncGenerator<Uint8Array> {
  try {
    yield* manifests.windows(id, manifestDigest ?? '')
  } catch (error) {
    // When the image was purged or replaced meanwhile, its earlier file is not damaged.
    if (error instanceof ManifestInvalid && keeper.table.get(id)?.image.manifestDigest === manifestDigest) await damage.manifestDamaged(id, error.message)
    throw error
  }
}
