// Work that a serving agent does by itself: maintenance on schedules, health checks and metrics.

import type { Image } from '../../protocol/images/image.ts'
import type { HealthBoard } from '../contract/health.ts'
import { createAgentMetrics } from '../health/agent-metrics.ts'
import type { AgentMetrics } from '../health/agent-metrics.ts'
import { createStoreChecks } from '../health/checks.ts'
import { watchEventLoop } from '../health/event-loop.ts'
import { createHealth } from '../health/health.ts'
import { openMountProbe } from '../health/mount-probe.ts'
import { createMaintenance } from '../schedule/maintenance.ts'
import type { Maintenance } from '../schedule/maintenance.ts'
import { Schedules } from '../schedule/schedules.ts'
import type { Foundation } from './parts/foundation.ts'
import { maintainLinks } from './link-ends.ts'
import { plainHosts } from './listen-hosts.ts'
import type { Listeners } from './listeners.ts'
import { STORE_FILE } from './parts/store-file.ts'
import type { StoreParts } from './parts/store-parts.ts'

/** How fast the schedule `scrub` reads, in bytes per second: slow enough to leave most of the disk to requests. */
const SCRUB_BYTES_PER_SECOND = 50_000_000

/** What a serving agent is made of. */
export interface ServingDeps {
  readonly foundation: Foundation
  readonly parts: StoreParts
  readonly listeners: Pick<Listeners, 'certificateEndMs' | 'urls'>
  readonly version: string
}

/** Disposing stops the checks and the schedules. */
export interface Background extends Disposable {
  readonly maintenance: Maintenance
  readonly schedules: Schedules
  readonly health: HealthBoard
  readonly metrics: AgentMetrics
}

/** Registers the runners of tasks and starts the health checks. Schedules do not fire before `start`. */
export async function openBackground(deps: ServingDeps): Promise<Background> {
  using stack = new DisposableStack()
  const { maintenance, schedules } = openMaintenance(deps)
  stack.use(schedules)
  const { health, metrics } = await openHealth(deps, { maintenance, schedules }, stack)
  const owned = stack.move()
  return { maintenance, schedules, health, metrics, [Symbol.dispose]: () => owned.dispose() }
}

function openMaintenance({ foundation, parts }: ServingDeps): Pick<Background, 'maintenance' | 'schedules'> {
  const { config, clock, log } = foundation
  const { access, catalogue, events, kept, slices, sync, tasks, uploads } = parts
  const { emit } = events
  const maintenance = createMaintenance({
    tasks,
    slices,
    images: catalogue,
    uploads: {
      async expire(options) {
        const removed = [...(await uploads.expire(options)).map((id) => `upload ${id}`), ...(await sync.expire(options)).map((id) => `sync ${id}`)]
        if (!options.dryRun) await maintainLinks({ links: access.links, uploads, log: log.child({ part: 'links' }) })
        return removed
      },
    },
    scrubBytesPerSecond: SCRUB_BYTES_PER_SECOND,
    subject: config.store.name,
    kept,
    clock,
    emit,
  })
  const schedules = Schedules.open({
    configured: config.schedules,
    timezone: config.schedules.timezone,
    jobs: maintenance.jobs,
    tasks,
    kept,
    clock,
    log: log.child({ part: 'schedules' }),
    emit,
  })
  return { maintenance, schedules }
}

async function openHealth(
  { foundation, parts, listeners, version }: ServingDeps,
  { maintenance, schedules }: Pick<Background, 'maintenance' | 'schedules'>,
  stack: DisposableStack,
): Promise<Pick<Background, 'health' | 'metrics'>> {
  const { config, clock, log } = foundation
  const { catalogue, events, kept, slices, space, tasks, uploads } = parts
  const eventLoop = stack.use(watchEventLoop(clock, cpuMs))
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
    origins: () => parts.origins.list(),
    partners: () => parts.partners.list(),
    certificateEndMs: listeners.certificateEndMs,
    plainHosts: plainHosts(config),
  })
  const health = stack.use(createHealth({ checks, clock, log: log.child({ part: 'health' }), emit: events.emit }))
  const metrics = createAgentMetrics({
    clock,
    version,
    startMs: clock.nowMs(),
    space,
    tasks,
    health,
    sliceStats: () => slices.stats(),
    images: (audience) => catalogue.counts(audience),
    uploadsActive: () => uploads.stats().unfinished,
    eventLoopDelayMsMax: () => eventLoop.delayMsMax(),
    residentBytes,
    lastRuns: () => {
      const scrub = maintenance.lastScrub()
      return { gc: maintenance.lastGc(), scrub: scrub && { endedMs: scrub.endedMs, findings: scrub.corrupt + scrub.missing + scrub.faults } }
    },
  })
  return { health, metrics }
}

function residentBytes(): number {
  return process.memoryUsage.rss()
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Counts the images in the recycle bin, and the most that purging them can free in bytes. */
function recycleBin(images: Iterable<Image>): { images: number; storedBytes: number } {
  const bin = { images: 0, storedBytes: 0 }
  for (const { status, storedSize } of images) {
    if (status !== 'deleted') continue
    bin.images++
    bin.storedBytes += storedSize ?? 0
  }
  return bin
}
