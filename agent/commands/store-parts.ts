// The parts of a store, opened in the order in which they need each other and closed in the reverse one: the agent's
// database, slices, catalogue, uploads. Serving and the commands beside it stand on the same parts.

import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { formatDigest } from '../../protocol/digest.ts'
import { openAccess } from '../access/access.ts'
import type { Access } from '../access/access.ts'
import { isReadable, isServed } from '../access/readable.ts'
import { openSealer } from '../access/sealer.ts'
import { readSecretFile, writeSecretFile } from '../access/secret-file.ts'
import type { KeptValues, StoreGate, StoreSettings } from '../contract/store.ts'
import type { OwnedImage } from '../contract/images.ts'
import type { Space } from '../contract/space.ts'
import type { EventLog } from '../contract/work.ts'
import { createCatalogue } from '../images/catalogue.ts'
import type { Catalogue } from '../images/catalogue.ts'
import { openSliceStore } from '../slices/store.ts'
import type { OpenSliceStore } from '../slices/store.ts'
import { createPeerNetwork } from '../sync/peer-network.ts'
import { createSync } from '../sync/sync.ts'
import type { Sync } from '../sync/sync.ts'
import { openBallast } from '../system/ballast.ts'
import { resolveName } from '../system/network.ts'
import { createSpace } from '../system/space.ts'
import { openStoreSettings } from '../system/store-settings.ts'
import { sealClearSecrets } from '../tasks/clear-secrets.ts'
import { AgentDatabaseUnusable, openAgentDatabase } from '../tasks/database.ts'
import type { AgentDatabase } from '../tasks/database.ts'
import { createEventLog } from '../tasks/events.ts'
import { createKeptValues } from '../tasks/kept.ts'
import { TaskQueue } from '../tasks/tasks.ts'
import { openUploads } from '../uploads/uploads.ts'
import type { Uploads } from '../uploads/uploads.ts'
import { openVisibility } from '../visibility/visibility.ts'
import type { Visibility } from '../visibility/visibility.ts'
import type { Foundation } from './foundation.ts'
import { StartRefused } from './start-refused.ts'
import { createImagePolicy } from './image-policy.ts'
import { countTraffic } from './traffic.ts'
import type { Traffic } from './traffic.ts'

const DATABASE_FILE = 'agent.db'
const VISIBILITY_FOLDER = 'visibility'
/** The first admin token, for the operator of this node (mode 0600). */
export const ADMIN_TOKEN_FILE = 'admin-token'
/** The key that seals secrets in the agent's database (mode 0600). */
const SEALING_KEY_FILE = 'sealing-key'

export interface StoreParts extends AsyncDisposable {
  readonly kept: KeptValues
  readonly events: EventLog
  readonly tasks: TaskQueue
  readonly settings: StoreSettings
  readonly policy: StoreGate
  readonly access: Access
  readonly space: Space
  readonly slices: OpenSliceStore
  readonly catalogue: Catalogue
  readonly visibility: Visibility
  readonly uploads: Uploads
  readonly sync: Sync
}

export interface StorePartsOptions {
  /** Rebuilds the index database from the packs. */
  readonly rebuild?: boolean
  /** Told of bytes of image content as they arrive and leave. */
  readonly traffic?: Traffic
}

