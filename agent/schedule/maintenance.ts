// The tasks that schedules run: cleanup, gc, scrub and expire. Their last results are saved for health and metrics.

import { z } from 'zod'
import type { ScheduleName } from '../../protocol/schedule.ts'
import type { Task } from '../../protocol/task.ts'
import type { Clock } from '../contract/runtime.ts'
import type { GcReport, ScrubReport, SliceMaintenance } from '../contract/slices.ts'
import type { KeptValues } from '../contract/store.ts'
import type { EmitEvent, TaskContext, Tasks } from '../contract/work.ts'

const GC_KEY = 'last-gc'
const SCRUB_KEY = 'last-scrub'
/** Key of the last repair of images that left nothing damaged, as `{ endedMs }`. */
export const HEALED_KEY = 'last-heal'
/** Most slices and roots of a report that are listed in the result of a task; the rest are counted. */
const REPORTED_MAX = 100

const lastGcSchema = z.object({ endedMs: z.number(), freedBytes: z.number() }).nullable().catch(null)
const lastScrubSchema = z
  .object({ endedMs: z.number(), corrupt: z.number(), missing: z.number(), faults: z.number(), damagedRoots: z.array(z.string()) })
  .nullable()
  .catch(null)

/** When a repair left nothing damaged. */
const healedSchema = z.object({ endedMs: z.number() }).nullable().catch(null)

const dryRunSchema = z.object({ dryRun: z.boolean().default(false) })

export interface MaintenanceDeps {
  readonly tasks: Tasks
  readonly slices: Pick<SliceMaintenance, 'gc' | 'scrub'>
  readonly images: {
    prune(options: { readonly dryRun: boolean; readonly signal?: AbortSignal }): Promise<{
      readonly purged: readonly { readonly id: string; readonly name: string }[]
      readonly failed: readonly { readonly id: string; readonly reason: string }[]
    }>
    /** Marks images as degraded or as no longer damaged after a scrub. */
    applyScrub(findings: { readonly damagedRoots: readonly string[]; readonly startedAtMs: number }): Promise<void>
  }
  /** Removes expired uploads and syncs, and returns them as names of roots; a dry run returns what would be removed. */
  readonly uploads: { expire(options: { readonly dryRun: boolean; readonly signal?: AbortSignal }): Promise<readonly string[]> }
  readonly scrubBytesPerSecond: number
  /** Name of the store, the subject of these tasks. */
  readonly subject: string
  readonly kept: KeptValues
  readonly clock: Clock
  readonly emit: EmitEvent
}

export interface Maintenance {
  /** Starts the task of each schedule. */
  readonly jobs: Readonly<Record<ScheduleName, (createdBy: string) => Promise<Task>>>
  /** Prunes the recycle bin, expires uploads and runs gc, in this order; a dry run reports what that would do. */
  cleanup(dryRun: boolean, createdBy: string): Promise<Task>
  lastGc(): z.infer<typeof lastGcSchema>
  lastScrub(): z.infer<typeof lastScrubSchema>
}

/** Registers the runners of the maintenance tasks, and returns the functions that start them. */
export function createMaintenance(deps: MaintenanceDeps): Maintenance {
  const { tasks, subject, uploads } = deps
  tasks.register('cleanup', (params, context) => runCleanup(deps, dryRunSchema.parse(params).dryRun, context))
  tasks.register('gc', (params, context) => runGc(deps, dryRunSchema.parse(params).dryRun, context))
  tasks.register('scrub', (_params, context) => runScrub(deps, context))
  tasks.register('expire', async (_params, { signal, progress }) => {
    const removed = (await uploads.expire({ dryRun: false, signal })).length
    progress(removed, removed, 'uploads')
    return { removed }
  })

  const cleanup = (dryRun: boolean, createdBy: string): Promise<Task> =>
    // A dry run changes nothing, so it may run in parallel with a real one.
    tasks.start({ kind: 'cleanup', subject, createdBy, params: { dryRun }, key: dryRun ? 'cleanup-dry-run' : 'cleanup' })
  const start = (kind: 'scrub' | 'expire') => (createdBy: string) => tasks.start({ kind, subject, createdBy, params: {}, key: kind })
  return {
    jobs: { cleanup: (createdBy) => cleanup(false, createdBy), scrub: start('scrub'), expire: start('expire') },
    cleanup,
    lastGc: () => lastGcSchema.parse(deps.kept.read(GC_KEY) ?? null),
    lastScrub: () => withoutHealed(lastScrubSchema.parse(deps.kept.read(SCRUB_KEY) ?? null), healedSchema.parse(deps.kept.read(HEALED_KEY) ?? null)),
  }
}

