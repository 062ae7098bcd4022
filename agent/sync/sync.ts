// The task `sync`, which copies images from another store to this one.

import { z } from 'zod'
import { roleSchema } from '../../protocol/access.ts'
import type { Role } from '../../protocol/access.ts'
import type { AgentClient } from '../../protocol/client/agent-client.ts'
import type { Fetch, Peer } from '../../protocol/client/exchange.ts'
import { isId } from '../../protocol/ids.ts'
import type { Image } from '../../protocol/images/image.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import { syncOrderSchema } from '../../protocol/sync/sync.ts'
import type { SourceAddress, SyncRequest, SyncResult } from '../../protocol/sync/sync.ts'
import type { Task } from '../../protocol/task.ts'
import type { Prover } from '../contract/access.ts'
import type { Disk } from '../contract/disk.ts'
import { createInOrderByKey } from '../contract/in-order.ts'
import type { NewPartner } from '../contract/origins.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { SliceIngester, SliceRoots } from '../contract/slices.ts'
import type { Space } from '../contract/space.ts'
import type { TaskContext, Tasks } from '../contract/work.ts'
import { copyImage } from './copy-image.ts'
import type { CopyDeps } from './copy-image.ts'
import { openLeases } from './leases.ts'
import { refuseHours } from './limits/hours.ts'
import type { RateShare } from './limits/rate-limiter.ts'
import { createTaskLimits } from './limits/task-limits.ts'
import type { LimitedTask, StoreSyncLimits } from './limits/task-limits.ts'
import type { Leases } from './leases.ts'
import { requireOwnAddress } from './networks/peer-routes.ts'
import type { PeerNetwork } from './peer-network.ts'
import { attempt, explained, requireAll, totalsOf } from './partial-failure.ts'
import type { SyncRun } from './partial-failure.ts'
import type { SliceSource } from './sources/connect.ts'
import { openSources } from './sources/open-sources.ts'
import type { OpenedSources } from './sources/open-sources.ts'
import { askSources, createSourcePool } from './sources/source-pool.ts'
import { createTaskImages } from './task-images.ts'
import type { TaskImage } from './task-images.ts'

/** Maximum requests for an image that the other store is still inspecting, and the wait between them in milliseconds. */
const CREATING_LOOKS_MAX = 120
const CREATING_WAIT_MS = 500
/** Time limit for resolving all images of a task at the other store, in milliseconds. */
const RESOLVE_MS_MAX = 15 * 60_000

/** Parameters of the task. The secret of the task is the token of `source`, or a JSON list of the tokens of `sources`. */
const paramsSchema = syncOrderSchema.extend({
  /** Tasks of earlier agents have this in place of `sources`, and no role. */
  source: z.object({ url: z.string() }).optional(),
  sources: syncOrderSchema.shape.sources.optional(),
  /** Role of who ordered the sync. */
  role: roleSchema.default('operator'),
})
const tokensSchema = z.array(z.string())

export interface SyncDeps extends Pick<CopyDeps, 'admitNew'> {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  /** The mount path. */
  readonly mount: string
  /** UUID of this store. */
  readonly storeId: string
  /** Proves to sources which store this is. */
  readonly prover: Prover
  readonly images: CopyDeps['images']
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
  /** Remembers a source whose grant is for repairs too. */
  readonly remember?: (partner: NewPartner) => Promise<void>
  /** Limits of all syncs of the store; none by default. Hours are in the time zone. */
  readonly limits?: { readonly timezone: string; readonly ofStore: () => StoreSyncLimits }
  /** Returns whether a sync waits or is paused, so that leases of earlier attempts are kept for longer. */
  readonly isOneWaiting?: () => boolean
}

