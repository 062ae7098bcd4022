// The task `sync`, which copies images from another store to this one.

import { z } from 'zod'
import type { AgentClient } from '../../protocol/client.ts'
import type { Fetch, Peer } from '../../protocol/exchange.ts'
import { isId } from '../../protocol/ids.ts'
import type { Image, ImageStatus } from '../../protocol/image.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { SourceAddress, SyncRequest, SyncResult } from '../../protocol/sync.ts'
import type { Task } from '../../protocol/task.ts'
import type { Disk } from '../contract/disk.ts'
import type { ImageAdmission, ImagePublisher, ImageVerification } from '../contract/images.ts'
import { createInOrderByKey } from '../contract/in-order.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { SliceIngester, SliceRoots } from '../contract/slices.ts'
import type { Space } from '../contract/space.ts'
import type { TaskContext, Tasks } from '../contract/work.ts'
import { openLeases } from './leases.ts'
import type { PullCounts } from './missing-batches.ts'
import { requireOwnAddress } from './networks/peer-routes.ts'
import type { PeerNetwork } from './peer-network.ts'
import { planSync } from './plan.ts'
import { pullImage } from './pull.ts'
import type { PullSources } from './pull.ts'
import type { SliceSource } from './sources/connect.ts'
import { openSources } from './sources/open-sources.ts'
import { askSources, createSourcePool } from './sources/source-pool.ts'
import type { SourcePool } from './sources/source-pool.ts'

/** Maximum requests for an image that the other store is still inspecting, and the wait between them in milliseconds. */
const CREATING_LOOKS_MAX = 120
const CREATING_WAIT_MS = 500
/** Time limit for resolving all images of a task at the other store, in milliseconds. */
const RESOLVE_MS_MAX = 15 * 60_000

/** Parameters of the task. The secret of the task is the token of `source`, or a JSON list of the tokens of `sources`. */
const paramsSchema = z.object({
  source: z.object({ url: z.string() }).optional(),
  sources: z.array(z.object({ url: z.string() })).optional(),
  images: z.array(z.string()),
})
const tokensSchema = z.array(z.string())

export interface SyncDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  /** The mount path. */
  readonly mount: string
  /** UUID of this store. */
  readonly storeId: string
  readonly images: Pick<ImagePublisher, 'find' | 'adopt'> & ImageAdmission & ImageVerification
  readonly slices: SliceIngester
  readonly space: Space
  readonly tasks: Pick<Tasks, 'register' | 'start'>
  readonly crashPoint: CrashPoint
  /** Addresses that this store may connect to. */
  readonly network: PeerNetwork
  readonly fetch?: Fetch
  readonly answerTimeoutMs?: number
  readonly stallTimeoutMs?: number
  readonly pace?: NonNullable<Peer['pace']>
  /** Number of batches in flight of one pull, 1 to 16; 1 by default. */
  readonly batchesMax?: number
}

export interface Sync {
  /** Starts a task, or returns the running task for the same request. */
  start(request: SyncRequest, createdBy: string): Promise<Task>
  /**
   * Copies one image from one source outside of a task, as the task does: an image that is here intact stays, a damaged one is copied again. Copies of
   * the same image run one after the other. Throws ProblemError.
   */
  copy(source: SliceSource, image: Image, signal: AbortSignal): Promise<'copied' | 'already-there'>
  /** Removes leases without an attempt for a day and returns the ids of their images. A dry run removes nothing. */
  expire(options?: { readonly dryRun?: boolean }): Promise<readonly string[]>
  /** Slices that leases protect. gc must list them before those of images. */
  readonly roots: SliceRoots
}

