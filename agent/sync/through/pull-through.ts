// Pull-through: reads of images that only an origin has. Each image has one pull, which its readers share:
//
//   manifest received and verified → space promised → lease acquired → slices fetched, in order and where readers are → image published
//
// A pull continues without readers until the image is kept, and is shown as a task, which resumes it after a restart. If it stops, its lease protects what
// was fetched, and the next read continues.

import type { Role } from '../../../protocol/access.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import type { KnownOrigin, Origins, PulledContent, PullThrough } from '../../contract/origins.ts'
import type { SliceProvider } from '../../contract/slices.ts'
import type { StoreGate } from '../../contract/store.ts'
import type { Tasks } from '../../contract/work.ts'
import { createLookup } from './lookup.ts'
import type { FoundAtOrigin } from './lookup.ts'
import { PullEnded } from './pull-run.ts'
import type { Opened } from './pull-run.ts'
import { createPullTask } from './pull-task.ts'
import type { TaskedPull } from './pull-task.ts'
import { fetchWindows } from './shared-fetch.ts'
import { startPull } from './shared-pull.ts'
import type { Pull, PullDeps } from './shared-pull.ts'

/** Images that are pulled at the same time; further ones are refused. */
export const PULLS_MAX = 4
export interface PullThroughDeps extends PullDeps {
  readonly origins: Origins
  readonly gate: StoreGate
  /** Throws ProblemError if this store does not keep such an image. */
  readonly admitNew: (image: Pick<Image, 'kind' | 'format'>, role: Role) => void
  readonly tasks: Pick<Tasks, 'register' | 'start'>
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
      if (what === 'content') {
        gate.requireEnabled()
        // The operator who configured the origin allows its images, whoever reads them: only what the store takes is asked.
        deps.admitNew(image, 'admin')
      }
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