export interface Sync {
  /** Starts a task, or returns the running task for the same request. `role` is that of who ordered it; an agent that orders one itself may all. */
  start(request: SyncRequest, createdBy: string, role?: Role): Promise<Task>
  /**
   * Copies one image from one source outside of a task, as the task does: an image that is here intact stays, a damaged one is copied again. Copies of
   * the same image run one after the other. Throws ProblemError.
   */
  copy(source: SliceSource, image: Image, signal: AbortSignal): Promise<'copied' | 'already-there'>
  /** What reads through origins share with syncs: the leases, the order of copies of the same image, and the rate of the store. */
  readonly copies: {
    readonly leases: Leases
    readonly inOrder: <T>(imageId: string, run: () => Promise<T>) => Promise<T>
    readonly openShare: () => RateShare
  }
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
  const { timezone, ofStore } = deps.limits ?? { timezone: 'UTC', ofStore: () => ({ bytesPerSecond: undefined, hours: [] }) }
  const taskLimits = createTaskLimits({ clock, timezone, ofStore })

  const runSync = async ({ images, dryRun = false, role, ...from }: z.output<typeof paramsSchema>, { context, share }: LimitedTask): Promise<SyncResult> => {
    const addresses = addressesOf(from, context.secret)
    const parts = createTaskImages()
    const counts = { slicesMoved: 0, slicesPresent: 0, bytesMoved: 0 }
    // Until a source answers, a task that fails still says what it should copy, so that it can be ordered again.
    context.resultSoFar(() => ({ images: images.map((name) => ({ id: name, name, outcome: 'queued' })), ...counts }))
    using sources = await openSources({ ...deps, isRerun: context.isRerun }, addresses, context.signal).catch((error: unknown) => {
      throw explained(error, addresses)
    })
    const { pool } = sources
    // Also of a sync that ends early: its source may be the only one for what it copied. A task that a crash ends runs again.
    await using _partners = { [Symbol.asyncDispose]: () => (dryRun ? Promise.resolve() : rememberSources(deps, sources)) }
    const resultSoFar = (): SyncResult => ({ images: parts.list(), ...counts, ...totalsOf(parts, dryRun), sources: sources.report() })
    context.resultSoFar(resultSoFar)
    const run = { deps, pool, context, parts, addresses }
    const wanted = await resolveImages(run, images)
    const progress = createProgress(context)
    for (const { image, described, part } of wanted) {
      const onProgress = (done: number, total: number): void => {
        part.moved(done, total)
        progress(done, total)
      }
      const options = { signal: context.signal, share, counts, onProgress, role, dryRun }
      const end = await attempt(run, part, () => pulls.run(image.id, () => copyImage(copying, { described, pool }, image, options)))
      if (end) part.ended(end)
    }
    requireAll(parts)
    return resultSoFar()
  }
  tasks.register('sync', async (params, context) => {
    const order = paramsSchema.parse(params)
    if (!order.dryRun) return taskLimits.run(order.limits ?? {}, context, (task) => runSync(order, task))
    using share = taskLimits.openShare()
    return await runSync(order, { context, share })
  })

