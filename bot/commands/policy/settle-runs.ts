// Follows the tasks of runs and records how the runs ended.

import { syncResultSchema } from '../../../protocol/sync/sync.ts'
import type { SyncImage } from '../../../protocol/sync/sync.ts'
import type { Task } from '../../../protocol/task.ts'
import type { CommandContext } from '../command.ts'
import { copiesWords, isEnded } from '../../../protocol/views/phrases.ts'
import type { CopyFailure, PolicyRun, RunEnd } from '../../policies/runs.ts'

/** Failures that an ended run keeps; the rest is counted in its result. */
const FAILURES_KEPT_MAX = 20
/** Outcomes of an image that is in the target now. */
const COPIED: ReadonlySet<SyncImage['outcome']> = new Set(['copied', 'already-there', 'same-as'])
/** Least time that a store may be silent before its part of a run counts as failed, in milliseconds. */
const SILENCE_MS_MIN = 3_600_000

/** How a copy ended; undefined while it is in progress. */
type CopyEnd = { readonly kind: 'copied' } | { readonly kind: 'failed'; readonly reason: string; readonly action: string } | undefined

/** Asks for the tasks of every run that has ordered its copies, and ends the runs whose tasks have ended. */
export async function settleRuns(context: CommandContext): Promise<void> {
  for (const run of context.policyRuns.open()) if (run.isOrdered) await settleRun(context, run)
}

/** Ends one run if its tasks have ended. */
export async function settleRun(context: CommandContext, run: PolicyRun): Promise<void> {
  const tasks = new Map<string, TaskSeen>()
  const failures: CopyFailure[] = [...run.failures]
  for (const { name, target, imageId, taskId } of run.copies) {
    const key = `${target} ${taskId}`
    const seen = tasks.get(key) ?? (await seeTask(context, run, target, taskId ?? ''))
    tasks.set(key, seen)
    const end = 'task' in seen ? copyEnd(seen.task, imageId) : seen.end
    if (!end) return
    if (end.kind === 'failed') failures.push({ name, target, reason: end.reason, action: end.action })
  }
  endRun(context, run, outcomeOf(run, failures))
}

/** Records the end of a run, and appends it to the audit log unless another process has done so. */
export function endRun(context: CommandContext, run: PolicyRun, end: RunEnd): void {
  const { policyRuns: runs, audit, clock } = context
  if (!runs.end(run.id, end, clock.nowMs())) return
  audit.append({
    timeMs: clock.nowMs(),
    actor: run.actor,
    surface: run.cause === 'schedule' ? 'service' : context.surface,
    command: `policy run ${run.policy}`,
    target: run.policy,
    outcome: end.outcome === 'succeeded' ? 'done' : 'failed',
    detail: end.result,
  })
}

/** A task, or why it is not known. */
type TaskSeen = { readonly task: Task } | { readonly end: CopyEnd }

async function seeTask(context: CommandContext, run: PolicyRun, target: string, taskId: string): Promise<TaskSeen> {
  const failed = (reason: string, action: string): TaskSeen => ({ end: { kind: 'failed', reason, action } })
  const record = context.fleet.registry.find(target)
  if (!record) return failed(`${target} was removed from the registry.`, `Look at the policy with policy show ${run.policy}.`)
  const contact = await context.fleet.contact(record, (agent) => agent.tasks.get(taskId))
  if (contact.kind === 'answered') return { task: contact.value }
  if (contact.kind === 'refused') {
    const { status, detail, action } = contact.problem
    // A refusal that a restart explains passes by itself.
    return status === 503 || status === 429 ? { end: undefined } : failed(detail, action)
  }
  const graceMs = Math.max(SILENCE_MS_MIN, context.policies.find(run.policy)?.graceMs ?? SILENCE_MS_MIN)
  if (contact.asOfMs - contact.sinceMs < graceMs) return { end: undefined }
  return failed(`${target} does not answer: ${contact.reason}`, `Look at store health ${target}.`)
}

/** Returns how one image of a sync ended. In a task that failed, the other images may have been copied. */
export function copyEnd({ state, id, error, result }: Pick<Task, 'id' | 'state' | 'error' | 'result'>, imageId: string): CopyEnd {
  if (!isEnded(state)) return undefined
  if (state === 'succeeded') return { kind: 'copied' }
  const parsed = syncResultSchema.safeParse(result)
  const image = parsed.success ? parsed.data.images.find((one) => one.id === imageId) : undefined
  if (image && COPIED.has(image.outcome)) return { kind: 'copied' }
  const problem = image?.error ?? error
  if (problem) return { kind: 'failed', reason: problem.detail, action: problem.action }
  return { kind: 'failed', reason: `The task ${id} was cancelled.`, action: 'The next run copies the image.' }
}

function outcomeOf(run: PolicyRun, failures: readonly CopyFailure[]): RunEnd {
  const unmet = run.findings.filter(({ kind }) => kind === 'unmet')
  const copied = run.copies.length - failures.filter(({ name, target }) => run.copies.some((copy) => copy.name === name && copy.target === target)).length
  const [failure] = failures
  const [finding] = unmet
  const parts = [
    copied > 0 ? `${copiesWords(copied)} made` : '',
    run.removed > 0 ? `${copiesWords(run.removed)} removed` : '',
    failure ? `${failures.length} not: ${failure.name} in ${failure.target}: ${failure.reason}` : '',
    finding ? `not met: ${finding.text}${unmet.length > 1 ? ` ${unmet.length - 1} more findings.` : ''}` : '',
  ].filter((part) => part !== '')
  return {
    outcome: failure || finding ? 'failed' : 'succeeded',
    result: parts.length === 0 ? (run.findings[0]?.text ?? 'Nothing to copy') : parts.join('; '),
    action: failure?.action ?? finding?.action ?? '',
    failures: failures.slice(0, FAILURES_KEPT_MAX),
  }
}
