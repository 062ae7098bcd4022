// Pull-through: reads of images that only an origin has. Each image has one pull, which its readers share:
//
//   manifest received and verified → space promised → lease acquired → slices fetched, in order and where readers are → image published
//
// A pull continues without readers until the image is kept, and is shown as a task, which resumes it after a restart. If it stops, its lease protects what
// was fetched, and the next read continues.

import type { Image } from '../../../protocol/images/image.ts'
import { manifestLength } from '../../../protocol/slices/manifest.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ImageAdmission, ImageContents, ImagePublisher } from '../../contract/images.ts'
import type { KnownOrigin, Origins, PulledContent, PullThrough } from '../../contract/origins.ts'
import type { Clock, CrashPoint, Log } from '../../contract/runtime.ts'
import type { SliceIngester, SliceProvider } from '../../contract/slices.ts'
import type { Space } from '../../contract/space.ts'
import type { StoreGate } from '../../contract/store.ts'
import type { EmitEvent, Tasks } from '../../contract/work.ts'
import type { LeasedManifest } from '../lease-files.ts'
import type { Leases } from '../leases.ts'
import type { RateShare } from '../limits/rate-limiter.ts'
import { spaceNeeded } from '../plan.ts'
import type { NamedSlice } from '../plan.ts'
import { manifestOf, measureManifest, promiseKey } from '../pull.ts'
import { moveBatches } from '../sources/move-batches.ts'
import { createSourcePool } from '../sources/source-pool.ts'
import type { SourcePool } from '../sources/source-pool.ts'
import { createLookup } from './lookup.ts'
import type { FoundAtOrigin } from './lookup.ts'
import { createPullTask, untilAborted } from './pull-task.ts'
import type { PullCounts, TaskedPull } from './pull-task.ts'
import { createSharedFetch, fetchWindows } from './shared-fetch.ts'
import type { FetchWindow } from './shared-fetch.ts'

/** Images that are pulled at the same time; further ones are refused. */
export const PULLS_MAX = 4
/** Windows of one image that are fetched ahead of the readers. */
const LANES = 2
/** Requests of readers of one image for slices that are not here yet, at the same time. */
const READER_FETCHES_MAX = 4

export interface PullThroughDeps {
  readonly clock: Clock
  readonly log: Log
  readonly emit: EmitEvent
  readonly origins: Origins
  readonly images: Pick<ImagePublisher, 'find' | 'adopt'> & Pick<ImageContents, 'open'> & ImageAdmission
  readonly slices: Pick<SliceIngester, 'receive' | 'missing'> & Pick<SliceProvider, 'read'>
  readonly space: Space
  readonly leases: Leases
  /** Runs copies of the same image one after the other. */
  readonly inOrder: <T>(imageId: string, run: () => Promise<T>) => Promise<T>
  /** Opens a share of the rate of the store. */
  readonly openShare: () => RateShare
  readonly gate: StoreGate
  readonly tasks: Pick<Tasks, 'register' | 'start'>
  readonly crashPoint: CrashPoint
}

/** The pull of one image. */
interface Pull extends TaskedPull {
  readonly controller: AbortController
  /** Resolves when readers can begin; with undefined if this store has the image. */
  readonly opened: Promise<Opened | undefined>
  /** Lets the content be fetched and kept. */
  readonly wantContent: () => void
  /** Resolves when the pull has ended. Never rejects. */
  ended: Promise<void>
  readers: number
  /** Called when the last reader has left. */
  idle: () => void
}

/** A pull ended because its last reader had left, and nobody wanted the content. A reader that came at this moment starts another pull. */
class PullEnded extends Error {
  override readonly name = 'PullEnded'
}

interface Opened {
  readonly leased: LeasedManifest
  /** Resolves when slices may be fetched. Rejects if the image cannot be kept. */
  readonly admitted: Promise<void>
  readonly ensure: (window: FetchWindow) => Promise<void>
}

