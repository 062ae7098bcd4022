// What only a serving agent has: its routes, and the background work.

import { audienceOf } from '../access/readable.ts'
import { createFileBrowser } from '../browse/browser.ts'
import type { Config } from '../config.ts'
import type { AppDeps } from '../http/app.ts'
import type { Route } from '../http/route.ts'
import { createMountFault, reachableCounts } from '../http/visible/reachable-images.ts'
import { accessRoutes } from '../http/routes/access.ts'
import { contentRoutes } from '../http/routes/content.ts'
import { createStoreStates } from '../http/events/store-state.ts'
import { evidenceRoutes } from '../http/routes/evidence.ts'
import { eventRoutes } from '../http/routes/events.ts'
import { healthRoutes, shownHealth } from '../http/routes/health.ts'
import { importRoutes } from '../http/routes/imports.ts'
import { hostKeyRoutes } from '../http/routes/host-keys.ts'
import { imageRoutes } from '../http/routes/images.ts'
import { uniqueSizeRoutes } from '../http/routes/unique-size.ts'
import { exportRoutes } from '../http/routes/exports.ts'
import { fileRoutes } from '../http/routes/files.ts'
import { mediaGroupRoutes } from '../http/routes/media-groups.ts'
import { metricsRoutes } from '../http/routes/metrics.ts'
import { operatingSystemRoutes } from '../http/routes/operating-systems.ts'
import { openApiRoutes } from '../http/routes/openapi.ts'
import { pageRoutes } from '../http/routes/page.tsx'
import { reconcileRoutes } from '../http/routes/reconcile.ts'
import { scheduleRoutes } from '../http/routes/schedules.ts'
import { sliceRoutes } from '../http/routes/slices.ts'
import { describeStore, storeRoutes } from '../http/routes/store.ts'
import type { StoreRoutesDeps } from '../http/routes/store.ts'
import { syncGrantRoutes } from '../http/routes/sync-grants.ts'
import { syncRoutes } from '../http/routes/sync.ts'
import { taskRoutes } from '../http/routes/tasks.ts'
import { uploadRoutes } from '../http/routes/uploads/uploads.ts'
import { usageRoutes } from '../http/routes/usage.ts'
import { createTransferGate } from '../http/content/transfer-gate.ts'
import { createShownTasks } from '../tasks/shown-tasks.ts'
import { openBackground } from './background.ts'
import type { Background, ServingDeps } from './background.ts'
import { cancelUpload } from './cancel-upload.ts'
import { revokeLink } from './link-ends.ts'
import { listenNetworks } from './listen-hosts.ts'
import { refuseHours } from '../sync/limits/hours.ts'
import type { Reconcile } from '../reconcile/reconcile.ts'
import { openEvidence } from './parts/store-evidence.ts'
import { openStoreExports } from './parts/store-exports.ts'
import type { StoreExports } from './parts/store-exports.ts'
import type { StoreFile } from './parts/store-file.ts'
import { openFoundFiles, openStoreImports } from './parts/store-imports.ts'
import type { StoreImports } from './parts/store-imports.ts'
import { openReconcile } from './parts/store-reconcile.ts'
import type { Traffic } from './traffic.ts'

export interface Serving extends Disposable {
  readonly app: AppDeps
  readonly traffic: Traffic
  /** Ends streams and request bodies, and stops the schedules. Resolves when the bytes of the bodies are committed. */
  stop(): Promise<void>
}

/** Creates routes and background work, and lets tasks run and schedules fire. */
export async function openServing(deps: ServingDeps): Promise<Serving> {
  const { config, clock, log } = deps.foundation
  const { access, tasks, uploads, visibility } = deps.parts
  using stack = new DisposableStack()
  const stopping = new AbortController()
  const background = stack.use(await openBackground(deps))
  const { imports, hostKeys } = openStoreImports(deps)
  const stored = await openStoreExports(deps.foundation, deps.parts)
  const reconcile = openReconcile(deps, stored.exports)
  const routes = routesOf(deps, background, { ...stored, imports, hostKeys, reconcile, stopping: stopping.signal })
  visibility.start()
  tasks.resume()
  deps.parts.healing.start()
  const foundFiles = await openFoundFiles(deps, imports)
  background.schedules.start()
  const owned = stack.move()
  return {
    app: {
      routes,
      authenticator: access.authenticator,
      log: log.child({ part: 'http' }),
      clock,
      origins: config.uploads.origins,
      observe: background.metrics.observeRequest,
    },
    traffic: background.metrics,
    async stop() {
      stopping.abort()
      background.schedules[Symbol.dispose]()
      await foundFiles[Symbol.asyncDispose]()
      await uploads.stop()
    },
    [Symbol.dispose]: () => owned.dispose(),
  }
}

interface RouteParts extends StoreExports, StoreImports {
  readonly reconcile: Reconcile
  /** Ends streams of events. */
  readonly stopping: AbortSignal
}

