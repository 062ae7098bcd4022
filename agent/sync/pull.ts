// Pulls one image: receive the manifest → promise space → acquire the lease → copy missing slices in batches (sources/move-batches.ts) → publish the
// image → remove the lease. If a pull stops at any point, the lease protects the slices copied so far, and the next pull copies the rest. The manifest is
// read block by block, so memory use does not depend on the length of the image.

import type { Image } from '../../protocol/images/image.ts'
import { decodeManifestHeader, manifestLength } from '../../protocol/slices/manifest.ts'
import type { Manifest } from '../../protocol/slices/manifest.ts'
import { problem } from '../../protocol/problems.ts'
import type { ImagePublisher } from '../contract/images.ts'
import { createLoopBudget } from '../contract/loop-budget.ts'
import type { Clock, CrashPoint } from '../contract/runtime.ts'
import type { SliceIngester } from '../contract/slices.ts'
import type { Space } from '../contract/space.ts'
import type { RateShare } from './limits/rate-limiter.ts'
import type { LeasedManifest } from './lease-files.ts'
import type { Leases } from './leases.ts'
import { missingBatches } from './missing-batches.ts'
import type { PullCounts } from './missing-batches.ts'
import { columns, keyOf, sliceWindows, spaceNeeded } from './plan.ts'
import type { SliceSource } from './sources/connect.ts'
import { moveBatches } from './sources/move-batches.ts'
import { askSources } from './sources/source-pool.ts'
import type { SourcePool } from './sources/source-pool.ts'

export interface PullDeps {
  readonly clock: Clock
  readonly images: Pick<ImagePublisher, 'adopt'>
  readonly slices: Pick<SliceIngester, 'receive' | 'missing'>
  readonly space: Space
  readonly leases: Leases
  readonly crashPoint: CrashPoint
  /** Number of batches in flight of one pull. */
  readonly batchesMax: number
}

/** Where a pull copies an image from. */
export interface PullSources {
  /** The source that described the image. */
  readonly described: SliceSource
  /** All sources, which may have the image or slices of it. */
  readonly pool: SourcePool
}

export interface PullOptions {
  readonly signal: AbortSignal
  readonly counts: PullCounts
  /** The rate that the sync may use. */
  readonly share: Pick<RateShare, 'take' | 'inFlightMax'>
  /** Called with the copied and total uncompressed bytes of this image. */
  readonly onProgress: (done: number, total: number) => void
}

/** What a pull found out about an image, in uncompressed bytes. */
export interface ImageMeasure {
  readonly missingBytes: number
  readonly zeroBytes: number
}

/** A copied image. `isNew` is false if this store already had it. */
export interface PulledImage extends ImageMeasure {
  readonly isNew: boolean
}

/**
 * Measures what a pull would copy. Nothing of the manifest remains, except for that of an earlier pull. Throws ProblemError as a pull does, also
 * `insufficient-storage`.
 */
export async function measureImage(
  deps: PullDeps,
  sources: PullSources,
  image: Image,
  { signal, share }: Pick<PullOptions, 'signal' | 'share'>,
): Promise<ImageMeasure> {
  const { leases, space } = deps
  let isFromBefore = false
  try {
    await using leased = await manifestOf(deps, sources, image, { signal, share })
    isFromBefore = leased.isFromBefore
    const measure = await measureManifest(deps, leased.manifest, signal)
    await promiseSpace(space, image, measure.missingBytes, manifestLength(leased.manifest.count))
    return measure
  } finally {
    await space.promise(promiseKey(image), 0)
    leases.endAttempt(image.id)
    if (!isFromBefore) await leases.remove(image.id).catch(() => {})
  }
}

/** Copies one image. Throws ProblemError. */
export async function pullImage(deps: PullDeps, sources: PullSources, image: Image, options: PullOptions): Promise<PulledImage> {
  const { leases, crashPoint, images, space } = deps
  const movedBefore = options.counts.slicesMoved
  let isFromBefore = false
  let isPublished = false
  try {
    await using leased = await manifestOf(deps, sources, image, options)
    const { manifest } = leased
    isFromBefore = leased.isFromBefore
    const measure = await measureManifest(deps, manifest, options.signal)
    const bytes = measure.missingBytes
    // The catalogue stores a second copy of the manifest.
    const others = manifestLength(manifest.count)
    await promiseSpace(space, image, bytes, others)
    if (!isFromBefore) await leases.acquire(image.id)
    crashPoint('sync:lease-acquired')
    await moveSlices(deps, sources.pool, { image, manifest, bytes, others }, options)
    crashPoint('sync:slices-moved')
    const { storeId, url } = sources.described
    const copied = { ...image, source: { ...image.source, kind: 'sync' as const, storeId, url } }
    const isNew = await images.adopt(copied, manifest)
    isPublished = true
    crashPoint('sync:adopted')
    return { isNew, ...measure }
  } finally {
    await space.promise(promiseKey(image), 0)
    // A lease that protects no slices is removed now instead of a day later.
    const protectsSlices = isFromBefore || options.counts.slicesMoved > movedBefore
    if (isPublished) await leases.remove(image.id)
    else {
      leases.endAttempt(image.id)
      // If the removal fails, the lease expires later. The caller must get the error of the pull instead.
      if (!protectsSlices) await leases.remove(image.id).catch(() => {})
    }
  }
}

