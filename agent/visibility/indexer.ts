// Indexes the manifests of served images in the background, one at a time, and merges runs. Urgent images go first, then the newest.

import type { Digest } from '../../protocol/slices/digest.ts'
import type { Image } from '../../protocol/images/image.ts'
import { ManifestInvalid } from '../../protocol/slices/manifest.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import { RunDamaged } from './run-file.ts'
import type { RunSet } from './run-set.ts'
import type { VisibleImages } from './visible-images.ts'

/** How long to wait before an image that could not be indexed is tried again, in milliseconds. */
const RETRY_MS = 30_000
/** Runs that may wait to be merged while many images are indexed: each is an open file. */
const RUNS_MAX = 64

export interface IndexerDeps {
  readonly clock: Clock
  readonly log: Log
  readonly runs: RunSet
  readonly images: VisibleImages
  /** Whether the content of an image is served to anyone: such images are indexed. */
  readonly isServed: (image: Image) => boolean
  /** Lets other work on the event loop run first; throws when the index is being closed. */
  readonly pause: () => Promise<void>
  /** Aborted when the index is being closed. */
  readonly signal: AbortSignal
}

/** Owns the work in progress. */
export class Indexer implements AsyncDisposable {
  readonly #deps: IndexerDeps
  /** Manifests that could not be indexed, and until when they are not retried. */
  readonly #failed = new Map<Digest, number>()
  readonly #urgent = new Set<Digest>()
  readonly #retries: Disposable
  #isStarted = false
  #isDue = false
  #isMergeDue = false
  #indexing: Promise<void> | undefined
  #merging: Promise<void> | undefined

  constructor(deps: IndexerDeps) {
    this.#deps = deps
    this.#retries = deps.clock.every(RETRY_MS, () => this.wake())
  }

  /** Resolves when the pass in progress ends; undefined when none is. */
  get indexing(): Promise<void> | undefined {
    return this.#indexing
  }

  start(): void {
    this.#isStarted = true
    this.wake()
  }

  /** Starts a pass over the images, or another one after the pass in progress. Never throws and never waits. */
  wake(): void {
    const { log, signal } = this.#deps
    if (!this.#isStarted || signal.aborted) return
    this.#isDue = true
    this.#indexing ??= this.#indexAll()
      .catch((error: unknown) => {
        if (!signal.aborted) log.error('indexing of images stopped', { error })
      })
      .finally(() => {
        this.#indexing = undefined
        if (this.#isDue) this.wake()
      })
  }

  /** Indexes a manifest before all others. */
  hurry(manifest: Digest): void {
    this.#urgent.add(manifest)
    this.wake()
  }

  /** Discards a damaged run; its manifests are indexed again. */
  discardDamaged(error: RunDamaged): void {
    const { log, runs } = this.#deps
    const run = runs.runs.find((other) => other.run === error.run)
    log.warn('a run of the visibility index is damaged and is being rebuilt', { reason: error.message })
    if (run) runs.discard(run)
    this.wake()
  }

  /** Resolves when no image waits to be indexed and no runs wait to be merged. */
  async settled(): Promise<void> {
    while (this.#indexing ?? this.#merging) await (this.#indexing ?? this.#merging)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#retries[Symbol.dispose]()
    await this.settled()
  }

  #isToIndex(image: Image): boolean {
    const { clock, isServed, runs } = this.#deps
    const manifest = image.manifestDigest as Digest | null
    return manifest !== null && isServed(image) && !runs.has(manifest) && (this.#failed.get(manifest) ?? 0) <= clock.monotonicMs()
  }

  /** Returns the images to index: urgent ones, then the newest, because the next version of an image resembles them most. */
  #imagesToIndex(): Image[] {
    const urgency = (image: Image): number => (this.#urgent.has(image.manifestDigest as Digest) ? 1 : 0)
    return [...this.#deps.images.each()]
      .filter((image) => this.#isToIndex(image))
      .toSorted((a, b) => urgency(b) - urgency(a) || (a.createdAt < b.createdAt ? 1 : -1))
  }

  async #indexAll(): Promise<void> {
    const { images, pause, runs } = this.#deps
    do {
      this.#isDue = false
      // Several changes in a row are handled by one pass.
      await pause()
      for (const { id } of this.#imagesToIndex()) {
        const image = images.find(id)
        if (image && this.#isToIndex(image)) await this.#indexOne(image)
        if (runs.runs.length >= RUNS_MAX) await this.#merge()
        // Something changed: another image may go first now.
        if (this.#isDue) break
      }
    } while (this.#isDue)
    void this.#merge()
  }

  async #indexOne(image: Image): Promise<void> {
    const { clock, images, log, runs, signal } = this.#deps
    const manifest = image.manifestDigest as Digest
    try {
      await runs.add(manifest, () => images.manifestWindows(image))
      this.#failed.delete(manifest)
    } catch (error) {
      signal.throwIfAborted()
      this.#failed.set(manifest, clock.monotonicMs() + RETRY_MS)
      // A damaged manifest puts its image in the state Error, in which it is not served; the catalogue has recorded that.
      if (error instanceof ManifestInvalid) log.warn('the manifest of an image cannot be indexed', { image: image.id, reason: error.message })
      else log.error('an image could not be indexed; until it is, its manifest is searched instead', { image: image.id, error })
    }
    this.#urgent.delete(manifest)
  }

  #merge(): Promise<void> {
    this.#isMergeDue = true
    this.#merging ??= this.#mergeAll().finally(() => (this.#merging = undefined))
    return this.#merging
  }

  async #mergeAll(): Promise<void> {
    const { images, log, pause, runs, signal } = this.#deps
    try {
      do {
        this.#isMergeDue = false
        await pause()
        const wanted = new Set<Digest>()
        for (const { manifestDigest } of images.each()) if (manifestDigest !== null) wanted.add(manifestDigest as Digest)
        if (await runs.mergeSome((manifest) => wanted.has(manifest))) this.#isMergeDue = true
        // An image that was purged and added again during the merge is no longer indexed.
        if (!this.#indexing && this.#imagesToIndex().length > 0) this.wake()
      } while (this.#isMergeDue)
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof RunDamaged) this.discardDamaged(error)
      else log.warn('runs of the visibility index could not be merged; look-ups take a little longer', { error })
    }
  }
}
