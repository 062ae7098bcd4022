// Routes that show the store, change its settings, check its mount path and clean it up.

import { problem } from '../../../protocol/problems.ts'
import { cleanupSchema, disableStoreSchema, storePatchSchema, storeSchema } from '../../../protocol/store.ts'
import type { Store } from '../../../protocol/store.ts'
import { SYNC_VERSIONS } from '../../../protocol/sync/sync.ts'
import type { SyncHours } from '../../../protocol/sync/sync-limits.ts'
import { taskSchema } from '../../../protocol/task.ts'
import type { Task } from '../../../protocol/task.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatSize } from '../../../protocol/units.ts'
import { audienceOf } from '../../access/readable.ts'
import type { Actor } from '../../contract/access.ts'
import type { Audience } from '../../contract/images.ts'
import type { HealthBoard } from '../../contract/health.ts'
import type { SliceStats } from '../../contract/slices.ts'
import type { Space } from '../../contract/space.ts'
import type { StoreSettings } from '../../contract/store.ts'
import type { Partners } from '../../contract/origins.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { EmitEvent } from '../../contract/work.ts'
import { withinDeadline } from '../deadline.ts'
import { route } from '../route.ts'
import type { Route, RouteContext } from '../route.ts'

/** How long the answer waits for the file system to report its space, in milliseconds. */
const SPACE_MS_MAX = 2000

/** What the description of the store is read from. */
export interface DescribeStoreDeps {
  readonly clock: Clock
  readonly settings: StoreSettings
  /** Members that do not change while the agent runs. */
  readonly facts: Pick<Store, 'id' | 'mount' | 'zone' | 'scope' | 'version' | 'cutter' | 'transfer'>
  /** Public key of the store, which others put into grants for it. */
  readonly publicKey: string
  /** Where the agent answers now, by network. */
  readonly networks?: () => NonNullable<Store['networks']>
  /** The origins of the store; empty when the configuration names none. */
  readonly origins: () => Readonly<NonNullable<Store['origins']>>
  /** The stores that this one synced with and may repair its slices from. */
  readonly partners: Partners['list']
  readonly space: Pick<Space, 'state'>
  readonly sliceStats: () => Pick<SliceStats, 'slices' | 'storedBytes'>
  /** Counts the images that the audience may see by status, and their bytes, including those in the recycle bin. */
  readonly images: (audience: Audience | undefined) => Promise<Store['images'] & { readonly imageBytes: number; readonly usage: NonNullable<Store['usage']> }>
  /** Returns the fingerprint of all images. */
  readonly imagesFingerprint?: () => string
  readonly uploadsActive: () => number
  /** Bytes of image content since the start of the agent. */
  readonly traffic: () => { readonly received: number; readonly served: number; readonly sinceMs: number }
  /** End of the last scrub in milliseconds since 1970; null before the first. */
  readonly scrubbedMs: () => number | null
}

export interface StoreRoutesDeps extends DescribeStoreDeps {
  readonly emit: EmitEvent
  readonly health: Pick<HealthBoard, 'refresh'>
  /** Returns why hours of syncs cannot be used, as a clause; undefined if they can. */
  readonly refuseHours?: (hours: readonly SyncHours[]) => string | undefined
  /** Called when the limits of syncs were changed. */
  readonly onSyncLimits?: () => void
  /** Called when the number of uploads at the same time was changed. */
  readonly onUploadConcurrency?: (concurrency: number) => void
  /** Starts the task that prunes the recycle bin and then runs gc. */
  readonly cleanup: (dryRun: boolean, createdBy: string) => Promise<Task>
}

/** Returns the routes below /v1/store. */
export function storeRoutes(deps: StoreRoutesDeps): Route[] {
  const answers = { 200: { description: 'The store', schema: storeSchema } }
  const show = async ({ actor }: Pick<RouteContext, 'actor'>): Promise<Response> => {
    const store = await describeStore(deps, audienceOf(actor))
    return Response.json(actor.grant ? identityOf(store) : store)
  }
  const change = { method: 'POST', access: 'operator', answers } as const
  return [
    route({
      method: 'GET',
      path: '/v1/store',
      access: 'viewer',
      granted: true,
      summary: 'Shows the store',
      description: 'A grant between stores gets the id, name, zone, version, protocol and networks of the store; the other members are empty or 0.',
      answers,
      run: show,
    }),
    route({
      method: 'PATCH',
      path: '/v1/store',
      access: 'operator',
      summary:
        'Changes the settings of the store at once and durably: name, description, reserve, retention, kinds of images, uploads at the same time, limits of syncs; switches images on or off',
      body: storePatchSchema,
      answers,
      async run({ body, actor }) {
        if (typeof body.reserved === 'number') await refuseReserve(deps, body.reserved)
        const unusable = deps.refuseHours?.(body.sync?.hours ?? [])
        if (unusable !== undefined) throw problem('invalid-input', `sync.hours cannot be used: ${unusable}.`)
        deps.settings.update(body)
        if (body.sync) deps.onSyncLimits?.()
        if (body.transfer) deps.onUploadConcurrency?.(deps.settings.uploadConcurrency())
        deps.emit({ ...eventOf(deps, actor), type: 'store.changed', message: `${actor.name} changed the store.`, details: body })
        return show({ actor })
      },
    }),
    route({
      ...change,
      path: '/v1/store/enable',
      summary: 'Enables the store: it accepts new images and uploads again',
      run({ actor }) {
        enable(deps, actor)
        return show({ actor })
      },
    }),
    route({
      ...change,
      path: '/v1/store/disable',
      summary: 'Disables the store: it refuses new images and uploads, and existing images stay readable',
      body: disableStoreSchema,
      run({ body, actor }) {
        disable(deps, actor, body.reason)
        return show({ actor })
      },
    }),
    route({
      ...change,
      path: '/v1/store/reconnect',
      summary: 'Checks the mount path again',
      async run({ actor }) {
        await reconnect(deps)
        return show({ actor })
      },
    }),
    route({
      method: 'POST',
      path: '/v1/store/cleanup',
      access: 'operator',
      summary: 'Prunes the recycle bin and frees unreferenced slices',
      body: cleanupSchema,
      answers: { 202: { description: 'The task', schema: taskSchema } },
      run: async ({ body, actor }) => Response.json(await deps.cleanup(body.dryRun, actor.name), { status: 202 }),
    }),
  ]
}

