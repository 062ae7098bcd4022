// Pull of one image: manifest to disk → space promised → lease → missing slices in batches, each slice verified, each batch durable →
// published when whole → lease dropped. Stopping anywhere keeps what was moved; the next pull moves the rest. The manifest is read block by
// block, so an image of any length takes the same memory.

import { formatDigest } from '../../protocol/digest.ts'
import type { AgentClient } from '../../protocol/client.ts'
import { FRAME_HEADER_BYTES, FrameInvalid } from '../../protocol/frames.ts'
import type { Image } from '../../protocol/image.ts'
import { decodeManifestHeader, ManifestInvalid, manifestLength } from '../../protocol/manifest.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { problem } from '../../protocol/problems.ts'
import type { ImagePublisher } from '../contract/images.ts'
import { createLoopBudget } from '../contract/loop-budget.ts'
import type { Clock, CrashPoint } from '../contract/runtime.ts'
import type { SliceIngester, SliceReceiver } from '../contract/slices.ts'
import type { Space } from '../contract/space.ts'
import type { LeasedManifest } from './lease-files.ts'
import type { Leases } from './leases.ts'
import { persistently } from './peer.ts'
import { createBatcher, sliceWindows, spaceNeeded } from './plan.ts'
import type { NamedSlice } from './plan.ts'

/** Requests for slices in parallel: while one is on the wire the other is being stored. */
const FETCHES_MAX = 2

export interface PullDeps {
  readonly clock: Clock
  readonly images: Pick<ImagePublisher, 'adopt'>
  readonly slices: Pick<SliceIngester, 'receive' | 'missing'>
  readonly space: Space
  readonly leases: Leases
  readonly crashPoint: CrashPoint
}

export interface PullSource {
  readonly client: AgentClient
  readonly storeId: string
}

/** Counters of a pull. Bytes moved are those of frames as sent over the wire. */
export interface PullCounts {
  slicesMoved: number
  slicesPresent: number
  bytesMoved: number
}

export interface PullOptions {
  readonly signal: AbortSignal
  readonly counts: PullCounts
  /** Called with the uncompressed bytes of this image that are done, and the total. */
  readonly onProgress: (done: number, total: number) => void
}

/** Copies one image; returns false when it was here already. Throws ProblemError. */
export async function pullImage(deps: PullDeps, source: PullSource, image: Image, options: PullOptions): Promise<boolean> {
  const { leases, crashPoint, images, space } = deps
  const movedBefore = options.counts.slicesMoved
  let isFromBefore = false
  let isPublished = false
  try {
    await using leased = await manifestOf(deps, source, image, options.signal)
    const { manifest } = leased
    isFromBefore = leased.isFromBefore
    const bytes = await countMissing(deps, manifest, options.signal)
    // The catalogue writes a second copy of the manifest.
    const others = manifestLength(manifest.count)
    if (!(await space.promise(promiseKey(image), spaceNeeded(bytes, image) + others))) {
      throw problem(
        'insufficient-storage',
        `Image ${image.name} needs up to ${spaceNeeded(bytes, image) + others} bytes, which are not left above the reserve.`,
      )
    }
    if (!isFromBefore) await leases.take(image.id)
    crashPoint('sync:lease-taken')
    await moveSlices(deps, source, { image, manifest, bytes, others }, options)
    crashPoint('sync:slices-moved')
    const copied = { ...image, source: { ...image.source, kind: 'sync' as const, storeId: source.storeId, url: source.client.baseUrl } }
    const isNew = await images.adopt(copied, manifest)
    isPublished = true
    crashPoint('sync:adopted')
    return isNew
  } finally {
    await space.promise(promiseKey(image), 0)
    // A lease that protects nothing is not kept for a day.
    const isOfUse = isFromBefore || options.counts.slicesMoved > movedBefore
    if (isPublished) await leases.drop(image.id)
    else {
      leases.release(image.id)
      // If the disk cannot be written, the lease expires later; the reason of the failed pull must reach the caller.
      if (!isOfUse) await leases.drop(image.id).catch(() => {})
    }
  }
}

