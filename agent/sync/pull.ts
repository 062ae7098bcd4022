// Pull of one image: manifest → lease → missing slices in batches, each slice verified, each batch durable → published
// when whole → lease given up. Stopping anywhere keeps what was moved; the next pull moves the rest.

import { formatDigest } from '../../protocol/digest.ts'
import type { AgentClient } from '../../protocol/client.ts'
import { FRAME_HEADER_BYTES, FrameInvalid } from '../../protocol/frames.ts'
import type { Image } from '../../protocol/image.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { problem } from '../../protocol/problems.ts'
import type { ImagePublisher } from '../contract/images.ts'
import type { Clock, CrashPoint } from '../contract/runtime.ts'
import type { SliceIngester, SliceReceiver } from '../contract/slices.ts'
import type { Space } from '../contract/space.ts'
import type { Leases } from './leases.ts'
import { persistently } from './peer.ts'
import { batchesOf, sliceWindows, spaceNeeded } from './plan.ts'

/** Requests for slices under way at once: while one is on the wire the other is being stored. */
const FETCHES_MAX = 2

export interface PullDeps {
  readonly clock: Clock
  readonly images: Pick<ImagePublisher, 'adopt'>
  readonly slices: Pick<SliceIngester, 'receive'>
  readonly space: Space
  readonly leases: Leases
  readonly crashPoint: CrashPoint
}

export interface PullSource {
  readonly client: AgentClient
  readonly storeId: string
}

/** What is counted while images are pulled. Bytes moved are those of frames as they went over the wire. */
export interface PullCounts {
  slicesMoved: number
  slicesPresent: number
  bytesMoved: number
}

export interface PullOptions {
  readonly signal: AbortSignal
  readonly counts: PullCounts
  /** Uncompressed bytes done and to be done of this image. */
  readonly onProgress: (done: number, total: number) => void
}

/** Gives false when the image was here already. Throws ProblemError. */
export async function pullImage(deps: PullDeps, source: PullSource, image: Image, options: PullOptions): Promise<boolean> {
  const { leases, crashPoint, images, slices, space } = deps
  const { signal } = options
  const manifest = await manifestOf(deps, source, image, signal)
  await leases.take(image.id, manifest)
  crashPoint('sync:lease-taken')
  const promiseKey = `sync ${image.id}`
  try {
    await using receiver = slices.receive()
    const missing = findMissing(receiver, manifest, options.counts)
    const bytes = missing.reduce((sum, entry) => sum + manifest.lengthAt(entry), 0)
    if (!(await space.promise(promiseKey, spaceNeeded(bytes, image)))) {
      throw problem('insufficient-storage', `Image ${image.name} needs up to ${spaceNeeded(bytes, image)} bytes, which are not left above the reserve.`)
    }
    await moveSlices(deps, source, receiver, { image, manifest, missing, bytes, promiseKey }, options)
    crashPoint('sync:slices-moved')
    const copied = { ...image, source: { ...image.source, kind: 'sync' as const, storeId: source.storeId, url: source.client.baseUrl } }
    const isNew = await images.adopt(copied, manifest)
    crashPoint('sync:adopted')
    await leases.drop(image.id)
    return isNew
  } finally {
    await space.promise(promiseKey, 0)
    leases.release(image.id)
  }
}

/** The manifest from an earlier attempt, or from the source, held against what the source said of the image. */
async function manifestOf(deps: PullDeps, { client }: PullSource, image: Image, signal: AbortSignal): Promise<Manifest> {
  if (image.manifestDigest === null) throw problem('wrong-status', `Image ${image.name} has no content at ${client.baseUrl} yet; it is ${image.status} there.`)
  const known = await deps.leases.find(image.id, image.manifestDigest)
  if (known) return known
  const { manifest, digest } = await persistently({ clock: deps.clock, signal, url: client.baseUrl }, () => client.images.manifest(image.id, { signal }))
  if (digest !== image.manifestDigest || manifest.imageLength !== image.length) {
    throw problem('digest-mismatch', `${client.baseUrl} sent a manifest of image ${image.name} that is not the one it names.`, {
      action: 'Scrub the other store; its catalogue and its manifest do not agree.',
    })
  }
  return manifest
}

