// The application of an agent with state in memory and a manual clock. It runs on any runtime.

import type { Hono } from 'hono'
import { audienceOf } from '../../../agent/access/readable.ts'
import { openAccess } from '../../../agent/access/access.ts'
import type { FileBrowser } from '../../../agent/contract/browse.ts'
import type { HealthCheck } from '../../../agent/contract/health.ts'
import type { EventLog, TaskBoard } from '../../../agent/contract/work.ts'
import { createHealth } from '../../../agent/health/health.ts'
import { createMetrics } from '../../../agent/health/metrics.ts'
import { createShownTasks } from '../../../agent/tasks/shown-tasks.ts'
import { createApp } from '../../../agent/http/app.ts'
import type { AppEnvironment } from '../../../agent/http/environment.ts'
import type { Route } from '../../../agent/http/route.ts'
import { accessRoutes } from '../../../agent/http/routes/access.ts'
import { createStoreStates } from '../../../agent/http/events/store-state.ts'
import { evidenceRoutes } from '../../../agent/http/routes/evidence.ts'
import { eventRoutes } from '../../../agent/http/routes/events.ts'
import { fileRoutes } from '../../../agent/http/routes/files.ts'
import { healthRoutes, shownHealth } from '../../../agent/http/routes/health.ts'
import { metricsRoutes } from '../../../agent/http/routes/metrics.ts'
import { openApiRoutes } from '../../../agent/http/routes/openapi.ts'
import { pageRoutes } from '../../../agent/http/routes/page.tsx'
import { scheduleRoutes } from '../../../agent/http/routes/schedules.ts'
import { describeStore, storeRoutes } from '../../../agent/http/routes/store.ts'
import type { StoreRoutesDeps } from '../../../agent/http/routes/store.ts'
import { taskRoutes } from '../../../agent/http/routes/tasks.ts'
import { Schedules } from '../../../agent/schedule/schedules.ts'
import { openStoreSettings } from '../../../agent/system/settings/store-settings.ts'
import { ROLES } from '../../../protocol/access.ts'
import type { Role } from '../../../protocol/access.ts'
import { createManualClock } from './manual-clock.ts'
import type { ManualClock } from './manual-clock.ts'
import { createMemoryFiles } from './memory-files.ts'
import { MEMORY_IMAGE, memoryImage } from './memory-image.ts'
import { createMemoryLog } from './memory-log.ts'
import type { MemoryLog } from './memory-log.ts'
import { createMemoryEventLog, createMemoryKeptValues, createMemoryTasks } from './memory-state.ts'

export interface MemoryApp extends AsyncDisposable {
  readonly app: Hono<AppEnvironment>
  readonly routes: readonly Route[]
  readonly clock: ManualClock
  readonly log: MemoryLog
  readonly events: EventLog
  readonly tasks: TaskBoard
  /** A token of each role. */
  readonly tokens: Readonly<Record<Role, string>>
  /** Ends everything that a stopping agent ends. */
  stop(): void
  /** Sends a request with the token of a role, or without a token. A string as body is JSON. */
  ask(path: string, options?: RequestInit & { readonly role?: Role }): Promise<Response>
}

export interface MemoryAppOptions {
  readonly checks?: readonly HealthCheck[]
  readonly routes?: readonly Route[]
  readonly files?: FileBrowser
  /** Origins of pages that may call cross-origin routes. */
  readonly origins?: readonly string[]
}

const WELL: HealthCheck = { name: 'mount-path', isVital: true, measure: () => ({ state: 'ok', measured: 'there', limit: null, impact: '', action: '' }) }

