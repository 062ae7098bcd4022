// The metrics of an agent, and where their values come from.

import { checkStateSchema, healthStateSchema } from '../../protocol/health.ts'
import type { HealthBoard } from '../contract/health.ts'
import type { Audience } from '../contract/images.ts'
import type { Clock } from '../contract/runtime.ts'
import type { SliceStats } from '../contract/slices.ts'
import type { Space, SpaceState } from '../contract/space.ts'
import type { TaskBoard } from '../contract/work.ts'
import { createMetrics } from './metrics.ts'
import type { Metrics } from './metrics.ts'

/** Upper bounds of the buckets of request durations in seconds. */
const DURATION_BOUNDS: readonly number[] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600, 3600]

/** How long the file system may take to report its space, in milliseconds; after that its metrics are omitted. */
const SPACE_MS_MAX = 2000

export interface AgentMetricsDeps {
  readonly clock: Clock
  readonly version: string
  readonly startMs: number
  readonly space: Pick<Space, 'state'>
  readonly tasks: Pick<TaskBoard, 'counts'>
  readonly health: Pick<HealthBoard, 'current'>
  readonly sliceStats: () => Pick<SliceStats, 'slices' | 'storedBytes' | 'packs' | 'packBytes' | 'quarantined'>
  readonly images: (audience: Audience | undefined) => {
    readonly available: number
    readonly deleted: number
    readonly other: number
    readonly damaged: number
    readonly imageBytes: number
  }
  readonly uploadsActive: () => number
  readonly eventLoopDelayMsMax: () => number
  readonly residentBytes: () => number
  /** End of the last gc and scrub in milliseconds since 1970, with their results; null before the first. */
  readonly lastRuns: () => {
    readonly gc: { readonly endedMs: number; readonly freedBytes: number } | null
    readonly scrub: { readonly endedMs: number; readonly findings: number } | null
  }
}

export interface AgentMetrics {
  readonly metrics: Metrics
  /** For the application's `observe`. */
  observeRequest(request: { readonly method: string; readonly route: string; readonly status: number; readonly seconds: number }): void
  /** Counts bytes of image content received by uploads, imports and syncs. */
  countReceived(bytes: number): void
  /** Counts bytes of image content sent. */
  countServed(bytes: number): void
  /** Returns what was counted since the start. */
  traffic(): { readonly received: number; readonly served: number; readonly sinceMs: number }
}

/** Creates the registry of an agent with all its metrics. */
export function createAgentMetrics(deps: AgentMetricsDeps): AgentMetrics {
  const metrics = createMetrics()
  const requests = metrics.counter('slipway_http_requests_total', 'Requests answered, by method, route and status.')
  const durations = metrics.histogram('slipway_http_request_duration_seconds', 'Time from the request to the head of its answer, by route.', DURATION_BOUNDS)
  const received = metrics.counter('slipway_content_received_bytes_total', 'Bytes of image content received.')
  const served = metrics.counter('slipway_content_served_bytes_total', 'Bytes of image content served.')
  received.add(0)
  served.add(0)
  const traffic = { received: 0, served: 0 }
  addStoreReadings(metrics, deps)
  addProcessReadings(metrics, deps)
  return {
    metrics,
    observeRequest({ method, route, status, seconds }) {
      // Methods come from clients: each unusual one would be a series of its own.
      const known = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/.test(method) ? method : 'other'
      requests.add(1, { method: known, route, status: String(status) })
      durations.observe(seconds, { route })
    },
    countReceived(bytes) {
      received.add(bytes)
      traffic.received += bytes
    },
    countServed(bytes) {
      served.add(bytes)
      traffic.served += bytes
    },
    traffic: () => ({ ...traffic, sinceMs: deps.startMs }),
  }
}