/** Creates the reads through the origins, and registers their task. Disposing ends all pulls; their leases stay. */
export function createPullThrough(deps: PullThroughDeps): PullThrough & AsyncDisposable {
  const { images, gate, slices } = deps
  const lookup = createLookup(deps)
  /** Pulls that readers may join. */
  const pulls = new Map<string, Pull>()
  /** Pulls whose tasks have not ended, by image: a short pull may be over before its task begins. */
  const tasked = new Map<string, TaskedPull>()
  /** All pulls that have not ended: one whose image is kept still has readers. */
  const running = new Set<Pull>()
  /** Where the images of recent look-ups are. */
  const found = new WeakMap<Image, KnownOrigin>()
  let isEnded = false

  const start = (image: Image, origin: KnownOrigin): Pull => {
    if (isEnded) throw problem('shutting-down', 'The agent is stopping.')
    if (pulls.size >= PULLS_MAX)
      throw problem('limit-reached', `${PULLS_MAX} images are being read from origins at the moment.`, {}, { headers: { 'Retry-After': '5' } })
    const pull: Pull = startPull(deps, image, origin, {
      removed() {
        if (pulls.get(image.id) === pull) pulls.delete(image.id)
      },
      async startTask() {
        tasked.set(image.id, pull)
        await startTask(image.id)
      },
      isStopping: () => isEnded,
    })
    pulls.set(image.id, pull)
    running.add(pull)
    void pull.ended.then(() => running.delete(pull))
    return pull
  }
  const resume = async (imageId: string): Promise<Pull | undefined> => {
    const pull = pulls.get(imageId)
    if (pull) return pull
    if (images.find(imageId)) return undefined
    const one = await lookup(imageId)
    if (images.find(imageId)) return undefined
    if (!one) throw problem('not-found', `No origin has image ${imageId} any more.`)
    const resumed = pulls.get(imageId) ?? start(asRead(one), one.origin)
    resumed.wantContent()
    return resumed
  }
  const startTask = createPullTask({
    ...deps,
    find: (imageId) => tasked.get(imageId),
    resume,
    done(pull) {
      if (tasked.get(pull.image.id) === pull) tasked.delete(pull.image.id)
    },
    isStopping: () => isEnded,
  })
  const join = async (image: Image, origin: KnownOrigin, what: 'manifest' | 'content'): Promise<PulledContent | undefined> => {
    const pull = pulls.get(image.id) ?? start(image, origin)
    using opening = new DisposableStack()
    pull.readers++
    opening.defer(() => {
      pull.readers--
      if (pull.readers === 0) pull.idle()
    })
    if (what === 'content') pull.wantContent()
    const opened = await pull.opened
    if (!opened) return undefined
    if (what === 'content') await opened.admitted
    const held = opening.move()
    return {
      manifest: opened.leased.manifest,
      read: (from, to, signal) => readPulled(slices, opened, { from, to, signal }),
      [Symbol.dispose]: () => held.dispose(),
    }
  }
  return {
    inProgress(idOrDigest) {
      const byId = pulls.get(idOrDigest)
      if (byId) return byId.image
      for (const { image } of pulls.values()) if (image.manifestDigest === idOrDigest || image.digest === idOrDigest) return image
      return undefined
    },
    async find(idOrDigest) {
      const one = await lookup(idOrDigest)
      if (!one || images.find(one.image.id)) return undefined
      const image = asRead(one)
      found.set(image, one.origin)
      return image
    },
    async open(image, what) {
      if (what === 'content') gate.requireEnabled()
      const origin = found.get(image)
      if (!origin) throw new Error(`image ${image.id} was not found at an origin`)
      try {
        return await join(image, origin, what)
      } catch (error) {
        if (error instanceof PullEnded) return join(image, origin, what)
        throw error
      }
    },
    async [Symbol.asyncDispose]() {
      isEnded = true
      const all = [...running]
      for (const { controller } of all) controller.abort(problem('interrupted', 'The agent is stopping.'))
      await Promise.all(all.map(({ ended }) => ended))
    },
  }
}

/** Returns an image of an origin as this store shows it. Who uses an image and whether it is protected is said by each store for itself. */
function asRead({ image, origin: { storeId, url } }: FoundAtOrigin): Image {
  return { ...image, bindings: [], protected: false, uniqueSize: null, source: { ...image.source, kind: 'sync', storeId, url } }
}

/** Yields bytes of an image; fetches each window before it is read, and the next one meanwhile. */
async function* readPulled(
  slices: Pick<SliceProvider, 'read'>,
  { leased: { manifest }, ensure }: Opened,
  { from, to, signal }: { readonly from: number; readonly to: number; readonly signal: AbortSignal },
): ReturnType<PulledContent['read']> {
  for await (const window of fetchWindows(manifest, from, to)) {
    signal.throwIfAborted()
    await ensure(window)
    yield* slices.read(manifest, window.start, window.end, signal)
  }
}

interface PullCalls {
  /** Lets no reader join any more. */
  readonly removed: () => void
  /** Shows the pull as a task. */
  readonly startTask: () => Promise<void>
  readonly isStopping: () => boolean
}

function startPull(deps: PullThroughDeps, image: Image, origin: KnownOrigin, { removed, startTask, isStopping }: PullCalls): Pull {
  const controller = new AbortController()
  const opened = Promise.withResolvers<Opened | undefined>()
  const admitted = Promise.withResolvers<void>()
  const wanted = Promise.withResolvers<boolean>()
  let left = Promise.withResolvers<void>()
  const kept = Promise.withResolvers<void>()
  const counts: PullCounts = { total: 0, done: 0, slicesMoved: 0, bytesMoved: 0, bytesAvoided: 0 }
  for (const { promise } of [opened, admitted, kept]) promise.catch(() => {})
  const run = async (): Promise<void> => {
    try {
      await deps.inOrder(image.id, () =>
        runPull(deps, {
          image,
          origin,
          signal: controller.signal,
          opened,
          admitted,
          wanted: wanted.promise,
          removed,
          startTask,
          kept: kept.resolve,
          counts,
          progressed: () => pull.progressed(),
          untilIdle,
        }),
      )
    } catch (error) {
      opened.reject(error)
      admitted.reject(error)
      if (!isStopping()) kept.reject(error)
      if (!controller.signal.aborted) deps.log.warn('an image could not be pulled through', { image: image.id, origin: origin.name, error })
    } finally {
      removed()
    }
  }
  const untilIdle = async (): Promise<void> => {
    while (pull.readers > 0) await left.promise
  }
  const pull: Pull = {
    image,
    from: origin.name,
    counts,
    progressed: () => {},
    kept: kept.promise,
    abort: (reason) => controller.abort(reason),
    controller,
    opened: opened.promise,
    wantContent: () => wanted.resolve(true),
    ended: Promise.resolve(),
    readers: 0,
    idle() {
      wanted.resolve(false)
      left.resolve()
      left = Promise.withResolvers<void>()
    },
  }
  pull.ended = run()
  return pull
}