/** Returns the key of the space that is promised to a pull. */
function promiseKey({ id }: Pick<Image, 'id'>): string {
  return `sync ${id}`
}

/** Returns the manifest of an earlier attempt, or fetches it from the source, and compares it with the source's description of the image. */
async function manifestOf(deps: PullDeps, { client }: PullSource, image: Image, signal: AbortSignal): Promise<LeasedManifest> {
  const { clock, leases, space } = deps
  if (image.manifestDigest === null) throw problem('wrong-status', `Image ${image.name} has no content at ${client.baseUrl} yet; it is ${image.status} there.`)
  const known = await leases.find(image.id, image.manifestDigest)
  if (known) return known
  const leased = await persistently({ clock, signal, url: client.baseUrl }, async () => {
    try {
      return await leases.receive(image.id, promised(client.images.manifest(image.id, { signal }), image, space))
    } catch (error) {
      if (!(error instanceof ManifestInvalid)) throw error
      throw problem('peer-unreachable', `${client.baseUrl} sent a manifest that is not valid: ${error.message}.`, {}, { cause: error })
    }
  })
  if (leased.digest === image.manifestDigest && leased.manifest.imageLength === image.length) return leased
  await leased[Symbol.asyncDispose]()
  throw problem('digest-mismatch', `${client.baseUrl} sent a manifest of image ${image.name} that is not the one it names.`, {
    action: 'Scrub the other store; its catalogue and its manifest do not agree.',
  })
}

/** Yields the bytes of a manifest as they arrive, after space for two copies was promised. */
async function* promised(pieces: AsyncIterable<Uint8Array>, image: Image, space: Space): AsyncGenerator<Uint8Array> {
  let isPromised = false
  for await (const piece of pieces) {
    if (!isPromised) {
      const bytes = 2 * manifestLength(decodeManifestHeader(piece).count)
      if (!(await space.promise(promiseKey(image), bytes)))
        throw problem('insufficient-storage', `The manifest of image ${image.name} needs ${bytes} bytes, which are not left above the reserve.`)
      isPromised = true
    }
    yield piece
  }
}

/**
 * Returns the uncompressed bytes of the slices that are not here. A slice that occurs in several blocks may count more than once; it is moved
 * once.
 */
async function countMissing({ clock, slices }: PullDeps, manifest: Manifest, signal: AbortSignal): Promise<number> {
  const budget = createLoopBudget(clock)
  let bytes = 0
  for await (const block of manifest.blocks()) {
    for (const window of sliceWindows(block)) {
      for (const i of slices.missing(...columns(window))) bytes += window[i]?.length ?? 0
      await budget.spend()
    }
    signal.throwIfAborted()
  }
  return bytes
}

/** Returns the digests and lengths of slices as two lists. */
function columns(slices: readonly NamedSlice[]): [Uint8Array[], number[]] {
  return [slices.map(({ digest }) => digest), slices.map(({ length }) => length)]
}

interface Move {
  readonly image: Image
  readonly manifest: Manifest
  /** Uncompressed bytes of the slices to be moved. */
  readonly bytes: number
  /** Bytes on disk beside them. */
  readonly others: number
}

/**
 * Batches of slices that are not here, by one pass over the manifest. Those that are here are pinned for a moment: a gc under way, which
 * may have asked for leases before this one was taken, keeps what was pinned since it began, and a later gc finds the lease.
 */
async function* missingBatches({ clock, slices }: PullDeps, manifest: Manifest, counts: PullCounts): AsyncGenerator<NamedSlice[]> {
  const budget = createLoopBudget(clock)
  const batcher = createBatcher()
  for await (const block of manifest.blocks()) {
    for (const window of sliceWindows(block)) {
      const absent = await pinned(slices, window)
      counts.slicesPresent += window.length - absent.length
      for (const slice of absent) {
        const full = batcher.add(slice)
        if (full) yield full
      }
      await budget.spend()
    }
  }
  const rest = batcher.rest()
  if (rest.length > 0) yield rest
}