  return {
    async start({ source, sources, images, ...order }, createdBy, role = 'admin') {
      const { dryRun = false, limits } = order
      const unusable = refuseHours(limits?.hours ?? [], timezone, clock.nowMs())
      if (unusable !== undefined) throw problem('invalid-input', `limits.hours cannot be used: ${unusable}.`)
      const addresses = sources ?? (source ? [source] : [])
      for (const { url } of addresses) await requireAllowed(deps.network, url)
      const urls = addresses.map(({ url }) => url)
      const wanted = [...new Set(images)]
      return tasks.start({
        kind: 'sync',
        subject: wanted.length === 1 ? (wanted[0] ?? '') : `${wanted.length} images`,
        createdBy,
        params: { ...order, sources: addresses.map(({ token: _secret, ...address }) => address), images: wanted, role },
        priority: limits?.priority ?? 'normal',
        secret: JSON.stringify(addresses.map(({ token }) => token)),
        key: `${dryRun ? 'plan of ' : ''}sync ${urls.toSorted().join(' ')} ${wanted.toSorted().join(' ')}`,
      })
    },
    async copy(source, image, signal) {
      const pool = createSourcePool(deps)
      pool.add(source, 0)
      const counts = { slicesMoved: 0, slicesPresent: 0, bytesMoved: 0 }
      // A repair does not wait for the hours of syncs, but shares their rate.
      using share = taskLimits.openShare()
      const options = { signal, share, counts, onProgress: () => {}, role: 'admin', dryRun: false, underOwnId: true } as const
      const { outcome } = await pulls.run(image.id, () => copyImage(copying, { described: source, pool }, image, options))
      return outcome === 'copied' ? 'copied' : 'already-there'
    },
    copies: { leases, inOrder: (imageId, run) => pulls.run(imageId, run), openShare: () => taskLimits.openShare() },
    expire: (options) => leases.expire({ ...options, isOneWaiting: deps.isOneWaiting?.() ?? false }),
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
function addressesOf({ source, sources }: Pick<z.infer<typeof paramsSchema>, 'source' | 'sources'>, secret: string | undefined): SourceAddress[] {
  if (source) return [{ url: source.url, token: secret ?? '' }]
  const tokens = tokensSchema.parse(JSON.parse(secret ?? '[]'))
  return (sources ?? []).map(({ url, healing }, i) => ({ url, token: tokens[i] ?? '', ...(healing === true && { healing }) }))
}

/** Remembers the sources that answered and whose grants are for repairs. */
async function rememberSources({ remember, log }: Pick<SyncDeps, 'remember' | 'log'>, sources: OpenedSources): Promise<void> {
  for (const { address, source } of sources.opened()) {
    if (address.healing !== true) continue
    // Losing a source for repairs must not fail a copy that is whole.
    await remember?.({ storeId: source.storeId, name: source.name, url: address.url, token: address.token }).catch((error: unknown) => {
      log.warn('a source of a sync could not be remembered for repairs', { source: address.url, error })
    })
  }
}

/** An image, and the source that described it. */
interface FoundImage {
  readonly image: Image
  readonly described: SliceSource
}

/** An image to copy, and its part of the result. */
interface WantedImage extends FoundImage {
  readonly part: TaskImage
}

/**
 * Resolves all images before the first is copied. Returns each once, in the given order. An image that no source can send is a failed part of the
 * task; the others are copied.
 */
async function resolveImages(run: SyncRun, names: readonly string[]): Promise<WantedImage[]> {
  const { deps, pool, context, parts } = run
  const { clock } = deps
  const { signal } = context
  const found = new Map<string, WantedImage>()
  const endMs = clock.monotonicMs() + RESOLVE_MS_MAX
  const added = names.map((name) => ({ name, part: parts.add(name) }))
  for (const { name, part } of added) {
    const ask = async (source: SliceSource): Promise<FoundImage> => ({ image: await describedBy(deps, source, name, { signal, endMs }), described: source })
    const one = await attempt(run, part, () => askSources({ clock, pool, about: `image ${name}`, signal, ask }))
    if (!one) continue
    part.described(one.image.id, one.image.name)
    if (found.has(one.image.id)) part.dropped()
    else found.set(one.image.id, { ...one, part })
  }
  return [...found.values()]
}

/** Returns an image as a source describes it. Throws ProblemError if the source cannot send it. */
async function describedBy(deps: Pick<SyncDeps, 'clock'>, { url, client }: SliceSource, name: string, until: Until): Promise<Image> {
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
async function waitUntilInspected({ clock }: Pick<SyncDeps, 'clock'>, client: AgentClient, name: string, { signal, endMs }: Until): Promise<Image> {
  for (let look = 1; ; look++) {
    if (clock.monotonicMs() > endMs) throw problem('peer-unreachable', `${client.baseUrl} did not return all images within ${RESOLVE_MS_MAX / 60_000} minutes.`)
    const image = await client.images.get(name, { signal })
    if (image.status !== 'creating' || look >= CREATING_LOOKS_MAX) return image
    await clock.sleep(CREATING_WAIT_MS, signal)
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