function addStoreReadings(metrics: Metrics, deps: AgentMetricsDeps): void {
  const gauge = (name: string, help: string, read: (audience: Audience | undefined) => number | Promise<number>): void =>
    metrics.reading(name, help, 'gauge', async (audience) => [{ value: await read(audience) }])
  const space = boundedSpace(deps)
  gauge('slipway_space_total_bytes', 'Size of the file system of the mount path.', async () => (await space()).totalBytes)
  gauge('slipway_space_free_bytes', 'Free bytes of the file system of the mount path.', async () => (await space()).freeBytes)
  gauge('slipway_space_reserved_bytes', 'Bytes kept free.', async () => (await space()).reservedBytes)
  gauge('slipway_space_available_bytes', 'Free bytes above the reserve and the promises to running transfers.', async () => (await space()).availableBytes)
  gauge('slipway_slices', 'Slices stored.', () => deps.sliceStats().slices)
  gauge('slipway_slices_stored_bytes', 'Bytes of slices as stored.', () => deps.sliceStats().storedBytes)
  gauge('slipway_slices_quarantined', 'Slices in quarantine.', () => deps.sliceStats().quarantined)
  gauge('slipway_packs', 'Packs on disk.', () => deps.sliceStats().packs)
  gauge('slipway_packs_bytes', 'Bytes of packs on disk.', () => deps.sliceStats().packBytes)
  gauge('slipway_uploads_active', 'Unfinished uploads.', deps.uploadsActive)
  const byLabel = (name: string, help: string, label: string, read: (audience: Audience | undefined) => Readonly<Record<string, number>>): void =>
    metrics.reading(name, help, 'gauge', (audience) => Object.entries(read(audience)).map(([key, value]) => ({ value, labels: { [label]: key } })))
  gauge('slipway_images_bytes', 'Length of all images as files.', (audience) => deps.images(audience).imageBytes)
  gauge('slipway_images_damaged', 'Images that are damaged, recycle bin excluded.', (audience) => deps.images(audience).damaged)
  byLabel('slipway_images', 'Images by status.', 'status', (audience) => {
    const { available, deleted, other } = deps.images(audience)
    return { available, deleted, other }
  })
  byLabel('slipway_tasks', 'Tasks by state.', 'state', () => deps.tasks.counts())
  const last = (name: string, help: string, read: () => number | undefined): void =>
    metrics.reading(name, help, 'gauge', () => {
      const value = read()
      return value === undefined ? [] : [{ value }]
    })
  last('slipway_gc_last_end_timestamp_seconds', 'End of the last gc.', () => seconds(deps.lastRuns().gc?.endedMs))
  last('slipway_gc_last_freed_bytes', 'Bytes that the last gc freed.', () => deps.lastRuns().gc?.freedBytes)
  last('slipway_scrub_last_end_timestamp_seconds', 'End of the last scrub.', () => seconds(deps.lastRuns().scrub?.endedMs))
  last('slipway_scrub_last_findings', 'Corrupt and missing slices that the last scrub found.', () => deps.lastRuns().scrub?.findings)
}

function addProcessReadings(metrics: Metrics, deps: AgentMetricsDeps): void {
  metrics.reading('slipway_health_state', 'State of the store: 1 for the current state.', 'gauge', async () => {
    const { state } = await deps.health.current()
    return healthStateSchema.options.map((option) => ({ value: option === state ? 1 : 0, labels: { state: option } }))
  })
  metrics.reading('slipway_health_check', 'Result of each check: 1 for the current result.', 'gauge', async () => {
    const { checks } = await deps.health.current()
    return checks.flatMap(({ name, state }) =>
      checkStateSchema.options.map((option) => ({ value: option === state ? 1 : 0, labels: { check: name, state: option } })),
    )
  })
  metrics.reading('slipway_event_loop_delay_seconds_max', 'Longest delay of the event loop in the last 10 to 20 seconds.', 'gauge', () => [
    { value: deps.eventLoopDelayMsMax() / 1000 },
  ])
  metrics.reading('process_resident_memory_bytes', 'Resident memory of the agent.', 'gauge', () => [{ value: deps.residentBytes() }])
  metrics.reading('process_start_time_seconds', 'Start of the agent.', 'gauge', () => [{ value: deps.startMs / 1000 }])
  metrics.reading('slipway_build_info', 'Version of the agent; the value is always 1.', 'gauge', () => [{ value: 1, labels: { version: deps.version } }])
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000
}

/** Returns a function that reads the space once for all concurrent callers; rejects when the file system does not answer in time. */
function boundedSpace({ space, clock }: AgentMetricsDeps): () => Promise<SpaceState> {
  let looking: Promise<SpaceState> | undefined
  const look = (): Promise<SpaceState> => (looking ??= space.state().finally(() => (looking = undefined)))
  return () => {
    const patience = new AbortController()
    const late = clock.sleep(SPACE_MS_MAX, patience.signal).then(() => {
      throw new Error('the file system does not answer')
    })
    return Promise.race([look(), late]).finally(() => patience.abort())
  }
}
