// The parts of a store, opened in the order in which they need each other and closed in reverse: records of the agent, slices, images, uploads,
// tasks. `serve` and the other commands use the same parts.

import { join } from 'node:path'
import type { Access } from '../../access/access.ts'
import { isServed } from '../../access/readable.ts'
import type { Space } from '../../contract/space.ts'
import type { KeptValues, StoreGate, StoreSettings } from '../../contract/store.ts'
import type { EventLog } from '../../contract/work.ts'
import type { Catalogue } from '../../images/catalogue.ts'
import type { OpenSliceStore } from '../../slices/store.ts'
import type { Origins, Partners, PullThrough } from '../../contract/origins.ts'
import { HEALED_KEY } from '../../schedule/maintenance.ts'
import { createPullThrough } from '../../sync/through/pull-through.ts'
import { joinOrigins } from '../../sync/heal/heal-sources.ts'
import { createHealing } from '../../sync/heal/healing.ts'
import type { Healing } from '../../sync/heal/healing.ts'
import { createOrigins } from '../../sync/origins/origins.ts'
import { openPartners } from '../../sync/origins/partners.ts'
import { createPeerFetch, createPeerNetwork } from '../../sync/peer-network.ts'
import { createSync } from '../../sync/sync.ts'
import type { Sync } from '../../sync/sync.ts'
import { openBallast } from '../../system/ballast.ts'
import { addressesWithin, resolveName } from '../../system/network.ts'
import { createSendFrom } from '../../system/send-from.ts'
import { createSpace } from '../../system/space.ts'
import { TaskQueue } from '../../tasks/tasks.ts'
import { createLedger } from '../../usage/ledger.ts'
import { createUsageReports } from '../../usage/report.ts'
import type { UsageReports } from '../../usage/report.ts'
import { openUploads } from '../../uploads/uploads.ts'
import type { Uploads } from '../../uploads/uploads.ts'
import type { Visibility } from '../../visibility/visibility.ts'
import { openAgentRecords } from './agent-records.ts'
import type { AgentRecords } from './agent-records.ts'
import type { Foundation } from './foundation.ts'
import { admitCopies, createImagePolicy, imageRulesOf } from './image-policy.ts'
import { createLateParts } from './late-parts.ts'
import { restoreLinks } from '../link-ends.ts'
import type { LateParts } from './late-parts.ts'
import { openStoreImages, openStoreVisibility } from './store-images.ts'
import { openStoreSlices } from './store-slices.ts'
import { countTraffic } from '../traffic.ts'
import type { Traffic } from '../traffic.ts'

export interface StoreParts extends AsyncDisposable {
  readonly kept: KeptValues
  readonly events: EventLog
  readonly tasks: TaskQueue
  readonly settings: StoreSettings
  readonly policy: StoreGate
  readonly access: Access
  /** Public key of the store. */
  readonly publicKey: string
  readonly space: Space
  readonly slices: OpenSliceStore
  readonly catalogue: Catalogue
  readonly usage: UsageReports
  readonly visibility: Visibility
  readonly uploads: Uploads
  readonly sync: Sync
  /** Probed while the store is served. */
  readonly origins: Origins
  readonly partners: Partners
  readonly healing: Healing
  readonly through: PullThrough
}

export interface StorePartsOptions {
  /** Rebuilds the index database from the packs. */
  readonly rebuild?: boolean
  /** Whether the store is served: its origins are asked whether they answer. */
  readonly isServing?: boolean
  /** Counts bytes of image content as they arrive and leave. */
  readonly traffic?: Traffic
}