/** Opens everything. */
export async function openStoreParts(foundation: Foundation, options: StorePartsOptions = {}): Promise<StoreParts> {
  const { config, disk, clock, log, crashPoint, store } = foundation
  const { mount, state } = config.store
  await using stack = new AsyncDisposableStack()

  const database = stack.use(openDatabase(join(state, DATABASE_FILE)))
  const events = createEventLog({ database, clock, log: log.child({ part: 'events' }) })
  const { emit } = events
  const kept = createKeptValues(database)
  const settings = openStoreSettings({ kept, configured: config.store })
  const access = await openAccess({
    kept,
    clock,
    emit,
    configuredSecret: config.process.adminToken,
    writeFirstSecret: (secret) => writeSecretFile(join(state, ADMIN_TOKEN_FILE), secret),
  })
  const space = createSpace({ disk, clock, mount, reservedBytes: config.store.reservedBytes })

  const ballast = stack.use(await openBallast({ disk, clock, log: log.child({ part: 'ballast' }), mount }))
  const plainSlices = stack.use(
    await openSliceStore(
      {
        disk,
        clock,
        log: log.child({ part: 'slices' }),
        crashPoint,
        mount,
        state,
        cutter: store.cutter,
        workers: availableParallelism(),
        makeRoom: ballast.makeRoom,
        // Content moves from uploads and syncs to images: asked in this order, it is seen at least once.
        roots: [{ list: () => uploads.roots.list() }, { list: () => sync.roots.list() }, { list: () => catalogue.roots.list() }],
        onCorrupt: (digest, reason) => {
          log.error('a slice is damaged', { digest: formatDigest(digest), reason })
          emit({ type: 'slice.damaged', severity: 'error', subject: formatDigest(digest), message: `A slice is damaged: ${reason}.` })
          catalogue.sliceDamaged(digest, reason)
        },
        onIndexDamaged: (reason) =>
          emit({
            type: 'index.damaged',
            severity: 'warning',
            subject: store.uuid,
            message: `The index database is damaged and is being rebuilt from the packs: ${reason}.`,
          }),
        onIndexRebuilt: (packs) =>
          emit({
            type: 'index.rebuilt',
            severity: 'info',
            subject: store.uuid,
            message: `The index database was rebuilt from ${packs} packs; no data was lost.`,
          }),
      },
      options,
    ),
  )
  // Set once the catalogue has been loaded, which changes every image.
  let visibility: Visibility | undefined
  const slices = options.traffic ? countTraffic(plainSlices, options.traffic) : plainSlices
  // Uploads are opened after the catalogue: until then no body arrives.
  let quietMs = (): number => Number.POSITIVE_INFINITY
  let expected = (): Iterable<OwnedImage> => []
  const catalogue: Catalogue = stack.use(
    await createCatalogue({
      // Deleting images must work on a full disk.
      disk: ballast.disk,
      clock,
      log: log.child({ part: 'images' }),
      mount,
      // Inspection reads too, but nothing of it leaves.
      slices: plainSlices,
      emit,
      crashPoint,
      retention: { deletion: config.images.deletion, retentionMs: config.images.retentionMs },
      imagesPerOwnerMax: config.images.maxPerOwner,
      expected: () => expected(),
      quietMs: () => quietMs(),
      changed: () => visibility?.wake(),
    }),
  )
  visibility = stack.use(
    await openVisibility({
      disk,
      clock,
      log: log.child({ part: 'visibility' }),
      folder: join(state, VISIBILITY_FOLDER),
      images: catalogue,
      isReadable,
      isServed,
    }),
  )
  const policy = createImagePolicy({ images: config.images, settings })
  const uploads: Uploads = stack.use(
    await openUploads({
      disk,
      clock,
      log: log.child({ part: 'uploads' }),
      slices,
      cutter: store.cutter,
      publisher: catalogue,
      space,
      folder: join(mount, 'uploads'),
      expiryMs: config.uploads.expiryMs,
      maxLength: config.uploads.lengthMax,
      concurrency: config.transfer.uploadConcurrency,
      visibility,
      gate: policy,
      admit: catalogue.admit,
      links: access.links,
      emit,
      crashPoint,
      random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    }),
  )
  const sealer = await openSealer({
    readKey: () => readSecretFile(join(state, SEALING_KEY_FILE)),
    writeKey: (key) => writeSecretFile(join(state, SEALING_KEY_FILE), key),
    onUnusable: () => log.warn('the sealing key in the state folder cannot be used and is replaced: syncs that wait have to be ordered again'),
  })
  const sealedCount = await sealClearSecrets(database, sealer)
  if (sealedCount > 0) log.info('tokens that tasks of an earlier agent kept in clear were sealed or removed', { count: sealedCount })
  quietMs = () => uploads.quietMs()
  expected = () => uploads.expectedImages()
  // The last to be opened is the first to be closed: tasks use all of the others.
  const tasks = stack.use(TaskQueue.open({ database, clock, log: log.child({ part: 'tasks' }), emit, crashPoint, sealer }))
  const sync: Sync = await createSync({
    disk,
    clock,
    log: log.child({ part: 'sync' }),
    mount,
    storeId: store.uuid,
    images: catalogue,
    slices,
    space,
    tasks,
    crashPoint,
    network: createPeerNetwork(config.sync.peers, resolveName),
  })

  const owned = stack.move()
  return {
    kept,
    events,
    tasks,
    settings,
    policy,
    access,
    space,
    slices,
    catalogue,
    visibility,
    uploads,
    sync,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function openDatabase(path: string): AgentDatabase {
  try {
    return openAgentDatabase(path)
  } catch (error) {
    if (error instanceof AgentDatabaseUnusable) throw new StartRefused(error.message, { cause: error })
    throw error
  }
}
