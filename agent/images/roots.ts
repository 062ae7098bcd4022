// Roots for gc: every image of the catalogue, the recycle bin included, keeps its slices alive, and so does every content
// that is being sent, also when its image is removed meanwhile.

import { ManifestInvalid, manifestEntries } from '../../protocol/manifest.ts'
import type { Manifest, ManifestBlock, ManifestEntry } from '../../protocol/manifest.ts'
import type { SliceRoot, SliceRoots } from '../contract/slices.ts'
import { rootName } from './damage.ts'
import type { Damage } from './damage.ts'
import type { ImageKeeper } from './image-keeper.ts'
import type { ManifestFiles } from './manifest-files.ts'

export interface RootsDeps {
  readonly keeper: ImageKeeper
  readonly manifests: ManifestFiles
  readonly damage: Damage
  readonly holds: ContentHolds
}

/** Contents that are being read. A restart ends every reader, so that they live in memory alone. */
export interface ContentHolds {
  /** Keeps the slices of a manifest until disposed. */
  add(id: string, manifest: Manifest): Disposable
  list(): Iterable<SliceRoot>
}

export function createContentHolds(): ContentHolds {
  const held = new Set<{ readonly id: string; readonly manifest: Manifest }>()
  return {
    add(id, manifest) {
      const hold = { id, manifest }
      held.add(hold)
      return { [Symbol.dispose]: () => void held.delete(hold) }
    },
    *list() {
      for (const { id, manifest } of held) yield { name: `read ${id}`, entries: () => entriesOf(manifest.blocks()) }
    },
  }
}

/** A root throws when its manifest cannot be read or has just vanished, so that gc removes nothing on a wrong picture. */
export function createImageRoots(deps: RootsDeps): SliceRoots {
  return {
    *list() {
      for (const { image } of deps.keeper.table.all()) yield imageRoot(deps, image.id)
      yield* deps.holds.list()
    },
  }
}

async function* entriesOf(blocks: AsyncIterable<ManifestBlock>): AsyncGenerator<ManifestEntry> {
  for await (const block of blocks) yield* manifestEntries(block)
}

function imageRoot({ keeper, manifests, damage }: RootsDeps, id: string): SliceRoot {
  return {
    name: rootName(id),
    async *entries(): AsyncGenerator<ManifestEntry> {
      const before = keeper.table.get(id)
      if (!before) return
      try {
        yield* entriesOf(manifests.walk(id, before.image.manifestDigest))
      } catch (error) {
        if (!(error instanceof ManifestInvalid)) throw error
        const isGoing = (): boolean => (keeper.table.get(id)?.image.status ?? 'deleting') === 'deleting'
        const wasKnown = before.life.damage === 'manifest' || before.life.damage === 'metadata'
        if (!isGoing() && !wasKnown) await damage.manifestDamaged(id, error.message)
        let count = 0
        for await (const entry of manifests.salvage(id)) {
          count++
          yield entry
        }
        // An empty file or none at all, all of a sudden: the mount path itself may be gone. The next gc knows of the damage.
        if (count === 0 && !isGoing() && !wasKnown) throw new Error(`the manifest of image ${id} has vanished: ${error.message}`, { cause: error })
      }
    },
  }
}
