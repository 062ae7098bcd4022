// One pull of an image from beginning to end: manifest, space, lease, slices, publication.

import type { Image } from '../../../protocol/images/image.ts'
import { manifestLength } from '../../../protocol/slices/manifest.ts'
import { untilAborted } from '../../../protocol/until-aborted.ts'
import type { ImageAdmission, ImageContents, ImagePublisher } from '../../contract/images.ts'
import type { KnownOrigin } from '../../contract/origins.ts'
import type { Log } from '../../contract/runtime.ts'
import type { EmitEvent } from '../../contract/work.ts'
import type { LeasedManifest } from '../lease-files.ts'
import type { Leases } from '../leases.ts'
import type { RateShare } from '../limits/rate-limiter.ts'
import { manifestOf, measureManifest, promiseKey } from '../pull.ts'
import { createSourcePool } from '../sources/source-pool.ts'
import type { PullCounts } from './pull-task.ts'
import { fetchWindows } from './shared-fetch.ts'
import type { FetchWindow } from './shared-fetch.ts'
import { promiseSpace, createWindowFetch } from './window-fetch.ts'
import type { PromisedSpace, WindowFetchDeps } from './window-fetch.ts'

/** Windows of one image that are fetched ahead of the readers. */
const LANES = 2

export interface PullRunDeps extends WindowFetchDeps {
  readonly log: Log
  readonly emit: EmitEvent
  readonly images: Pick<ImagePublisher, 'find' | 'adopt'> & Pick<ImageContents, 'open'> & ImageAdmission
  readonly leases: Leases
  /** Opens a share of the rate of the store. */
  readonly openShare: () => RateShare
}

/** A pull ended because its last reader had left, and nobody wanted the content. A reader that came at this moment starts another pull. */
export class PullEnded extends Error {
  override readonly name = 'PullEnded'
}

/** What readers of a pull need. */
export interface Opened {
  readonly leased: LeasedManifest
  /** Resolves when slices may be fetched. Rejects if the image cannot be kept. */
  readonly admitted: Promise<void>
  readonly ensure: (window: FetchWindow) => Promise<void>
}

export interface PullRun {
  readonly image: Image
  readonly origin: KnownOrigin
  readonly signal: AbortSignal
  readonly opened: PromiseWithResolvers<Opened | undefined>
  readonly admitted: PromiseWithResolvers<void>
  /** Whether the content is wanted; false when every reader left without wanting it. */
  readonly wanted: Promise<boolean>
  /** Resolves when there is no reader. */
  readonly untilIdle: () => Promise<void>
  /** Lets no reader join any more. */
  readonly removed: () => void
  readonly startTask: () => Promise<void>
  /** Called when the image is kept. */
  readonly kept: () => void
  readonly counts: PullCounts
  /** Called when the counts have changed. */
  readonly progressed: () => void
}

/** Pulls an image and keeps it. Rejects with the cause when it cannot; what was fetched stays protected by the lease. */
export async function runPull(deps: PullRunDeps, run: PullRun): Promise<void> {
  const { images, leases, space, clock } = deps
  const { image, origin, signal, opened } = run
  // A sync of the same image has ended meanwhile.
  if (images.find(image.id)) {
    run.kept()
    return opened.resolve(undefined)
  }
  // A reader does not wait for the hours of syncs, but shares their rate.
  using share = deps.openShare()
  const pool = createSourcePool(deps)
  pool.add(origin, 0)
  let protectsSlices = false
  try {
    await using leased = await manifestOf({ clock, leases, space }, { described: origin, pool }, image, { signal, share })
    protectsSlices = leased.isFromBefore
    const promised: PromisedSpace = { bytes: 0, others: manifestLength(leased.manifest.count), done: 0 }
    const stored = ({ length }: { readonly length: number }, wireBytes: number): void => {
      protectsSlices = true
      promised.done += length
      const { counts } = run
      counts.done = Math.min(promised.done, counts.total)
      counts.bytesMoved += wireBytes
      if (wireBytes > 0) counts.slicesMoved++
      run.progressed()
    }
    const windows = createWindowFetch(deps, { image, signal, pool, share, promised, stored })
    opened.resolve({ leased, admitted: run.admitted.promise, ensure: (window) => windows.forReader(window) })
    if (!(await run.wanted)) {
      run.removed()
      return run.admitted.reject(new PullEnded())
    }
    using _claim = images.admit({ id: image.id, owner: image.owner, length: image.length })
    promised.bytes = (await measureManifest(deps, leased.manifest, signal)).missingBytes
    await promiseSpace(space, image, promised)
    run.counts.total = promised.bytes
    run.counts.bytesAvoided = image.length - promised.bytes
    await run.startTask()
    signal.throwIfAborted()
    if (!leased.isFromBefore) await leases.acquire(image.id)
    deps.crashPoint('through:lease-acquired')
    run.admitted.resolve()
    await fill(leased, (window) => windows.fetch(window), signal)
    await images.adopt(image, leased.manifest)
    deps.crashPoint('through:adopted')
    await leases.remove(image.id)
    run.kept()
    deps.emit({ type: 'image.pulled', severity: 'info', subject: image.id, message: `Image ${image.name} was read through origin ${origin.name} and is kept.` })
    // Readers continue with the manifest of the lease, and its slices stay readable until the last of them has left.
    using _content = await images.open(image.id)
    run.removed()
    await Promise.race([run.untilIdle(), untilAborted(signal)])
  } finally {
    run.removed()
    await space.promise(promiseKey(image), 0)
    leases.endAttempt(image.id)
    // If the removal fails, the lease expires later.
    if (!protectsSlices) await leases.remove(image.id).catch(() => {})
  }
}

/** Fetches the windows of the whole image in order. */
async function fill({ manifest }: LeasedManifest, fetch: (window: FetchWindow) => Promise<void>, signal: AbortSignal): Promise<void> {
  const windows = fetchWindows(manifest, 0, manifest.imageLength)
  const lane = async (): Promise<void> => {
    for (;;) {
      const { value: window, done } = await windows.next()
      if (done) return
      signal.throwIfAborted()
      await fetch(window)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}