/** Creates an application with its store, tasks, events, schedules, access and files. */
export async function createMemoryApp(options: MemoryAppOptions = {}): Promise<MemoryApp> {
  const clock = createManualClock()
  const log = createMemoryLog()
  const kept = createMemoryKeptValues()
  const events = createMemoryEventLog(clock)
  const tasks = createMemoryTasks(clock)
  const files = options.files ?? createMemoryFiles({ 'store.json': new TextEncoder().encode('{"a":1}'), 'images/big': new Uint8Array(3_000_000).fill(7) })
  const { emit } = events
  let admin = ''
  let isReady = false
  // Events of the setup are not part of the events of a test.
  const access = await openAccess({
    kept,
    clock,
    emit: (event) => isReady && emit(event),
    configuredSecret: undefined,
    writeFirstSecret: async (secret) => void (admin = secret),
  })
  const maker = { name: 'test', role: 'admin' } as const
  const tokens = { admin } as Record<Role, string>
  for (const role of ROLES) if (role !== 'admin') tokens[role] = (await access.tokens.create({ name: `the ${role}`, role }, maker)).token

  isReady = true

  for (const kind of ['cleanup', 'scrub', 'expire'] as const)
    tasks.register(kind, async (params, { signal }) => {
      if (kind !== 'scrub') return { params }
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
  const start = (kind: 'cleanup' | 'scrub' | 'expire') => (createdBy: string) => tasks.start({ kind, subject: 'test', createdBy, params: {}, key: kind })
  const schedules = Schedules.open({
    configured: { cleanup: '17 3 * * *', scrub: '41 1 * * 0', expire: '*/10 * * * *' },
    timezone: 'UTC',
    jobs: { cleanup: start('cleanup'), scrub: start('scrub'), expire: start('expire') },
    tasks,
    kept,
    clock,
    log,
    emit,
  })
  schedules.start()
  const health = createHealth({ checks: options.checks ?? [WELL], clock, log, emit })
  const stopping = new AbortController()
  const metrics = createMetrics()
  const requests = metrics.counter('requests_total', 'Requests by route and status.')
  const named = (name: string) => (name === MEMORY_IMAGE || name === 'debian' ? [memoryImage()] : [])
  const images = { named, find: (id: string) => named(id)[0] }
  const exports = { find: () => undefined }

  const findImage = (id: string) => (id === MEMORY_IMAGE ? memoryImage() : undefined)
  const store: StoreRoutesDeps = {
    clock,
    emit,
    settings: openStoreSettings({
      kept,
      configured: { name: 'edge-a', description: '', imagesEnabled: true, reservedBytes: 0, deletion: 'delayed', retentionMs: 259_200_000 },
    }),
    health,
    facts: {
      id: '11111111-2222-4333-8444-555555555555',
      mount: '/srv/slipway',
      zone: 'zone-1',
      scope: 'zone',
      version: '0.0.0',
      transfer: { uploadConcurrency: 1, downloadConcurrency: 1 },
    },
    publicKey: 'k'.repeat(43),
    partners: () => [],
    origins: () => [{ name: 'hub', url: 'https://hub.example:8420', state: 'reachable' }],
    space: { state: async () => ({ totalBytes: 1000, freeBytes: 400, reservedBytes: 100, promisedBytes: 50, availableBytes: 250 }) },
    sliceStats: () => ({ slices: 3, storedBytes: 200 }),
    images: async () => ({
      available: 1,
      deleted: 0,
      other: 0,
      imageBytes: 600,
      usage: { total: { count: 1, length: 600, storedSize: 200 }, byKind: { disk: { count: 1, length: 600, storedSize: 200 } } },
    }),
    uploadsActive: () => 0,
    traffic: () => ({ received: 900, served: 1200, sinceMs: 5000 }),
    scrubbedMs: () => null,
    cleanup: (dryRun, createdBy) => tasks.start({ kind: 'cleanup', subject: 'test', createdBy, params: { dryRun } }),
  }
  const shownTasks = createShownTasks({ tasks, live: [] })
  const readState = createStoreStates({
    events,
    health: (actor) => shownHealth({ health, findImage }, actor),
    store: (actor) => describeStore(store, audienceOf(actor)),
    tasks: shownTasks,
    findImage,
  })
  const routes: Route[] = [
    ...healthRoutes({ health, findImage }),
    ...storeRoutes(store),
    ...taskRoutes({ tasks: shownTasks, findImage, clock }),
    ...scheduleRoutes({ schedules }),
    ...evidenceRoutes({ evidence: { collect: () => Promise.resolve({ name: 'evidence.tar.gz', bytes: new Uint8Array([31, 139]) }) } }),
    ...eventRoutes({ events, clock, stopping: stopping.signal, isTokenValid: (id) => access.tokens.find(id) !== undefined, findImage, readState }),
    ...accessRoutes({ images, exports, tokens: access.tokens, links: access.links, revokeLink: async (id, actor) => void access.links.revoke(id, actor) }),
    ...fileRoutes({ files, clock, findImage }),
    ...metricsRoutes({ metrics }),
    ...pageRoutes({ storeId: store.facts.id, storeName: () => 'edge-a', sessions: access.page, clock, routes: () => routes }),
    ...openApiRoutes({ version: '0.0.0', routes: () => routes }),
    ...(options.routes ?? []),
  ]
  const app = createApp({
    routes,
    authenticator: access.authenticator,
    log,
    clock,
    origins: options.origins ?? [],
    observe: ({ route, status }) => requests.add(1, { route, status: String(status) }),
  })

  return {
    app,
    routes,
    clock,
    log,
    events,
    tasks,
    tokens,
    stop: () => stopping.abort(),
    async ask(path, { role, ...init } = {}) {
      const headers = new Headers(init.headers)
      if (role !== undefined) headers.set('authorization', `Bearer ${tokens[role]}`)
      if (typeof init.body === 'string' && !headers.has('content-type')) headers.set('content-type', 'application/json')
      return app.request(path, { ...init, headers })
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      schedules[Symbol.dispose]()
      health[Symbol.dispose]()
    },
  }
}
