// What only a serving agent has: routes, schedules, health, metrics, and the work that tasks do.

import type { Image } from '../../protocol/image.ts'
import { createFileBrowser } from '../browse/browser.ts'
import type { Config } from '../config.ts'
import { createAgentMetrics } from '../health/agent-metrics.ts'
import { createStoreChecks } from '../health/checks.ts'
import { watchEventLoop } from '../health/event-loop.ts'
import { createHealth } from '../health/health.ts'
import { openMountProbe } from '../health/mount-probe.ts'
import type { AppDeps } from '../http/app.ts'
import type { Route } from '../http/route.ts'
import { createMountFault, reachableCounts } from '../http/reachable-images.ts'
import { accessRoutes } from '../http/routes/access.ts'
import { contentRoutes } from '../http/routes/content.ts'
import { eventRoutes } from '../http/routes/events.ts'
import { healthRoutes } from '../http/routes/health.ts'
import { imageRoutes } from '../http/routes/images.ts'
import { uniqueSizeRoutes } from '../http/routes/unique-size.ts'
import { fileRoutes } from '../http/routes/files.ts'
import { metricsRoutes } from '../http/routes/metrics.ts'
import { openApiRoutes } from '../http/routes/openapi.ts'
import { scheduleRoutes } from '../http/routes/schedules.ts'
import { sliceRoutes } from '../http/routes/slices.ts'
import { storeRoutes } from '../http/routes/store.ts'
import type { StoreRoutesDeps } from '../http/routes/store.ts'
import { syncRoutes } from '../http/routes/sync.ts'
import { taskRoutes } from '../http/routes/tasks.ts'
import { uploadRoutes } from '../http/routes/uploads.ts'
import { createTransferGate } from '../http/transfer-gate.ts'
import { createMaintenance } from '../schedule/maintenance.ts'
import { Schedules } from '../schedule/schedules.ts'
import type { Foundation } from './foundation.ts'
import { plainHosts } from './listen-hosts.ts'
import type { Listeners } from './listeners.ts'
import { STORE_FILE } from './store-file.ts'
import type { StoreFile } from './store-file.ts'
import type { StoreParts } from './store-parts.ts'
import type { Traffic } from './traffic.ts'

/** How fast the schedule `scrub` reads: slow enough to leave the disk to those who use the store. */
const SCRUB_BYTES_PER_SECOND = 50_000_000

export interface ServingDeps {
  readonly foundation: Foundation
  readonly parts: StoreParts
  readonly listeners: Pick<Listeners, 'certificateEndMs'>
  readonly version: string
}

export interface Serving extends Disposable {
  readonly app: AppDeps
  readonly traffic: Traffic
  /** Ends streams and bodies and fires no schedule any more; resolves when what the bodies brought is committed. */
  stop(): Promise<void>
}

