// Sync: the task that copies images from another store to this one.

import { z } from 'zod'
import { createAgentClient } from '../../protocol/client.ts'
import type { AgentClient } from '../../protocol/client.ts'
import type { Fetch, Peer } from '../../protocol/exchange.ts'
import { isId } from '../../protocol/ids.ts'
import type { Image, ImageStatus } from '../../protocol/image.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { SyncRequest, SyncResult } from '../../protocol/sync.ts'
import type { Task } from '../../protocol/task.ts'
import type { Disk } from '../contract/disk.ts'
import type { ImageAdmission, ImagePublisher, ImageVerification } from '../contract/images.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { SliceIngester, SliceRoots } from '../contract/slices.ts'
import type { Space } from '../contract/space.ts'
import type { TaskContext, Tasks } from '../contract/work.ts'
import { openLeases } from './leases.ts'
import { persistently } from './peer.ts'
import { createPeerFetch } from './peer-network.ts'
import type { PeerNetwork } from './peer-network.ts'
import { planSync } from './plan.ts'
import { pullImage } from './pull.ts'
import type { PullCounts } from './pull.ts'

/** Time until the other store begins to answer, and longest silence in an answer, in milliseconds. */
const ANSWER_MS = 20_000
const STALL_MS = 30_000
/** Attempts at the first request to the other store: a wrong address is reported soon. */
const FIRST_ATTEMPTS_MAX = 3
/** A new image is still being inspected at the other store: how often the sync asks again, and the wait between two requests in milliseconds. */
const CREATING_LOOKS_MAX = 120
const CREATING_WAIT_MS = 500
/** Longest time to resolve all images of a task at the other store, in milliseconds. */
const RESOLVE_MS_MAX = 15 * 60_000

/** What a task stores of its order; the token is its secret. */
const paramsSchema = z.object({ source: z.object({ url: z.string() }), images: z.array(z.string()) })

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
  /** Which machines this store may connect to. */
  readonly network: PeerNetwork
  readonly fetch?: Fetch
  readonly answerTimeoutMs?: number
  readonly stallTimeoutMs?: number
  readonly pace?: NonNullable<Peer['pace']>
}

export interface Sync {
  /** Starts the task; returns the running one when the same order is in progress. */
  start(request: SyncRequest, createdBy: string): Promise<Task>
  /** Removes leases of syncs without an attempt for a day and returns the ids of their images. A dry run removes nothing. */
  expire(options?: { readonly dryRun?: boolean }): Promise<readonly string[]>
  /** Slices that syncs in progress keep; gc asks for them before those of images. */
  readonly roots: SliceRoots
}

/** Registers the task `sync`; it resumes after a restart. */
export async function createSync(deps: SyncDeps): Promise<Sync> {
  const { disk, clock, log, mount, slices, tasks } = deps
  const leases = await openLeases({ disk, clock, log, mount, missing: (digests) => slices.missing(digests) })
  const reach = createPeerFetch(deps.network, deps.fetch)
  // One pull of an image at a time: a second one finds the image here when the first is done.
  const pulling = new Map<string, Promise<unknown>>()

  const alone = async <T>(id: string, run: () => Promise<T>): Promise<T> => {
    while (pulling.has(id)) await pulling.get(id)
    const mine = run()
    pulling.set(
      id,
      mine.catch(() => {}),
    )
    try {
      return await mine
    } finally {
      pulling.delete(id)
    }
  }

  tasks.register('sync', async (params, context) => {
    const { source, images } = paramsSchema.parse(params)
    const client = createAgentClient({
      baseUrl: source.url,
      token: context.secret,
      answerTimeoutMs: deps.answerTimeoutMs ?? ANSWER_MS,
      stallTimeoutMs: deps.stallTimeoutMs ?? STALL_MS,
      ...(deps.pace ? { pace: deps.pace } : {}),
      fetch: reach,
    })
    const storeId = await identify(deps, client, context)
    const wanted = await resolveImages(deps, client, images, context)
    const result: SyncResult = { images: [], slicesMoved: 0, slicesPresent: 0, bytesMoved: 0 }
    const progress = createProgress(context)
    for (const image of wanted) {
      const outcome = await alone(image.id, () => copyImage({ ...deps, leases }, { client, storeId }, image, { context, counts: result, progress }))
      result.images.push({ id: image.id, name: image.name, outcome })
    }
    return result
  })

  return {
    async start({ source, images }, createdBy) {
      await requireAllowed(deps.network, source.url)
      const wanted = [...new Set(images)]
      return tasks.start({
        kind: 'sync',
        subject: wanted.length === 1 ? (wanted[0] ?? '') : `${wanted.length} images`,
        createdBy,
        params: { source: { url: source.url }, images: wanted },
        secret: source.token,
        key: `sync ${source.url} ${wanted.toSorted().join(' ')}`,
      })
    },
    expire: (options) => leases.expire(options),
    roots: leases.roots,
  }
}

