// Roots for gc: the slices of every image, including those in the recycle bin, and of every image that is being read, even if the image is
// removed while it is read.

import type { ImageStatus } from '../../protocol/images/image.ts'
import { ManifestInvalid, manifestEntries } from '../../protocol/slices/manifest.ts'
import type { Manifest, ManifestBlock, ManifestEntry } from '../../protocol/slices/manifest.ts'
import type { RootFault, SliceRoot, SliceRoots } from '../contract/slices.ts'
import { rootName } from './damage/slice-damage.ts'
import type { Damage } from './damage/damage.ts'
import type { ImageKeeper } from './records/image-keeper.ts'
import { manifestAction, neverHadContent } from './records/image-states.ts'
import type { ManifestFiles } from './manifests/manifest-files.ts'

export interface RootsDeps {
  readonly keeper: ImageKeeper
  readonly manifests: ManifestFiles
  /** Manifests of compressed files that are not unpacked yet. */
  readonly compressed: ManifestFiles
  /** Roots of images that are being unpacked. Their content moves to the images, so they are listed first. */
  readonly unpacking: () => Iterable<SliceRoot>
  readonly damage: Damage
  readonly readerPins: ReaderPins
}

/** Manifests pinned by readers. They are kept in memory only, because a restart ends every reader. */
export interface ReaderPins {
  /** Pins the slices of a manifest until disposed. */
  add(id: string, manifest: Manifest): Disposable
  list(): Iterable<SliceRoot>
}

export function createReaderPins(): ReaderPins {
  const pins = new Set<{ readonly id: string; readonly manifest: Manifest }>()
  return {
    add(id, manifest) {
      const pin = { id, manifest }
      pins.add(pin)
      return { [Symbol.dispose]: () => void pins.delete(pin) }
    },
    *list() {
      for (const { id, manifest } of pins) yield { name: `read ${id}`, entries: () => entriesOf(manifest.blocks()) }
    },
  }
}

/**
 * Creates the roots of all images. A root throws if the disk cannot read its manifest, and has a fault if the manifest is damaged or missing.
 * In both cases gc removes nothing.
 */
export function createImageRoots(deps: RootsDeps): SliceRoots {
  return {
    *list() {
      yield* deps.unpacking()
      for (const { image } of deps.keeper.table.all()) yield imageRoot(deps, image.id)
      yield* deps.readerPins.list()
    },
  }
}

async function* entriesOf(blocks: AsyncIterable<ManifestBlock>): AsyncGenerator<ManifestEntry> {
  for await (const block of blocks) yield* manifestEntries(block)
}

/** Yields the slices of a compressed file. If it was unpacked in the meantime, yields those of the image. A damaged one is worth nothing. */
async function* compressedEntries({ keeper, manifests, compressed }: RootsDeps, id: string, compressedDigest: string): AsyncGenerator<ManifestEntry> {
  try {
    yield* entriesOf(compressed.walk(id, compressedDigest))
  } catch (error) {
    if (!(error instanceof ManifestInvalid)) throw error
    const now = keeper.table.get(id)
    if (now && now.life.compressed === null) yield* entriesOf(manifests.walk(id, now.image.manifestDigest))
  }
}

function imageRoot(deps: RootsDeps, id: string): SliceRoot {
  const { keeper, manifests, damage } = deps
  let fault: RootFault | undefined
  return {
    name: rootName(id),
    fault: () => fault,
    async *entries(): AsyncGenerator<ManifestEntry> {
      fault = undefined
      const before = keeper.table.get(id)
      if (!before || neverHadContent(before)) return
      if (before.life.compressed !== null) return yield* compressedEntries(deps, id, before.life.compressed)
      try {
        yield* entriesOf(manifests.walk(id, before.image.manifestDigest))
        if (before.life.damage === 'manifest') await damage.markManifestIntact(id)
      } catch (error) {
        if (!(error instanceof ManifestInvalid)) throw error
        const status = (): ImageStatus => keeper.table.get(id)?.image.status ?? 'deleting'
        if (status() !== 'deleting') await damage.markManifestDamaged(id, error.message)
        yield* manifests.salvage(id)
        // After an operator has deleted an image known to be damaged, only its salvaged entries are kept.
        const isGivenUp = status() === 'deleted' && (before.life.damage === 'manifest' || before.life.damage === 'metadata')
        if (status() !== 'deleting' && !isGivenUp)
          fault = { reason: `the manifest of image ${before.image.name} (${id}) is damaged: ${error.message}`, action: manifestAction(id) }
      }
    },
  }
}