/** Opens all parts. Throws StartRefused when the agent's database cannot be used. */
export async function openStoreParts(foundation: Foundation, options: StorePartsOptions = {}): Promise<StoreParts> {
  const { config, disk, clock, log } = foundation
  const { mount } = config.store
  await using stack = new AsyncDisposableStack()
  const late = createLateParts()

  const records = stack.use(await openAgentRecords(foundation))
  const { emit } = records.events
  const { settings } = records
  const space = createSpace({ disk, clock, mount, reservedBytes: () => settings.reservedBytes() })
  const ballast = stack.use(await openBallast({ disk, clock, log: log.child({ part: 'ballast' }), mount }))
  const plainSlices = stack.use(await openStoreSlices({ foundation, emit, makeRoom: ballast.makeRoom, late }, options))
  const slices = options.traffic ? countTraffic(plainSlices, options.traffic) : plainSlices
  const ledger = createLedger({ disk: ballast.disk, clock, crashPoint: foundation.crashPoint, folder: join(mount, 'usage') })
  const catalogue = late.set(
    'catalogue',
    stack.use(await openStoreImages({ foundation, emit, disk: ballast.disk, slices: plainSlices, late, ledger, settings, space })),
  )
  const visibility = late.set('visibility', stack.use(await openStoreVisibility(foundation, catalogue)))
  const policy = createImagePolicy(records.settings)
  const content = { foundation, records, slices, catalogue, visibility, space, policy, late }
  const uploads = late.set('uploads', stack.use(await openStoreUploads(content)))
  await restoreLinks({ links: records.access.links, uploads, log: foundation.log.child({ part: 'links' }) })
  // The last to be opened is the first to be closed: tasks use all other parts.
  const { database, sealer } = records
  const tasks = late.set(
    'tasks',
    stack.use(TaskQueue.open({ database, clock, log: log.child({ part: 'tasks' }), emit, crashPoint: foundation.crashPoint, sealer })),
  )
  const partners = stack.use(await openStorePartners(content, options.isServing ?? false))
  const sync = late.set('sync', await openStoreSync(content, { tasks, partners }))
  const origins = stack.use(openStoreOrigins(foundation, options.isServing ?? false))
  const healing = late.set('healing', stack.use(openStoreHealing(content, { tasks, sync, origins: joinOrigins(origins, partners.origins) })))
  const through = stack.use(openStoreThrough(content, { tasks, sync, origins }))
  const { kept, events, access } = records

  const usage = createUsageReports({ clock, ledger, snapshot: () => catalogue.usage(), pricePerGbMonth: config.images.pricePerGbMonth })

  const owned = stack.move()
  return {
    kept,
    events,
    tasks,
    settings,
    policy,
    access,
    publicKey: records.storeKey.publicKey,
    space,
    slices,
    catalogue,
    usage,
    visibility,
    uploads,
    sync,
    origins,
    partners,
    healing,
    through,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

interface Content {
  readonly foundation: Foundation
  readonly records: AgentRecords
  readonly slices: OpenSliceStore
  readonly catalogue: Catalogue
  readonly visibility: Visibility
  readonly space: Space
  readonly policy: StoreGate
  readonly late: LateParts
}

function openStoreUploads({ foundation, records, slices, catalogue, visibility, space, policy, late }: Content): Promise<Uploads> {
  const { config, disk, clock, log, crashPoint, store } = foundation
  return openUploads({
    disk,
    clock,
    log: log.child({ part: 'uploads' }),
    slices,
    cutter: store.cutter,
    publisher: catalogue,
    space,
    folder: join(config.store.mount, 'uploads'),
    expiryMs: config.uploads.expiryMs,
    maxLength: config.uploads.lengthMax,
    concurrency: records.settings.uploadConcurrency(),
    visibility,
    gate: policy,
    admit: catalogue.admit,
    rules: imageRulesOf(config, records.settings),
    // Nothing expires before tasks are open.
    isTaskActive: (id) => late.get('tasks').get(id)?.endedAt === null,
    links: records.access.links,
    emit: records.events.emit,
    crashPoint,
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
  })
}

/** Returns the network over which this store asks other stores. */
function syncNetwork({ config, clock }: Pick<Foundation, 'config' | 'clock'>): Parameters<typeof createPeerNetwork>[2] {
  return {
    cidr: config.network.sync,
    now: () => clock.monotonicMs(),
    ownAddresses: (cidr) => addressesWithin(cidr),
    sendFrom: createSendFrom(),
  }
}

/** Opens the stores that this one synced with. Clients of this store named them, so `sync.peers` restricts them. */
function openStorePartners({ foundation, records }: Content, isServing: boolean): Promise<Partners> {
  const { config, clock, log, crashPoint, store } = foundation
  return openPartners({
    clock,
    log: log.child({ part: 'partners' }),
    emit: records.events.emit,
    kept: records.kept,
    sealer: records.sealer,
    prover: { storeId: store.uuid, ...records.storeKey },
    crashPoint,
    fetch: createPeerFetch(createPeerNetwork(config.sync.peers, resolveName, syncNetwork(foundation))),
    isServing,
  })
}

interface SyncParts {
  readonly tasks: TaskQueue
  readonly partners: Partners
}

function openStoreSync({ foundation, records, slices, catalogue, space }: Content, { tasks, partners }: SyncParts): Promise<Sync> {
  const { config, disk, clock, log, crashPoint, store } = foundation
  return createSync({
    disk,
    clock,
    log: log.child({ part: 'sync' }),
    mount: config.store.mount,
    storeId: store.uuid,
    prover: { storeId: store.uuid, ...records.storeKey },
    images: catalogue,
    slices,
    space,
    tasks,
    crashPoint,
    admitNew: admitCopies(imageRulesOf(config, records.settings)),
    network: createPeerNetwork(config.sync.peers, resolveName, syncNetwork(foundation)),
    batchesMax: config.transfer.downloadConcurrency,
    remember: (partner) => partners.remember(partner),
    limits: {
      timezone: config.schedules.timezone,
      ofStore() {
        const { syncBytesPerSecond, syncHours } = records.settings.syncLimits()
        return { bytesPerSecond: syncBytesPerSecond === 0 ? undefined : syncBytesPerSecond, hours: syncHours }
      },
    },
    isOneWaiting: () => tasks.list({ kind: 'sync', state: 'queued', limit: 1 }).items.length > 0,
  })
}

/** Creates the origins of the configuration. Other commands than `serve` ask none. */
function openStoreOrigins({ config, clock, log, store }: Foundation, isServing: boolean): Origins {
  return createOrigins({
    clock,
    log: log.child({ part: 'origins' }),
    settings: isServing ? config.origins : [],
    storeId: store.uuid,
    // The operator who writes an origin into the configuration allows it; sync.peers restricts what clients of this store may name.
    fetch: createPeerFetch(createPeerNetwork([], resolveName, syncNetwork({ config, clock }))),
  })
}

interface HealingParts {
  readonly tasks: TaskQueue
  readonly sync: Sync
  readonly origins: Origins
}

function openStoreHealing({ foundation, records, slices, catalogue, space }: Content, { tasks, sync, origins }: HealingParts): Healing {
  const { clock, log, crashPoint, store, config } = foundation
  return createHealing({
    clock,
    log: log.child({ part: 'healing' }),
    emit: records.events.emit,
    storeId: store.uuid,
    subject: config.store.name,
    origins,
    tasks,
    slices,
    images: catalogue,
    space,
    crashPoint,
    healed: () => records.kept.write(HEALED_KEY, { endedMs: clock.nowMs() }),
    openShare: sync.copies.openShare,
    async copyAgain(origin, here, signal) {
      const there = await origin.client.images.get(here.id, { signal })
      const isSame = there.id === here.id && there.manifestDigest === here.manifestDigest && isServed(there)
      return isSame && (await sync.copy(origin, there, signal)) === 'copied'
    },
  })
}

function openStoreThrough(
  { foundation, records, slices, catalogue, space, policy }: Content,
  { tasks, sync, origins }: HealingParts,
): PullThrough & AsyncDisposable {
  const { clock, log, crashPoint } = foundation
  return createPullThrough({
    clock,
    log: log.child({ part: 'pull-through' }),
    emit: records.events.emit,
    origins,
    images: catalogue,
    slices,
    space,
    ...sync.copies,
    tasks,
    gate: policy,
    admitNew: admitCopies(imageRulesOf(foundation.config, records.settings)),
    crashPoint,
  })
}