/** Pins the slices that are here for a moment and returns the others. */
async function pinned(slices: PullDeps['slices'], window: readonly NamedSlice[]): Promise<NamedSlice[]> {
  await using receiver = slices.receive()
  const absent = new Set(receiver.pin(...columns(window)))
  return window.filter((_slice, i) => absent.has(i))
}

async function moveSlices(deps: PullDeps, source: PullSource, move: Move, options: PullOptions): Promise<void> {
  const { space, crashPoint, slices } = deps
  const failed = new AbortController()
  const signal = AbortSignal.any([options.signal, failed.signal])
  const batches = missingBatches(deps, move.manifest, options.counts)
  let done = 0
  options.onProgress(0, move.bytes)

  const fetchBatches = async (): Promise<void> => {
    for (;;) {
      const { value: batch, done: isLast } = await batches.next()
      if (isLast) return
      signal.throwIfAborted()
      if (await space.isBelowReserve()) throw problem('insufficient-storage', `The store has come to its reserve while image ${move.image.name} was copied.`)
      // Its pins last until the batch is durable: from then on the lease protects it.
      await using receiver = slices.receive()
      const onMoved = (bytes: number): void => {
        done += bytes
        options.onProgress(Math.min(done, move.bytes), move.bytes)
      }
      await fetchBatch(deps, source, { receiver, image: move.image, batch, onMoved }, { ...options, signal })
      await receiver.sync()
      crashPoint('sync:batch-synced')
      // What has landed is counted by the file system itself: only the rest stays promised.
      await space.promise(promiseKey(move.image), spaceNeeded(Math.max(0, move.bytes - done), move.image) + move.others)
    }
  }
  const lane = async (): Promise<void> => {
    try {
      await fetchBatches()
    } catch (error) {
      failed.abort(error)
      throw error
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: FETCHES_MAX }, lane))
  await batches.return(undefined)
  options.signal.throwIfAborted()
  if (failed.signal.aborted) throw failed.signal.reason
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  options.onProgress(move.bytes, move.bytes)
}

interface BatchFetch {
  readonly receiver: SliceReceiver
  readonly image: Image
  readonly batch: readonly NamedSlice[]
  /** Called with the uncompressed bytes of slices that are here now. */
  readonly onMoved: (bytes: number) => void
}

/** Moves the slices of one batch; an attempt that moved a slice does not count as a failed one. */
async function fetchBatch({ clock }: PullDeps, { client }: PullSource, { receiver, image, batch, onMoved }: BatchFetch, options: PullOptions): Promise<void> {
  const { signal, counts } = options
  let rest = batch
  // The other lane, an upload or another sync may have stored some meanwhile.
  const skipPresent = (): void => {
    const absent = new Set(receiver.pin(...columns(rest)))
    for (const [i, { length }] of rest.entries()) if (!absent.has(i)) onMoved(length)
    rest = rest.filter((_slice, i) => absent.has(i))
  }
  await persistently({ clock, signal, url: client.baseUrl }, async (progressed) => {
    skipPresent()
    if (rest.length === 0) return
    const asked = rest
    const lengthMax = asked.reduce((most, { length }) => Math.max(most, length), 0)
    const digests = asked.map(({ digest }) => formatDigest(digest))
    let received = 0
    for await (const frame of client.slices.fetch(digests, { image: image.id, signal, lengthMax })) {
      const wanted = asked[received]
      if (!wanted || !isSame(frame.digest, wanted.digest) || frame.length !== wanted.length) throw new FrameInvalid('a slice came that was not asked for')
      await receiver.put(frame)
      counts.slicesMoved++
      counts.bytesMoved += FRAME_HEADER_BYTES + frame.stored.byteLength
      received++
      rest = asked.slice(received)
      onMoved(frame.length)
      progressed()
    }
    if (received < asked.length) throw new FrameInvalid(`${asked.length - received} slices did not come`)
  })
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
}