/**
 * Pins every slice that is here and gives the entries of those that are not. A slice that stands far apart in the manifest
 * may be given twice; the second is found here when its turn comes.
 */
function findMissing(receiver: SliceReceiver, manifest: Manifest, counts: PullCounts): number[] {
  const missing: number[] = []
  for (const window of sliceWindows(manifest)) {
    const absent = receiver.pin(
      window.map((entry) => manifest.digestAt(entry)),
      window.map((entry) => manifest.lengthAt(entry)),
    )
    counts.slicesPresent += window.length - absent.length
    for (const i of absent) missing.push(window[i] ?? 0)
  }
  return missing
}

interface Move {
  readonly image: Image
  readonly manifest: Manifest
  /** Entries of the manifest whose slices are to be moved, and their uncompressed bytes. */
  readonly missing: readonly number[]
  readonly bytes: number
  readonly promiseKey: string
}

async function moveSlices(deps: PullDeps, source: PullSource, receiver: SliceReceiver, move: Move, options: PullOptions): Promise<void> {
  const { space, crashPoint } = deps
  const failed = new AbortController()
  const signal = AbortSignal.any([options.signal, failed.signal])
  const batches = batchesOf(move.manifest, move.missing)
  let done = 0
  options.onProgress(0, move.bytes)

  const fetchBatches = async (): Promise<void> => {
    for (const batch of batches) {
      signal.throwIfAborted()
      if (await space.isBelowReserve()) throw problem('insufficient-storage', `The store has come to its reserve while image ${move.image.name} was copied.`)
      await fetchBatch(deps, source, receiver, move, batch, { ...options, signal }, (bytes) => {
        done += bytes
        options.onProgress(done, move.bytes)
      })
      await receiver.sync()
      crashPoint('sync:batch-synced')
      // What has landed is counted by the file system itself: only the rest stays promised.
      await space.promise(move.promiseKey, spaceNeeded(move.bytes - done, move.image))
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
  options.signal.throwIfAborted()
  if (failed.signal.aborted) throw failed.signal.reason
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

/** Moves the slices of one batch, in as many attempts as bring something. `moved` is told their uncompressed bytes. */
async function fetchBatch(
  { clock }: PullDeps,
  { client }: PullSource,
  receiver: SliceReceiver,
  { image, manifest }: Pick<Move, 'image' | 'manifest'>,
  batch: readonly number[],
  { signal, counts }: PullOptions,
  moved: (bytes: number) => void,
): Promise<void> {
  let rest = batch
  // Another lane, an upload or another sync may have brought some meanwhile.
  const skipPresent = (): void => {
    const absent = new Set(
      receiver.pin(
        rest.map((entry) => manifest.digestAt(entry)),
        rest.map((entry) => manifest.lengthAt(entry)),
      ),
    )
    for (const [i, entry] of rest.entries()) if (!absent.has(i)) moved(manifest.lengthAt(entry))
    rest = rest.filter((_entry, i) => absent.has(i))
  }
  await persistently({ clock, signal, url: client.baseUrl }, async (progressed) => {
    skipPresent()
    if (rest.length === 0) return
    const asked = rest
    const lengthMax = asked.reduce((most, entry) => Math.max(most, manifest.lengthAt(entry)), 0)
    let received = 0
    for await (const frame of client.slices.fetch(
      asked.map((entry) => formatDigest(manifest.digestAt(entry))),
      { image: image.id, signal, lengthMax },
    )) {
      const wanted = asked[received]
      if (wanted === undefined || !isSame(frame.digest, manifest.digestAt(wanted)) || frame.length !== manifest.lengthAt(wanted)) {
        throw new FrameInvalid('a slice came that was not asked for')
      }
      await receiver.put(frame)
      counts.slicesMoved++
      counts.bytesMoved += FRAME_HEADER_BYTES + frame.stored.byteLength
      received++
      rest = asked.slice(received)
      moved(frame.length)
      progressed()
    }
    if (received < asked.length) throw new FrameInvalid(`${asked.length - received} slices did not come`)
  })
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
}