interface PullRun {
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

async function runPull(deps: PullThroughDeps, run: PullRun): Promise<void> {
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
  let isPublished = false
  let protectsSlices = false
  try {
    await using leased = await manifestOf({ clock, leases, space }, { described: origin, pool }, image, { signal, share })
    protectsSlices = leased.isFromBefore
    const promised = { bytes: 0, others: manifestLength(leased.manifest.count), done: 0 }
    const stored: EnsureParts['stored'] = ({ length }, wireBytes) => {
      protectsSlices = true
      promised.done += length
      const { counts } = run
      counts.done = Math.min(promised.done, counts.total)
      counts.bytesMoved += wireBytes
      if (wireBytes > 0) counts.slicesMoved++
      run.progressed()
    }
    const ensure = createEnsure(deps, run, { pool, share, promised, stored })
    opened.resolve({ leased, admitted: run.admitted.promise, ensure: (window) => ensure.forReader(window) })
    if (!(await run.wanted)) {
      run.removed()
      return run.admitted.reject(new PullEnded())
    }
    using _claim = images.admit({ id: image.id, owner: image.owner, length: image.length })
    promised.bytes = (await measureManifest(deps, leased.manifest, signal)).missingBytes
    await admit(deps, run, promised)
    run.counts.total = promised.bytes
    run.counts.bytesAvoided = image.length - promised.bytes
    await run.startTask()
    signal.throwIfAborted()
    if (!leased.isFromBefore) await leases.acquire(image.id)
    deps.crashPoint('through:lease-acquired')
    run.admitted.resolve()
    await fill(leased, (window) => ensure.fetch(window), signal)
    await images.adopt(image, leased.manifest)
    isPublished = true
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
    if (!isPublished) {
      leases.endAttempt(image.id)
      if (!protectsSlices) await leases.remove(image.id).catch(() => {})
    }
  }
}

/** Space that a pull still needs: uncompressed bytes of slices, those of them that are written, and bytes of the manifest. */
interface PromisedSpace {
  bytes: number
  readonly others: number
  done: number
}

/** Promises the space that a pull still needs. Throws `insufficient-storage`. */
async function admit({ space }: Pick<PullThroughDeps, 'space'>, { image }: Pick<PullRun, 'image'>, { bytes, others, done }: PromisedSpace): Promise<void> {
  const needed = spaceNeeded(Math.max(0, bytes - done), image) + others
  if (await space.promise(promiseKey(image), needed)) return
  throw problem('insufficient-storage', `Image ${image.name} cannot be kept: it needs up to ${needed} bytes, which exceeds the space above the reserve.`)
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

interface Ensure {
  fetch(window: FetchWindow): Promise<void>
  /** Like `fetch`, but at most READER_FETCHES_MAX at a time. */
  forReader(window: FetchWindow): Promise<void>
}

interface EnsureParts {
  readonly pool: SourcePool
  readonly share: RateShare
  readonly promised: PromisedSpace
  /** Counts a slice that is stored, and its bytes on the wire. */
  readonly stored: (slice: NamedSlice, wireBytes: number) => void
}

function createEnsure(deps: PullThroughDeps, { image, signal }: PullRun, { pool, share, promised, stored }: EnsureParts): Ensure {
  const { clock, slices, space, crashPoint } = deps
  const ensure = createSharedFetch({
    slices,
    fetch: (wanted) =>
      moveBatches({ clock, slices, crashPoint }, once(wanted), {
        pool,
        image: image.id,
        batchesMax: 1,
        signal,
        pace: (wireBytes) => share.take(wireBytes, signal),
        onStored: stored,
        async beforeBatch() {
          if (await space.isBelowReserve())
            throw problem('insufficient-storage', `The free space fell below the reserve while image ${image.name} was being read.`)
        },
        onDurable: () => admit({ space }, { image }, promised),
      }),
  })
  let running = 0
  const waiting: (() => void)[] = []
  return {
    fetch: ({ slices: wanted }) => ensure(wanted),
    async forReader({ slices: wanted }) {
      // Most windows are here already: these need no turn.
      if (slices.missing(wanted.map(({ digest }) => digest)).length === 0) return
      while (running >= READER_FETCHES_MAX) await new Promise<void>((resolve) => void waiting.push(resolve))
      running++
      try {
        await ensure(wanted)
      } finally {
        running--
        waiting.shift()?.()
      }
    },
  }
}

async function* once<T>(batch: T): AsyncGenerator<T> {
  yield batch
}