/** Returns the findings of a scrub without those of images, if a repair that left nothing damaged ended after it. */
function withoutHealed(scrub: z.infer<typeof lastScrubSchema>, healed: z.infer<typeof healedSchema>): z.infer<typeof lastScrubSchema> {
  if (!scrub || !healed || healed.endedMs < scrub.endedMs || !scrub.damagedRoots.every((root) => root.startsWith('image '))) return scrub
  return { ...scrub, corrupt: 0, missing: 0, damagedRoots: [] }
}

async function runCleanup(deps: MaintenanceDeps, dryRun: boolean, context: TaskContext): Promise<Record<string, unknown>> {
  const { purged, failed } = await deps.images.prune({ dryRun, signal: context.signal })
  const expired = await deps.uploads.expire({ dryRun, signal: context.signal })
  // A dry run has removed nothing, so gc is given what a real run would have removed.
  const gc = await runGc(deps, dryRun, context, dryRun ? new Set([...purged.map(({ id }) => `image ${id}`), ...expired]) : undefined)
  return {
    ...gc,
    expired: expired.slice(0, REPORTED_MAX),
    expiredCount: expired.length,
    purged: purged.slice(0, REPORTED_MAX).map(({ id, name }) => ({ id, name })),
    purgedCount: purged.length,
    failed: failed.slice(0, REPORTED_MAX),
  }
}

async function runGc(deps: MaintenanceDeps, dryRun: boolean, context: TaskContext, without?: ReadonlySet<string>): Promise<Record<string, unknown>> {
  const { slices, kept, clock, emit, subject } = deps
  const onProgress = (done: number, total: number | null): void => context.progress(done, total, 'slices')
  const report: GcReport = await slices.gc({ dryRun, signal: context.signal, onProgress, ...(without ? { without } : {}) })
  if (!dryRun) {
    kept.write(GC_KEY, { endedMs: clock.nowMs(), freedBytes: report.freedBytes })
    if (report.freedBytes > 0)
      emit({ type: 'gc.freed', severity: 'info', subject, message: `gc freed ${report.freedBytes} bytes.`, details: { taskId: context.taskId, ...report } })
  }
  return { ...report }
}

async function runScrub(deps: MaintenanceDeps, context: TaskContext): Promise<Record<string, unknown>> {
  const { slices, images, kept, clock, emit, subject, scrubBytesPerSecond } = deps
  const startedAtMs = clock.nowMs()
  const report: ScrubReport = await slices.scrub({
    bytesPerSecond: scrubBytesPerSecond,
    signal: context.signal,
    onProgress: (done, total) => context.progress(done, total, 'bytes'),
  })
  const { corrupt, missing, faults, damagedRoots } = report
  // A repair that begins with the first image that is marked ends after this time.
  const endedMs = clock.nowMs()
  await images.applyScrub({ damagedRoots, startedAtMs })
  kept.write(SCRUB_KEY, {
    endedMs,
    corrupt: corrupt.length,
    missing: missing.length,
    faults: faults.length,
    damagedRoots: damagedRoots.slice(0, REPORTED_MAX),
  })
  if (corrupt.length + missing.length + faults.length > 0)
    emit({
      type: 'scrub.damage',
      severity: 'error',
      subject,
      message: `scrub found ${corrupt.length} corrupt and ${missing.length} missing slices and ${faults.length} other faults; ${damagedRoots.length} images or uploads need them.`,
      details: { taskId: context.taskId, damagedRoots: damagedRoots.slice(0, REPORTED_MAX), faults: faults.slice(0, REPORTED_MAX) },
    })
  return {
    slices: report.slices,
    bytes: report.bytes,
    corruptCount: corrupt.length,
    corrupt: corrupt.slice(0, REPORTED_MAX),
    missingCount: missing.length,
    missing: missing.slice(0, REPORTED_MAX),
    faults: faults.slice(0, REPORTED_MAX),
    damagedRoots: damagedRoots.slice(0, REPORTED_MAX),
  }
}
