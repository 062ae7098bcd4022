// Visibility: which slices a caller may know of (docs/decisions/0010-visible-slices.md). An index on the node says which manifests name a
// slice; the catalogue, consulted at every look-up, says which of these manifests the caller may read. So a deletion or a restore changes
// nothing in the index and takes effect at once.

import type { Image } from '../../protocol/images/image.ts'
import type { Actor } from '../contract/access.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { IsReadable, SliceVisibility } from '../contract/visibility.ts'
import { Indexer } from './indexer.ts'
import { RunSet } from './run-set.ts'
import { ImageSliceView } from './slice-view.ts'
import type { VisibleImages } from './visible-images.ts'

/** Actors whose views are kept, so that a request need not examine every image again. */
const VIEWS_MAX = 64

export interface VisibilityDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  /** Folder of the index: derived from the manifests, on the node, never on the mount path. */
  readonly folder: string
  readonly images: VisibleImages
  readonly isReadable: IsReadable
  /** Whether the content of an image is served to anyone: such images are indexed. */
  readonly isServed: (image: Image) => boolean
}

export interface Visibility extends SliceVisibility, AsyncDisposable {
  /** Starts to index images; called once. */
  start(): void
  /** Reports that an image was added, removed or changed. Never throws and never waits. */
  wake(): void
  /** Resolves when no image waits to be indexed and no runs wait to be merged. */
  settled(): Promise<void>
}

/** Opens the index of a store, or creates it. */
export async function openVisibility(deps: VisibilityDeps): Promise<Visibility> {
  const { clock, disk, folder, images, isReadable, isServed, log } = deps
  const closing = new AbortController()
  const pause = async (): Promise<void> => {
    await clock.sleep(0)
    closing.signal.throwIfAborted()
  }
  const runs = await RunSet.open({ disk, folder, log, pause })
  const indexer = new Indexer({ clock, log, runs, images, isServed, pause, signal: closing.signal })
  const createView = (actor: Actor): ImageSliceView =>
    new ImageSliceView({
      clock,
      runs,
      images,
      mayRead: (image) => isReadable(image, actor),
      onDamaged: (error) => indexer.discardDamaged(error),
      indexing: () => indexer.indexing,
      hurry: (manifest) => indexer.hurry(manifest),
    })
  /** By everything that identifies the actor, in the order of last use. */
  const views = new Map<string, ImageSliceView>()

  return {
    view(actor) {
      const key = JSON.stringify(actor)
      const view = views.get(key) ?? createView(actor)
      views.delete(key)
      views.set(key, view)
      const [oldest] = views.keys()
      if (views.size > VIEWS_MAX && oldest !== undefined) views.delete(oldest)
      return view
    },
    start: () => indexer.start(),
    wake: () => indexer.wake(),
    async settled() {
      await indexer.settled()
      await runs.removed()
    },
    async [Symbol.asyncDispose]() {
      closing.abort(new Error('the visibility index is being closed'))
      await indexer[Symbol.asyncDispose]()
      await runs[Symbol.asyncDispose]()
    },
  }
}