/** Registers the task `sync`, which resumes after a restart. */
export async function createSync(deps: SyncDeps): Promise<Sync> {
  const { disk, clock, log, mount, slices, tasks } = deps
  const leases = await openLeases({ disk, clock, log, mount, missing: (digests) => slices.missing(digests) })
  // A second pull of the same image finds the image in place after the first.
  const pulls = createInOrderByKey()
  const copying = { ...deps, batchesMax: deps.batchesMax ?? 1, leases }

  tasks.register('sync', async (params, context) => {
    const { images, ...from } = paramsSchema.parse(params)
    using sources = await openSources(deps, addressesOf(from, context.secret), context.signal)
    const { pool } = sources
    const wanted = await resolveImages(deps, pool, images, context)
    const counts = { slicesMoved: 0, slicesPresent: 0, bytesMoved: 0 }
    const outcomes: SyncResult['images'] = []
    const progress = createProgress(context)
    for (const { image, described } of wanted) {
      const outcome = await pulls.run(image.id, () => copyImage(copying, { described, pool }, image, { context, counts, progress }))
      outcomes.push({ id: image.id, name: image.name, outcome })
    }
    const result: SyncResult = { images: outcomes, ...counts, sources: sources.report() }
    return result
  })

  return {
    async start({ source, sources, images }, createdBy) {
      const addresses = sources ?? (source ? [source] : [])
      for (const { url } of addresses) await requireAllowed(deps.network, url)
      const urls = addresses.map(({ url }) => url)
      const wanted = [...new Set(images)]
      return tasks.start({
        kind: 'sync',
        subject: wanted.length === 1 ? (wanted[0] ?? '') : `${wanted.length} images`,
        createdBy,
        params: { sources: urls.map((url) => ({ url })), images: wanted },
        secret: JSON.stringify(addresses.map(({ token }) => token)),
        key: `sync ${urls.toSorted().join(' ')} ${wanted.toSorted().join(' ')}`,
      })
    },
    copy(source, image, signal) {
      const pool = createSourcePool(deps)
      pool.add(source, 0)
      const counts = { slicesMoved: 0, slicesPresent: 0, bytesMoved: 0 }
      return pulls.run(image.id, () => copyImage(copying, { described: source, pool }, image, { context: { signal }, counts, progress: () => {} }))
    },
    expire: (options) => leases.expire(options),
    roots: leases.roots,
  }
}

/** Throws ProblemError `peer-not-allowed` or `no-network-address`. The task checks again before each connection, because the addresses of a name can change. */
async function requireAllowed(network: PeerNetwork, url: string): Promise<void> {
  if (network.networks) requireOwnAddress(network.networks)
  try {
    await network.resolve(new URL(url).hostname)
  } catch (error) {
    // A name that cannot be resolved now may resolve when the task runs. If not, the task reports it.
    if (error instanceof ProblemError) throw error
  }
}

/** Returns the sources of a task with their tokens. A task of an earlier agent has one source. */
function addressesOf({ source, sources }: Omit<z.infer<typeof paramsSchema>, 'images'>, secret: string | undefined): SourceAddress[] {
  if (source) return [{ url: source.url, token: secret ?? '' }]
  const tokens = tokensSchema.parse(JSON.parse(secret ?? '[]'))
  return (sources ?? []).map(({ url }, i) => ({ url, token: tokens[i] ?? '' }))
}

/** An image, and the source that described it. */
interface FoundImage {
  readonly image: Image
  readonly described: SliceSource
}

/** Resolves all images before the first is copied, so that a wrong name fails the task early. Returns each once, in the given order. */
async function resolveImages(deps: SyncDeps, pool: SourcePool, names: readonly string[], { signal }: TaskContext): Promise<FoundImage[]> {
  const { clock } = deps
  const found = new Map<string, FoundImage>()
  const endMs = clock.monotonicMs() + RESOLVE_MS_MAX
  for (const name of names) {
    const ask = async (source: SliceSource): Promise<FoundImage> => ({ image: await describedBy(deps, source, name, { signal, endMs }), described: source })
    const one = await askSources({ clock, pool, about: `image ${name}`, signal, ask })
    found.set(one.image.id, one)
  }
  return [...found.values()]
}