/** Wires routes and background work, lets tasks run and schedules fire. */
export async function openServing({ foundation, parts, listeners, version }: ServingDeps): Promise<Serving> {
  const { config, clock, log, store } = foundation
  const { access, catalogue, events, kept, policy, settings, slices, space, sync, tasks, uploads, visibility } = parts
  const { emit } = events
  using stack = new DisposableStack()
  const stopping = new AbortController()
  const uploadsActive = (): number => uploads.stats().unfinished
  const residentBytes = (): number => process.memoryUsage.rss()
  const processorMs = (): number => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1000
  }

  const maintenance = createMaintenance({
    tasks,
    slices,
    images: catalogue,
    uploads: {
      expire: async (options) => [...(await uploads.expire(options)).map((id) => `upload ${id}`), ...(await sync.expire(options)).map((id) => `sync ${id}`)],
    },
    scrubBytesPerSecond: SCRUB_BYTES_PER_SECOND,
    subject: config.store.name,
    kept,
    clock,
    emit,
  })
  const schedules = stack.use(
    Schedules.open({
      configured: config.schedules,
      timezone: config.schedules.timezone,
      jobs: maintenance.jobs,
      tasks,
      kept,
      clock,
      log: log.child({ part: 'schedules' }),
      emit,
    }),
  )
  const eventLoop = stack.use(watchEventLoop(clock, processorMs))
  const checks = createStoreChecks({
    clock,
    kept,
    mount: config.store.mount,
    mountProbe: await openMountProbe({ mount: config.store.mount, storeFile: STORE_FILE, clock }),
    space,
    recycleBin: () => recycleBin(catalogue.each()),
    eventLoop,
    residentBytes,
    sliceStats: () => slices.stats(),
    damagedImages: () => catalogue.counts().damaged,
    lastScrub: () => maintenance.lastScrub() ?? { endedMs: null, corrupt: 0, missing: 0, faults: 0, damagedRoots: [] },
    schedules: () => schedules.facts(),
    tasks,
    certificateEndMs: listeners.certificateEndMs,
    plainHosts: plainHosts(config),
  })
  const health = stack.use(createHealth({ checks, clock, log: log.child({ part: 'health' }), emit }))
  const mountFault = createMountFault(health)
  const agentMetrics = createAgentMetrics({
    clock,
    version,
    startMs: clock.nowMs(),
    space,
    tasks,
    health,
    sliceStats: () => slices.stats(),
    images: () => catalogue.counts(),
    uploadsActive,
    eventLoopDelayMsMax: () => eventLoop.delayMsMax(),
    residentBytes,
    lastRuns: () => {
      const scrub = maintenance.lastScrub()
      return { gc: maintenance.lastGc(), scrub: scrub && { endedMs: scrub.endedMs, findings: scrub.corrupt + scrub.missing + scrub.faults } }
    },
  })
  const downloads = createTransferGate({ clock, limit: config.transfer.downloadConcurrency })
  const routes: Route[] = [
    ...healthRoutes({ health }),
    ...storeRoutes({
      clock,
      emit,
      settings,
      health,
      facts: storeFacts(config, store, version),
      space,
      sliceStats: () => slices.stats(),
      images: () => reachableCounts(catalogue.counts(), mountFault),
      uploadsActive,
      cleanup: maintenance.cleanup,
    }),
    ...imageRoutes({ images: catalogue, mountFault }),
    ...uniqueSizeRoutes({ uniqueSize: (images) => catalogue.uniqueSize(images) }),
    ...contentRoutes({ images: catalogue, slices, downloads }),
    ...uploadRoutes({ uploads, images: catalogue, clock }),
    ...sliceRoutes({ slices, visibility, ownSlices: (actor) => uploads.ownSlices(actor), downloads, clock }),
    ...syncRoutes({ sync, gate: policy }),
    ...taskRoutes({ tasks }),
    ...scheduleRoutes({ schedules }),
    ...eventRoutes({ events, clock, stopping: stopping.signal, isTokenValid: (id) => access.tokens.find(id) !== undefined }),
    ...accessRoutes({ images: catalogue, tokens: access.tokens, links: access.links }),
    ...metricsRoutes({ metrics: agentMetrics.metrics }),
    ...fileRoutes({ files: createFileBrowser({ mount: config.store.mount }), clock }),
    ...openApiRoutes({ version, routes: () => routes }),
  ]

  visibility.start()
  tasks.resume()
  schedules.start()
  const owned = stack.move()
  return {
    app: {
      routes,
      authenticator: access.authenticator,
      log: log.child({ part: 'http' }),
      clock,
      origins: config.uploads.origins,
      observe: agentMetrics.observeRequest,
    },
    traffic: agentMetrics,
    async stop() {
      stopping.abort()
      schedules[Symbol.dispose]()
      await uploads.stop()
    },
    [Symbol.dispose]: () => owned.dispose(),
  }
}

/** Images in the recycle bin, and the most that purging them can free in bytes. */
function recycleBin(images: Iterable<Image>): { images: number; storedBytes: number } {
  const bin = { images: 0, storedBytes: 0 }
  for (const { status, storedSize } of images) {
    if (status !== 'deleted') continue
    bin.images++
    bin.storedBytes += storedSize ?? 0
  }
  return bin
}

function storeFacts(config: Config, { uuid, cutter }: StoreFile, version: string): StoreRoutesDeps['facts'] {
  const { store, transfer, images } = config
  return {
    id: uuid,
    cutter,
    mount: store.mount,
    zone: store.zone,
    scope: store.scope,
    version,
    transfer,
    retention: { deletion: images.deletion, seconds: Math.round(images.retentionMs / 1000) },
  }
}
