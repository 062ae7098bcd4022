// The slices that one caller may know of: look-ups in the runs of the index, in which a row counts only while its manifest belongs to an image
// that the caller may read. A hidden slice and one that is not stored take the same code path and the same time.

import type { Digest } from '../../protocol/slices/digest.ts'
import type { Image } from '../../protocol/images/image.ts'
import { MANIFEST_ENTRY_BYTES } from '../../protocol/slices/manifest.ts'
import { problem } from '../../protocol/problems.ts'
import type { Clock } from '../contract/runtime.ts'
import type { SliceView } from '../contract/visibility.ts'
import { RunDamaged } from './run-file.ts'
import type { RunFile } from './run-file.ts'
import { fingerprintWord } from './run-layout.ts'
import type { RunSet } from './run-set.ts'
import type { VisibleImages } from './visible-images.ts'

/** Look-ups between two pauses: each reads at most one block of every run, a few microseconds from the page cache. */
export const LOOKUPS_PER_STEP = 64
/** Visible slices that are remembered, 12 bytes each: a delta upload first asks about slices and then names them. */
const RECENT_SLOTS = 8192
/** How long `hidden` waits for images that are being indexed, in milliseconds; with more images than the second number, it does not wait. */
const SHORT_WAIT_MS = 2000
const SHORT_WAIT_IMAGES_MAX = 16
/** How long `hiddenExactly` waits for them, in milliseconds, before it refuses with a Retry-After. */
const EXACT_WAIT_MS = 5000
/** How often `hiddenExactly` looks slices up when the index changes during each look-up. */
const EXACT_LOOKUPS_MAX = 8

export interface SliceViewDeps {
  readonly clock: Clock
  readonly runs: RunSet
  readonly images: VisibleImages
  readonly mayRead: (image: Image) => boolean
  readonly onDamaged: (error: RunDamaged) => void
  /** Resolves when the images that wait to be indexed are indexed; undefined when none waits. */
  readonly indexing: () => Promise<void> | undefined
  /** Indexes a manifest before all others. */
  readonly hurry: (manifest: Digest) => void
}

interface ReadableRun {
  readonly run: RunFile
  /** 1 for each manifest of the run that the caller may read. */
  readonly flags: Uint8Array
}

export class ImageSliceView implements SliceView {
  readonly #deps: SliceViewDeps
  /** In search order: slices looked up together tend to be in one run. */
  #readable: ReadableRun[] = []
  /** Fingerprints found visible, each in the slot that its last bits select; emptied whenever images or runs change. */
  readonly #recent = new Uint32Array(3 * RECENT_SLOTS)
  /** Readable images that are not indexed. */
  #unindexed = 0
  #imagesVersion = -1
  #generation = -1

  constructor(deps: SliceViewDeps) {
    this.#deps = deps
  }

  has(digest: Uint8Array): boolean {
    const [first, second, third] = [fingerprintWord(digest, 0), fingerprintWord(digest, 4), fingerprintWord(digest, 8)]
    const place = 3 * (third & (RECENT_SLOTS - 1))
    const recent = this.#recent
    for (;;) {
      this.#refresh()
      if (recent[place] === first && recent[place + 1] === second && recent[place + 2] === third && (first | second | third) !== 0) return true
      try {
        for (const [i, entry] of this.#readable.entries()) {
          if (!entry.run.names(first, second, third, entry.flags)) continue
          if (i > 0) {
            this.#readable.splice(i, 1)
            this.#readable.unshift(entry)
          }
          recent[place] = first
          recent[place + 1] = second
          recent[place + 2] = third
          return true
        }
        return false
      } catch (error) {
        if (!(error instanceof RunDamaged)) throw error
        // This discards the run; the search is repeated without it.
        this.#deps.onDamaged(error)
      }
    }
  }