/** Returns an image as a source describes it. Throws ProblemError if the source cannot send it. */
async function describedBy(deps: SyncDeps, { url, client }: SliceSource, name: string, until: Until): Promise<Image> {
  const image = await waitUntilInspected(deps, client, name, until)
  const wrong = (detail: string): ProblemError => problem('peer-invalid', detail, { fault: 'wrong-image' })
  if (!isId('img', image.id)) throw wrong(`${url} returned an image with an invalid id.`)
  // A name may stand for any image, an id only for its own.
  if (isId('img', name) && image.id !== name) throw wrong(`${url} was asked for image ${name} and answered with image ${image.id}.`)
  if (image.status !== 'available' && image.status !== 'degraded') {
    throw problem('wrong-status', `Image ${image.name} is ${image.status} at ${url}; only an available image can be copied.`, { fault: 'lacks' })
  }
  return image
}

interface Until {
  readonly signal: AbortSignal
  /** End of all waiting, in milliseconds of the monotonic clock. */
  readonly endMs: number
}

/** Returns an image at the source. Waits for a bounded time while the source is still inspecting it. */
async function waitUntilInspected({ clock }: SyncDeps, client: AgentClient, name: string, { signal, endMs }: Until): Promise<Image> {
  for (let look = 1; ; look++) {
    if (clock.monotonicMs() > endMs) throw problem('peer-unreachable', `${client.baseUrl} did not return all images within ${RESOLVE_MS_MAX / 60_000} minutes.`)
    const image = await client.images.get(name, { signal })
    if (image.status !== 'creating' || look >= CREATING_LOOKS_MAX) return image
    await clock.sleep(CREATING_WAIT_MS, signal)
  }
}

/** Statuses in which this store keeps its copy of an image if the manifest is intact. */
const KEPT_STATUSES: ReadonlySet<ImageStatus> = new Set(['creating', 'available', 'deleted'])

const REFUSALS = {
  busy: 'is being removed from this store',
  unreadable: 'exists in this store, but its files cannot be read',
  'other-bytes': 'exists in this store with different content',
} as const

interface Copying {
  readonly context: Pick<TaskContext, 'signal'>
  readonly counts: PullCounts
  readonly progress: (done: number, total: number) => void
}

async function copyImage(
  deps: SyncDeps & Parameters<typeof pullImage>[0],
  sources: PullSources,
  image: Image,
  { context, counts, progress }: Copying,
): Promise<'copied' | 'already-there'> {
  // The complete manifest is verified before the local copy is accepted. If it is damaged, the image is copied again.
  const found = deps.images.find(image.id)
  if (found && KEPT_STATUSES.has(found.status)) await deps.images.isWhole(image.id)
  const here = deps.images.find(image.id)
  const decision = planSync(image, here)
  switch (decision.kind) {
    case 'already-there':
      // A crash between publishing the image and removing its lease leaves the lease behind.
      await deps.leases.remove(image.id)
      return 'already-there'
    case 'refused':
      throw problem('conflict', `Image ${image.name} (${image.id}) ${REFUSALS[decision.reason]}.`)
    case 'copy': {
      // A new or restored image counts towards the limit of its owner while it is copied. A repaired image already counts.
      using _claim = decision.why === 'repair' ? undefined : deps.images.admit({ id: image.id, owner: (here ?? image).owner, length: image.length })
      const isNew = await pullImage(deps, sources, image, { signal: context.signal, counts, onProgress: progress })
      return isNew ? 'copied' : 'already-there'
    }
  }
}

/** Combines the progress of several images, each of which reports its total when it starts. */
function createProgress(context: TaskContext): (done: number, total: number) => void {
  let before = 0
  let current = { done: 0, total: 0 }
  return (done, total) => {
    if (done < current.done || total !== current.total) before += current.total
    current = { done, total }
    context.progress(before + done, before + total, 'bytes')
  }
}