/** Promises space for the missing slices of an image and for `others` more bytes. Throws ProblemError `insufficient-storage`. */
async function promiseSpace(space: Space, image: Image, missingBytes: number, others: number): Promise<void> {
  const bytes = spaceNeeded(missingBytes, image) + others
  if (await space.promise(promiseKey(image), bytes)) return
  throw problem('insufficient-storage', `Image ${image.name} needs up to ${bytes} bytes, which exceeds the space above the reserve.`)
}

/** Returns the key of the space promised to a pull. */
export function promiseKey({ id }: Pick<Image, 'id'>): string {
  return `sync ${id}`
}

/** Returns the manifest left by an earlier attempt, or fetches it from a source. Throws ProblemError if no source sends the one of the image. */
export async function manifestOf(
  deps: Pick<PullDeps, 'clock' | 'leases' | 'space'>,
  { described, pool }: PullSources,
  image: Image,
  { signal, share }: Pick<PullOptions, 'signal' | 'share'>,
): Promise<LeasedManifest> {
  const { clock, leases, space } = deps
  if (image.manifestDigest === null) throw problem('wrong-status', `Image ${image.name} has no content at ${described.url} yet; it is ${image.status} there.`)
  const known = await leases.find(image.id, image.manifestDigest)
  if (known) return known
  const ask = async ({ url, client }: SliceSource): Promise<LeasedManifest> => {
    const leased = await leases.receive(image.id, promised(paced(client.images.manifest(image.id, { signal }), share, signal), image, space))
    if (leased.digest === image.manifestDigest && leased.manifest.imageLength === image.length) return leased
    await leased[Symbol.asyncDispose]()
    throw problem('digest-mismatch', `${url} sent a manifest of image ${image.name} that does not match the description of the image.`, {
      action: 'Scrub the other store: its catalogue and the manifest do not match.',
      fault: 'wrong-image',
    })
  }
  return askSources({ clock, pool, about: `the manifest of image ${image.name}`, signal, ask })
}

/** Yields pieces no faster than the rate of the sync allows. */
async function* paced(pieces: AsyncIterable<Uint8Array>, share: PullOptions['share'], signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    yield piece
    await share.take(piece.byteLength, signal)
  }
}

/** Yields the bytes of a manifest as they arrive, after promising space for two copies of it. */
async function* promised(pieces: AsyncIterable<Uint8Array>, image: Image, space: Space): AsyncGenerator<Uint8Array> {
  let isPromised = false
  for await (const piece of pieces) {
    if (!isPromised) {
      const bytes = 2 * manifestLength(decodeManifestHeader(piece).count)
      if (!(await space.promise(promiseKey(image), bytes)))
        throw problem('insufficient-storage', `The manifest of image ${image.name} needs ${bytes} bytes, which exceeds the space above the reserve.`)
      isPromised = true
    }
    yield piece
  }
}

/** Measures an image. A slice that occurs in several blocks may be counted more than once, but is copied once. */
export async function measureManifest({ clock, slices }: Pick<PullDeps, 'clock' | 'slices'>, manifest: Manifest, signal: AbortSignal): Promise<ImageMeasure> {
  const budget = createLoopBudget(clock)
  let missingBytes = 0
  let zeroBytes = 0
  for await (const block of manifest.blocks()) {
    for (let i = block.first; i < block.first + block.count; i++) if (block.isZeroAt(i)) zeroBytes += block.lengthAt(i)
    for (const window of sliceWindows(block)) {
      for (const i of slices.missing(...columns(window))) missingBytes += window[i]?.length ?? 0
      await budget.spend()
    }
    signal.throwIfAborted()
  }
  return { missingBytes, zeroBytes }
}

interface Move {
  readonly image: Image
  readonly manifest: Manifest
  /** Uncompressed bytes of the missing slices. */
  readonly bytes: number
  /** Other bytes that the pull writes to disk. */
  readonly others: number
}

async function moveSlices(deps: PullDeps, pool: SourcePool, move: Move, options: PullOptions): Promise<void> {
  const { space } = deps
  const { counts, signal, share } = options
  const inFlight = new Set<string>()
  let done = 0
  options.onProgress(0, move.bytes)
  await moveBatches(deps, missingBatches(deps, move.manifest, { counts, inFlight, bytesMax: () => share.inFlightMax() / deps.batchesMax }), {
    pool,
    image: move.image.id,
    batchesMax: deps.batchesMax,
    signal,
    pace: (wireBytes) => share.take(wireBytes, signal),
    onStored(slice, wireBytes) {
      inFlight.delete(keyOf(slice))
      if (wireBytes > 0) counts.slicesMoved++
      counts.bytesMoved += wireBytes
      done += slice.length
      options.onProgress(Math.min(done, move.bytes), move.bytes)
    },
    async beforeBatch() {
      if (await space.isBelowReserve())
        throw problem('insufficient-storage', `The free space fell below the reserve while image ${move.image.name} was being copied.`)
    },
    // Slices that are written reduce the free space of the file system, so only the rest stays promised.
    async onDurable() {
      await space.promise(promiseKey(move.image), spaceNeeded(Math.max(0, move.bytes - done), move.image) + move.others)
    },
  })
  options.onProgress(move.bytes, move.bytes)
}