/** Returns all routes of an agent. */
function routesOf(deps: ServingDeps, background: Background, { imports, hostKeys, exports, converter, reconcile, stopping }: RouteParts): Route[] {
  const { foundation, parts, listeners, version } = deps
  const { maintenance, schedules, health, metrics } = background
  const { config, clock, store } = foundation
  const { access, catalogue, events, policy, settings, slices, space, sync, tasks, uploads, usage, visibility } = parts
  const mountFault = createMountFault(health)
  const downloads = createTransferGate({ clock, limit: config.transfer.downloadConcurrency })
  const findImage = (id: string) => catalogue.byId(id)
  const files = createFileBrowser({ mount: config.store.mount })
  // A certificate is rarely valid for an address, so with TLS links and locations keep the name that the client used.
  const dataUrls = (): readonly string[] => (config.tls ? [] : listenNetworks(config, listeners.urls[0] ?? '').data.urls)
  const storeDeps: StoreRoutesDeps = {
    clock,
    emit: events.emit,
    settings,
    health,
    facts: storeFacts(config, store, version),
    publicKey: parts.publicKey,
    refuseHours: (hours) => refuseHours(hours, config.schedules.timezone, clock.nowMs()),
    onSyncLimits: () => tasks.runPostponed(),
    onUploadConcurrency: (concurrency) => uploads.setConcurrency(concurrency),
    networks: () => listenNetworks(config, listeners.urls[0] ?? ''),
    origins: () => parts.origins.list(),
    partners: () => parts.partners.list(),
    space,
    sliceStats: () => slices.stats(),
    images: (audience) => reachableCounts(catalogue.counts(audience), mountFault),
    imagesFingerprint: () => catalogue.fingerprint(),
    uploadsActive: () => uploads.stats().unfinished,
    traffic: () => metrics.traffic(),
    scrubbedMs: () => maintenance.lastScrub()?.endedMs ?? null,
    cleanup: maintenance.cleanup,
  }
  const shownTasks = createShownTasks({ tasks, live: [uploads.liveTasks, catalogue.liveTasks] })
  const readState = createStoreStates({
    events,
    health: (actor) => shownHealth({ health, findImage }, actor),
    store: (actor) => describeStore(storeDeps, audienceOf(actor)),
    tasks: shownTasks,
    findImage,
  })
  const evidence = openEvidence(deps, { background, shownTasks, describe: () => describeStore(storeDeps, undefined) })
  const routes: Route[] = [
    ...healthRoutes({ health, findImage }),
    ...storeRoutes(storeDeps),
    ...imageRoutes({
      images: catalogue,
      mountFault,
      through: parts.through,
      cancelUpload: (imageId, actor) => cancelUpload({ uploads, tasks }, imageId, actor),
    }),
    ...mediaGroupRoutes({ groups: catalogue.mediaGroups }),
    ...usageRoutes({ clock, reports: usage }),
    ...reconcileRoutes({ start: reconcile.start }),
    ...uniqueSizeRoutes({ images: catalogue }),
    ...contentRoutes({ images: catalogue, slices, converter, downloads, through: parts.through }),
    ...exportRoutes({ exports, images: catalogue, files, downloads, clock }),
    ...uploadRoutes({ uploads, images: catalogue, clock, dataUrls, links: access.links, storeName: () => settings.current().name }),
    ...sliceRoutes({ slices, visibility, ownSlices: (actor) => uploads.ownSlices(actor), downloads, clock }),
    ...importRoutes({ imports }),
    ...hostKeyRoutes({ hostKeys }),
    ...syncRoutes({ sync, gate: policy }),
    ...syncGrantRoutes({ images: catalogue, grants: access.grants }),
    ...taskRoutes({ tasks: shownTasks, findImage, clock }),
    ...operatingSystemRoutes(),
    ...scheduleRoutes({ schedules }),
    ...eventRoutes({ events, clock, stopping, isTokenValid: (id) => access.tokens.find(id) !== undefined, findImage, readState }),
    ...accessRoutes({
      images: catalogue,
      exports,
      tokens: access.tokens,
      links: access.links,
      revokeLink: (id, actor) => revokeLink({ links: access.links, uploads, log: foundation.log.child({ part: 'links' }) }, id, actor),
      dataUrls,
    }),
    ...evidenceRoutes({ evidence }),
    ...metricsRoutes({ metrics: metrics.metrics }),
    ...fileRoutes({ files, clock, findImage }),
    ...pageRoutes({ storeId: store.uuid, storeName: () => settings.current().name, sessions: access.page, clock, routes: () => routes }),
    ...openApiRoutes({ version, routes: () => routes }),
  ]
  return routes
}

function storeFacts(config: Config, { uuid, cutter }: StoreFile, version: string): StoreRoutesDeps['facts'] {
  const { store, transfer } = config
  return {
    id: uuid,
    cutter,
    mount: store.mount,
    zone: store.zone,
    scope: store.scope,
    version,
    transfer,
  }
}