/** Returns what a store that copies from this one must know: who it is, how it speaks and where it answers, but not its paths, space and settings. */
function identityOf({ id, name, zone, version, protocol, networks }: Store): Store {
  return {
    id,
    name,
    zone,
    version,
    protocol,
    ...(networks ? { networks } : {}),
    description: '',
    mount: '',
    scope: '',
    enabled: true,
    disabledReason: null,
    capacity: { total: 0, used: 0, free: 0, reserved: 0, available: 0 },
    slices: { count: 0, storedBytes: 0, imageBytes: 0, savingRatio: null },
    images: { available: 0, deleted: 0, other: 0 },
    uploads: { active: 0 },
    transfer: { uploadConcurrency: 0, downloadConcurrency: 0 },
    retention: { deletion: 'delayed', seconds: 0 },
  }
}

function enable(deps: StoreRoutesDeps, actor: Actor): void {
  if (deps.settings.isEnabled()) return
  deps.settings.enable()
  deps.emit({ ...eventOf(deps, actor), type: 'store.enabled', message: `${actor.name} enabled the store.` })
}

function disable(deps: StoreRoutesDeps, actor: Actor, reason: string): void {
  deps.settings.disable(reason)
  const why = reason === '' ? '' : `: ${reason}`
  deps.emit({ ...eventOf(deps, actor), type: 'store.disabled', severity: 'warning', message: `${actor.name} disabled the store${why}.`, details: { reason } })
}

/** Checks the mount path. Throws ProblemError `store-unavailable` when it fails. */
async function reconnect({ health }: StoreRoutesDeps): Promise<void> {
  const { checks } = await health.refresh()
  const failed = checks.find((check) => check.name === 'mount-path' && check.state === 'failed')
  if (failed) throw problem('store-unavailable', `${failed.measured}.`, { action: failed.action })
}

/** Throws `invalid-input` for a reserve that is larger than the file system: the store could never take an image. */
async function refuseReserve({ space, clock }: StoreRoutesDeps, reserved: number): Promise<void> {
  const { totalBytes } = await withinDeadline(clock, space.state(), SPACE_MS_MAX)
  if (reserved <= totalBytes) return
  throw problem('invalid-input', `reserved is ${formatSize(reserved)}, and the file system of the store has ${formatSize(totalBytes)}.`, {
    action: 'Reserve less, or null for the value of the configuration.',
  })
}

function eventOf({ facts }: StoreRoutesDeps, actor: Actor) {
  return { severity: 'info', subject: facts.id, actor: actor.name } as const
}

/** Describes the store for an audience. Throws ProblemError when the file system does not report its space in time. */
export async function describeStore(deps: DescribeStoreDeps, audience: Audience | undefined): Promise<Store> {
  const { settings, facts, networks, space, sliceStats, images, uploadsActive, clock } = deps
  const { totalBytes, freeBytes, reservedBytes, availableBytes } = await withinDeadline(clock, space.state(), SPACE_MS_MAX)
  const { slices, storedBytes } = sliceStats()
  const { imageBytes, usage, available, deleted, other } = await images(audience)
  const origins = deps.origins().map(({ name, url, state }) => ({ name, url, state }))
  const { received, served, sinceMs } = deps.traffic()
  const scrubbedMs = deps.scrubbedMs()
  const partners = deps.partners().map(({ storeId, name, url, state, sinceMs: syncedMs }) => ({ id: storeId, name, url, state, since: formatTime(syncedMs) }))
  return {
    ...facts,
    ...(origins.length > 0 && { origins }),
    ...(partners.length > 0 && { partners }),
    ...settings.current(),
    transfer: { ...facts.transfer, uploadConcurrency: settings.uploadConcurrency(), configured: facts.transfer },
    protocol: { sync: [...SYNC_VERSIONS], key: deps.publicKey },
    ...(networks ? { networks: networks() } : {}),
    capacity: { total: totalBytes, used: totalBytes - freeBytes, free: freeBytes, reserved: reservedBytes, available: availableBytes },
    slices: { count: slices, storedBytes, imageBytes, savingRatio: storedBytes === 0 ? null : imageBytes / storedBytes },
    images: { available, deleted, other },
    // Somebody who does not see every image must not learn that a hidden one changed.
    ...(audience === undefined && deps.imagesFingerprint ? { imagesFingerprint: deps.imagesFingerprint() } : {}),
    usage,
    uploads: { active: uploadsActive() },
    traffic: { received, served, since: formatTime(sinceMs) },
    scrubbedAt: scrubbedMs === null ? null : formatTime(scrubbedMs),
  }
}