  async hidden(digests: readonly Uint8Array[], signal?: AbortSignal): Promise<number[]> {
    this.#refresh()
    if (this.#unindexed > 0 && this.#unindexed <= SHORT_WAIT_IMAGES_MAX) await this.#waitForIndex(SHORT_WAIT_MS, signal)
    return this.#lookUp(digests, [...digests.keys()], signal)
  }

  async hiddenExactly(
    digests: readonly Uint8Array[],
    { imageId, signal }: { readonly imageId: string | undefined; readonly signal?: AbortSignal },
  ): Promise<number[]> {
    const first = await this.#lookUpExactly(digests, [...digests.keys()], signal)
    let { hidden } = first
    if (hidden.length === 0 || first.isExact) return hidden
    const image = imageId === undefined ? undefined : this.#deps.images.find(imageId)
    if (image && image.manifestDigest !== null && this.#deps.mayRead(image)) {
      this.#deps.hurry(image.manifestDigest as Digest)
      hidden = await this.#search(image, digests, hidden, signal)
      if (hidden.length === 0) return hidden
    }
    await this.#waitForIndex(EXACT_WAIT_MS, signal)
    const second = await this.#lookUpExactly(digests, hidden, signal)
    hidden = second.hidden
    if (hidden.length > 0 && !second.isExact) {
      const detail = 'The store is indexing its images and does not know yet which slices may be sent.'
      throw problem('store-unavailable', detail, { action: 'Try again in a few seconds.' }, { headers: { 'Retry-After': '5' } })
    }
    return hidden
  }

  /**
   * Looks up as `#lookUp` does, again if the index changed meanwhile: slices of a run that was found damaged during the look-up seem hidden,
   * even if their images are indexed again by its end. The result is exact if every readable image was indexed all the time.
   */
  async #lookUpExactly(
    digests: readonly Uint8Array[],
    among: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<{ readonly hidden: number[]; readonly isExact: boolean }> {
    let hidden = [...among]
    for (let attempt = 1; ; attempt++) {
      const wasComplete = this.#isComplete()
      const generation = this.#generation
      hidden = await this.#lookUp(digests, hidden, signal)
      const isExact = wasComplete && this.#deps.runs.generation === generation
      if (hidden.length === 0 || isExact || attempt === EXACT_LOOKUPS_MAX || !this.#isComplete()) return { hidden, isExact }
    }
  }

  /** Returns those of the digests, by index, that no readable indexed image names. */
  async #lookUp(digests: readonly Uint8Array[], among: readonly number[], signal: AbortSignal | undefined): Promise<number[]> {
    const hidden: number[] = []
    let count = 0
    for (const i of among) {
      const digest = digests[i]
      if (digest && !this.has(digest)) hidden.push(i)
      if (++count % LOOKUPS_PER_STEP !== 0) continue
      await this.#deps.clock.sleep(0)
      signal?.throwIfAborted()
    }
    return hidden
  }

  /** Returns those of the digests, by index, that the manifest of an image does not name. Reads the whole manifest. */
  async #search(image: Image, digests: readonly Uint8Array[], among: readonly number[], signal: AbortSignal | undefined): Promise<number[]> {
    const sought = new Map<number, number[]>()
    for (const i of among) {
      const key = fingerprintWord(digests[i] ?? new Uint8Array(0), 0)
      sought.set(key, [...(sought.get(key) ?? []), i])
    }
    const found = new Set<number>()
    for await (const window of this.#deps.images.manifestWindows(image)) {
      signal?.throwIfAborted()
      for (let at = 8; at < window.byteLength; at += MANIFEST_ENTRY_BYTES)
        for (const i of sought.get(fingerprintWord(window, at)) ?? []) if (isSame(digests[i], window, at)) found.add(i)
      await this.#deps.clock.sleep(0)
    }
    return among.filter((i) => !found.has(i))
  }

  #isComplete(): boolean {
    this.#refresh()
    return this.#unindexed === 0
  }

  /** Waits until every readable image is indexed, no work is in progress, or the time limit is reached. */
  async #waitForIndex(limitMs: number, signal: AbortSignal | undefined): Promise<void> {
    const ended = new AbortController()
    const limit = this.#deps.clock.sleep(limitMs, signal ? AbortSignal.any([ended.signal, signal]) : ended.signal).finally(() => ended.abort())
    try {
      for (let work = this.#deps.indexing(); work && !ended.signal.aborted && !this.#isComplete(); work = this.#deps.indexing())
        await Promise.race([work, limit])
    } finally {
      ended.abort()
      // Its rejection is expected.
      limit.catch(() => {})
    }
  }

  /** Updates the view when the catalogue or the index has changed since the last call. */
  #refresh(): void {
    const { images, runs, mayRead } = this.#deps
    if (images.version() === this.#imagesVersion && runs.generation === this.#generation) return
    this.#imagesVersion = images.version()
    this.#generation = runs.generation
    this.#recent.fill(0)
    const readable = new Set<string>()
    this.#unindexed = 0
    for (const image of images.each()) {
      if (image.manifestDigest === null || !mayRead(image)) continue
      readable.add(image.manifestDigest)
      if (!runs.has(image.manifestDigest as Digest)) this.#unindexed++
    }
    this.#readable = runs.runs.map((run) => ({ run, flags: Uint8Array.from(run.manifests, (manifest) => (readable.has(manifest) ? 1 : 0)) }))
  }
}

function isSame(digest: Uint8Array | undefined, window: Uint8Array, at: number): boolean {
  return digest !== undefined && digest.every((byte, i) => byte === window[at + i])
}
