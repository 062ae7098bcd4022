// The task `reconcile`: compares the catalogue with the mount path, reports what differs, and runs the actions that were requested. Each search yields
// findings one by one, so memory does not depend on how many there are. An action runs when its finding is found again, so nothing is done to
// what changed since the report, and a task that is repeated after a restart does nothing twice.

import { z } from 'zod'
import { ProblemError } from '../../protocol/problems.ts'
import { FINDINGS_LISTED_MAX, reconcileRequestSchema } from '../../protocol/reconcile.ts'
import type { FindingKind, ReconcileResult } from '../../protocol/reconcile.ts'
import type { Task } from '../../protocol/task.ts'
import type { CrashPoint } from '../contract/runtime.ts'
import type { EmitEvent, TaskContext, Tasks } from '../contract/work.ts'
import { findExports } from './find-exports.ts'
import type { ExportSearchDeps } from './find-exports.ts'
import { findFiles } from './find-files.ts'
import type { FileSearchDeps } from './find-files.ts'
import { findImages } from './find-images.ts'
import type { ImageSearchDeps } from './find-images.ts'
import { findUploads } from './find-uploads.ts'
import type { UploadSearchDeps } from './find-uploads.ts'
import type { FoundFinding } from './finding.ts'

export type ReconcileOrder = z.output<typeof reconcileRequestSchema>

export interface ReconcileDeps
  extends FileSearchDeps, UploadSearchDeps, ExportSearchDeps, Omit<ImageSearchDeps, 'instances' | 'signal' | 'onProgress' | 'clock'> {
  readonly clock: FileSearchDeps['clock']
  readonly tasks: Pick<Tasks, 'register' | 'start'>
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  /** Name of the store, the subject of the tasks. */
  readonly subject: string
}

export interface Reconcile {
  /** Starts the task, or returns the one that runs for the same order. */
  start(order: ReconcileOrder, createdBy: string): Promise<Task>
}

const paramsSchema = reconcileRequestSchema.extend({ actor: z.string() })

/** Registers the task `reconcile`. */
export function createReconcile(deps: ReconcileDeps): Reconcile {
  const { tasks, subject } = deps
  tasks.register('reconcile', async (params, context) => ({ ...(await run(deps, paramsSchema.parse(params), context)) }))
  return {
    start: ({ apply, instances }, createdBy) => {
      const params = { apply: [...new Set(apply)].toSorted(), ...(instances && { instances: [...new Set(instances)].toSorted() }) }
      const key = `reconcile ${Bun.hash.xxHash64(JSON.stringify(params)).toString(16)}`
      return tasks.start({ kind: 'reconcile', subject, createdBy, params: { ...params, actor: createdBy }, key })
    },
  }
}

async function run(deps: ReconcileDeps, { apply, instances, actor }: z.output<typeof paramsSchema>, context: TaskContext): Promise<ReconcileResult> {
  const requested = new Set(apply)
  const counts: Partial<Record<FindingKind, number>> = {}
  const result: ReconcileResult = { findings: [], counts, applied: [], absent: [] }
  const images = {
    ...deps,
    instances: instances && new Set(instances),
    signal: context.signal,
    onProgress: (done: number, total: number) => context.progress(done, total, 'images'),
  }
  for (const findings of [findFiles(deps), findUploads(deps), findExports(deps), findImages(images)]) {
    for await (const found of findings) {
      context.signal.throwIfAborted()
      if (requested.delete(found.finding.id)) {
        result.applied.push(await applied(deps, found, actor))
        continue
      }
      counts[found.finding.kind] = (counts[found.finding.kind] ?? 0) + 1
      if (result.findings.length < FINDINGS_LISTED_MAX) result.findings.push(found.finding)
    }
  }
  return { ...result, absent: [...requested] }
}

/** Runs an action. A refusal is reported and does not end the task; a broken disk ends it. */
async function applied(
  { emit, crashPoint, subject }: ReconcileDeps,
  { finding, run: act }: FoundFinding,
  actor: string,
): Promise<ReconcileResult['applied'][number]> {
  const { id, kind, target, action } = finding
  try {
    const detail = await act(actor)
    crashPoint('reconcile:applied')
    emit({ type: 'store.reconciled', severity: 'info', subject, message: `${finding.what} ${detail}`, actor, details: { kind, target, action } })
    return { id, kind, target, action, outcome: 'done', detail }
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    return { id, kind, target, action, outcome: 'refused', detail: error.problem.detail }
  }
}
