// Visibility: which slices a caller may know of (docs/decisions/0010-visible-slices.md). An index on the node's own disk says which
// manifests name a slice; the catalogue, asked at every look-up, says which of these manifests the caller may read. So a deletion or a
// restore changes nothing in the index and counts at once.

import type { Digest } from '../../protocol/digest.ts'
import type { Image } from '../../protocol/image.ts'
import { ManifestInvalid } from '../../protocol/manifest.ts'
import type { Actor } from '../contract/access.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { IsReadable, SliceVisibility } from '../contract/visibility.ts'
import { RunDamaged } from './run-file.ts'
import { RunSet } from './run-set.ts'
import { ImageSliceView } from './slice-view.ts'

/** How long an image that could not be indexed is left alone, in milliseconds. */
const RETRY_MS = 30_000
/** Runs that may wait to be merged while many images are indexed: each is an open file. */
export const RUNS_MAX = 64
/** Actors whose views are kept, so that a request need not look at every image again. */
const VIEWS_MAX = 64

/** What is needed of the catalogue. */
export interface VisibleImages {
  /** Changes whenever an image comes, goes or changes. */
  version(): number
  /** Every image, whatever its status, in no order. */
  each(): Iterable<Image>
  find(id: string): Image | undefined
  /** Windows of whole entries of an image's manifest, verified when the last one was given. Throws ManifestInvalid. */
  manifestWindows(image: Image): AsyncIterable<Uint8Array>
}

export interface VisibilityDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  /** Folder of the index: derived from the manifests, on the node's own disk, never on the mount path. */
  readonly folder: string
  readonly images: VisibleImages
  readonly isReadable: IsReadable
  /** Whether the content of an image is served to anybody: such images are indexed. */
  readonly isServed: (image: Image) => boolean
}

export interface Visibility extends SliceVisibility, AsyncDisposable {
  /** Begins to index images; to be called once. */
  start(): void
  /** An image came, went or changed. Never throws and never waits. */
  wake(): void
  /** Resolves when no image waits to be indexed and no runs wait to be merged. */
  settled(): Promise<void>
}

/** Opens the index of a store, or begins one. */
export async function openVisibility(deps: VisibilityDeps): Promise<Visibility> {
  const { clock, disk, folder, images, isReadable, isServed, log } = deps
  const ended = new AbortController()
  const pause = async (): Promise<void> => {
    await clock.sleep(0)
    ended.signal.throwIfAborted()
  }
  const runs = await RunSet.open({ disk, folder, log, pause })
  /** Manifests that could not be indexed, and until when they are left alone. */
  const failed = new Map<Digest, number>()
  const urgent = new Set<Digest>()
  let isStarted = false
  let isDue = false
  let isMergeDue = false
  let indexing: Promise<void> | undefined
  let merging: Promise<void> | undefined

  const isToIndex = (image: Image): boolean => {
    const manifest = image.manifestDigest as Digest | null
    return manifest !== null && isServed(image) && !runs.has(manifest) && (failed.get(manifest) ?? 0) <= clock.monotonicMs()
  }
  /** Images to index: those that somebody waits for, then the newest, of which the next version comes soon. */
  const imagesToIndex = (): Image[] => {
    const waitedFor = (image: Image): number => (urgent.has(image.manifestDigest as Digest) ? 1 : 0)
    return [...images.each()].filter(isToIndex).toSorted((a, b) => waitedFor(b) - waitedFor(a) || (a.createdAt < b.createdAt ? 1 : -1))
  }
  const indexOne = async (image: Image): Promise<void> => {
    const manifest = image.manifestDigest as Digest
    try {
      await runs.add(manifest, () => images.manifestWindows(image))
      failed.delete(manifest)
    } catch (error) {
      ended.signal.throwIfAborted()
      failed.set(manifest, clock.monotonicMs() + RETRY_MS)
      // A damaged manifest makes its image an error, which nobody may read; the catalogue has noted it.
      if (error instanceof ManifestInvalid) log.warn('the manifest of an image cannot be indexed', { image: image.id, reason: error.message })
      else log.error('an image could not be indexed; its slices are searched one by one until it is', { image: image.id, error })
    }
    urgent.delete(manifest)
  }
  const indexAll = async (): Promise<void> => {
    do {
      isDue = false
      // Several changes in a row are looked at once.
      await pause()
      for (const { id } of imagesToIndex()) {
        const image = images.find(id)
        if (image && isToIndex(image)) await indexOne(image)
        if (runs.runs.length >= RUNS_MAX) await merge()
        // Something changed: another image may go first now.
        if (isDue) break
      }
    } while (isDue)
    void merge()
  }
  const merge = (): Promise<void> => {
    isMergeDue = true
    merging ??= mergeAll().finally(() => (merging = undefined))
    return merging
  }
  const mergeAll = async (): Promise<void> => {
    try {
      do {
        isMergeDue = false
        await pause()
        const wanted = new Set<Digest>()
        for (const { manifestDigest } of images.each()) if (manifestDigest !== null) wanted.add(manifestDigest as Digest)
        if (await runs.mergeSome((manifest) => wanted.has(manifest))) isMergeDue = true
        // An image that was purged and came again while its rows were left out.
        if (!indexing && imagesToIndex().length > 0) wake()
      } while (isMergeDue)
    } catch (error) {
      if (ended.signal.aborted) return
      if (error instanceof RunDamaged) discardDamaged(error)
      else log.warn('runs of the visibility index could not be merged; look-ups take a little longer', { error })
    }
  }
  const discardDamaged = (error: RunDamaged): void => {
    const run = runs.runs.find((other) => other.run === error.run)
    log.warn('a run of the visibility index is damaged and is rebuilt', { reason: error.message })
    if (run) runs.discard(run)
    wake()
  }
  const wake = (): void => {
    if (!isStarted || ended.signal.aborted) return
    isDue = true
    indexing ??= indexAll()
      .catch((error: unknown) => {
        if (!ended.signal.aborted) log.error('indexing of images ended', { error })
      })
      .finally(() => {
        indexing = undefined
        if (isDue) wake()
      })
  }
  const retries = clock.every(RETRY_MS, wake)
  // By everything that is known of the actor, in the order of their last use.
  const views = new Map<string, ImageSliceView>()
  const makeView = (actor: Actor): ImageSliceView =>
    new ImageSliceView({
      clock,
      runs,
      images,
      mayRead: (image) => isReadable(image, actor),
      damaged: (error) => discardDamaged(error),
      indexing: () => indexing,
      hurry(manifest) {
        urgent.add(manifest)
        wake()
      },
    })

  return {
    view(actor) {
      const key = JSON.stringify(actor)
      const view = views.get(key) ?? makeView(actor)
      views.delete(key)
      views.set(key, view)
      const [oldest] = views.keys()
      if (views.size > VIEWS_MAX && oldest !== undefined) views.delete(oldest)
      return view
    },
    start() {
      isStarted = true
      wake()
    },
    wake,
    async settled() {
      while (indexing ?? merging) await (indexing ?? merging)
      await runs.removed()
    },
    async [Symbol.asyncDispose]() {
      ended.abort(new Error('the visibility index is being closed'))
      retries[Symbol.dispose]()
      while (indexing ?? merging) await (indexing ?? merging)
      await runs[Symbol.asyncDispose]()
    },
  }
}