/** Throws ProblemError `peer-not-allowed`. The task asks again before each connection: a name may have other addresses by then. */
async function requireAllowed(network: PeerNetwork, url: string): Promise<void> {
  try {
    await network.resolve(new URL(url).hostname)
  } catch (error) {
    // A name that cannot be resolved now may be when the task runs; the task says so otherwise.
    if (error instanceof ProblemError) throw error
  }
}

/** UUID of the source; refuses a sync of a store with itself, under whatever address. */
async function identify(deps: SyncDeps, client: AgentClient, { signal }: TaskContext): Promise<string> {
  const attempts = { clock: deps.clock, signal, url: client.baseUrl, attemptsMax: FIRST_ATTEMPTS_MAX }
  const { id, name } = await persistently(attempts, () => client.store.get({ signal }))
  if (id === deps.storeId) {
    throw problem('invalid-input', `${client.baseUrl} is this store itself (${name}).`, { action: 'Name another store as the source.' })
  }
  return id
}

/** All images before the first is moved, so that a wrong name moves nothing. Each once, in the order named. */
async function resolveImages(deps: SyncDeps, client: AgentClient, names: readonly string[], { signal }: TaskContext): Promise<Image[]> {
  const found = new Map<string, Image>()
  const endMs = deps.clock.monotonicMs() + RESOLVE_MS_MAX
  for (const name of names) {
    const image = await settledImage(deps, client, name, { signal, endMs })
    if (!isId('img', image.id)) throw problem('peer-unreachable', `${client.baseUrl} names an image with an id that is none.`)
    if (image.status !== 'available' && image.status !== 'degraded') {
      throw problem('wrong-status', `Image ${image.name} is ${image.status} at ${client.baseUrl}; only an available image can be copied.`)
    }
    found.set(image.id, image)
  }
  return [...found.values()]
}

/** Statuses in which the copy of an image that is here is not replaced. */
const RELIED_ON: ReadonlySet<ImageStatus> = new Set(['creating', 'available', 'deleted'])

const REFUSALS = { busy: 'is being removed here', unreadable: 'is here, but its files cannot be read now', 'other-bytes': 'is here with other bytes' } as const

/** The image at the source once it is no longer `creating`, which takes a moment after its upload. */
async function settledImage(
  { clock }: SyncDeps,
  client: AgentClient,
  name: string,
  { signal, endMs }: { readonly signal: AbortSignal; readonly endMs: number },
): Promise<Image> {
  for (let look = 1; ; look++) {
    if (clock.monotonicMs() > endMs)
      throw problem('peer-unreachable', `${client.baseUrl} did not tell of all images within ${RESOLVE_MS_MAX / 60_000} minutes.`)
    const image = await persistently({ clock, signal, url: client.baseUrl, about: `image ${name}` }, () => client.images.get(name, { signal }))
    if (image.status !== 'creating' || look >= CREATING_LOOKS_MAX) return image
    await clock.sleep(CREATING_WAIT_MS, signal)
  }
}

interface Copying {
  readonly context: TaskContext
  readonly counts: PullCounts
  readonly progress: (done: number, total: number) => void
}

async function copyImage(
  deps: SyncDeps & Parameters<typeof pullImage>[0],
  source: { readonly client: AgentClient; readonly storeId: string },
  image: Image,
  { context, counts, progress }: Copying,
): Promise<'copied' | 'already-there'> {
  // Before the store says that it has the image, its manifest is read whole: a damaged one is copied again.
  const found = deps.images.find(image.id)
  if (found && RELIED_ON.has(found.status)) await deps.images.isWhole(image.id)
  const here = deps.images.find(image.id)
  const decision = planSync(image, here)
  switch (decision.kind) {
    case 'already-there':
      // A crash between publishing and dropping the lease leaves it behind.
      await deps.leases.drop(image.id)
      return 'already-there'
    case 'refused':
      throw problem('conflict', `Image ${image.name} (${image.id}) ${REFUSALS[decision.reason]}.`)
    case 'copy': {
      // An image that comes to its owner needs a place, also while it is being copied; one that is repaired has its place.
      using _claim = decision.why === 'repair' ? undefined : deps.images.admit({ id: image.id, owner: (here ?? image).owner })
      const isNew = await pullImage(deps, source, image, { signal: context.signal, counts, onProgress: progress })
      return isNew ? 'copied' : 'already-there'
    }
  }
}

/** Returns the progress over several images; each reports its total when it starts. */
function createProgress(context: TaskContext): (done: number, total: number) => void {
  let before = 0
  let current = { done: 0, total: 0 }
  return (done, total) => {
    if (done < current.done || total !== current.total) before += current.total
    current = { done, total }
    context.progress(before + done, before + total, 'bytes')
  }
}
