// Runs a policy: record the run → ask the stores → plan → record the copies → order each sync → record its task → follow the tasks → record how it
// ended. A process that is killed in between leaves a run that has not ended; the next one plans again with fresh facts and goes on. A sync that was
// ordered without being recorded is ordered again, which returns the running task.

import { problem, ProblemError } from '../../../protocol/problems.ts'
import type { Problem } from '../../../protocol/problems.ts'
import type { CommandContext } from '../command.ts'
import { orderSync } from '../image/copy/order-sync.ts'
import type { FollowedTask } from '../../../protocol/views/view.ts'
import { gatherFacts } from '../../policies/facts.ts'
import { removeCopies } from './remove-copies.ts'
import { planPolicy } from '../../policies/plan.ts'
import type { PlannedCopy, PlannedRemoval, PolicyPlan } from '../../policies/plan.ts'
import type { Policy } from '../../policies/policy.ts'
import { LEASE_MS } from '../../policies/runs.ts'
import type { CopyFailure, OrderedCopy, PolicyRun } from '../../policies/runs.ts'
import { endRun } from './settle-runs.ts'

/** Most images of one sync. An agent of an earlier version stops a sync at the first image that it cannot copy. */
const SYNC_BATCH_MAX = 20

/** A run that was started, and the tasks that it ordered. */
export interface StartedRun {
  readonly run: PolicyRun
  readonly tasks: readonly FollowedTask[]
}

/** Asks the stores and plans a policy. Copies that other runs have ordered count as coming. Throws `limit-reached`. */
export async function planFor(context: CommandContext, policy: Policy, removes: boolean, own?: PolicyRun): Promise<PolicyPlan> {
  const { policies, policyRuns: runs, fleet, clock } = context
  const facts = await gatherFacts(fleet, policy, clock.nowMs())
  // A copy of this run that no store has accepted yet is planned again.
  const coming = runs.open().flatMap((run) => run.copies.filter(({ taskId }) => taskId !== null || run.id !== own?.id))
  const others = policies.list().filter(({ name }) => name !== policy.name)
  return planPolicy({ policy, facts, others, removes, coming: coming.map(({ imageId, target }) => ({ imageId, store: target })) })
}

/** Starts a run; undefined while one of the policy has not ended. `removals` are removed first. */
export async function startRun(
  context: CommandContext,
  policy: Policy,
  cause: PolicyRun['cause'],
  removals: readonly PlannedRemoval[] = [],
): Promise<StartedRun | undefined> {
  const { policyRuns: runs, clock, actor } = context
  const run = runs.begin({ policy: policy.name, cause, actor: actor.name }, clock.nowMs())
  if (!run) return undefined
  const failures = removals.length > 0 ? await removeCopies(context, run, removals) : []
  return orderCopies(context, policy, run, failures)
}

/** Plans a run that is recorded, and orders what it has not ordered yet. */
export async function orderCopies(context: CommandContext, policy: Policy, run: PolicyRun, removalFailures: readonly CopyFailure[] = []): Promise<StartedRun> {
  const { policyRuns: runs, clock } = context
  const tasks: FollowedTask[] = []
  try {
    const plan = await planFor(context, policy, false, run)
    const copies: OrderedCopy[] = run.copies.filter(({ taskId }) => taskId !== null)
    const failures: CopyFailure[] = [...removalFailures]
    const batches = batchesOf(plan.copies, failedNames(context, policy))
    const record = (left: readonly PlannedCopy[][]): void => {
      const planned = left.flat().map((copy) => toOrdered(copy, null))
      const state = { copies: [...copies, ...planned], failures, findings: plan.findings, isOrdered: left.length === 0 }
      runs.change(run.id, { ...state, leaseMs: clock.nowMs() + LEASE_MS })
    }
    record(batches)
    for (const [i, batch] of batches.entries()) {
      const ordered = await orderBatch(context, batch)
      if ('problem' in ordered)
        failures.push(...batch.map(({ name, target }) => ({ name, target, reason: ordered.problem.detail, action: ordered.problem.action })))
      else {
        tasks.push(ordered)
        copies.push(...batch.map((copy) => toOrdered(copy, ordered.task.id)))
      }
      record(batches.slice(i + 1))
    }
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    endRun(context, run, { outcome: 'failed', result: error.problem.detail, action: error.problem.action, failures: [] })
  }
  return { run: runs.list(policy.name).find(({ id }) => id === run.id) ?? run, tasks }
}

/** One sync for each pair of source and target, of bounded length. An image that failed in the last run gets a sync of its own. */
function batchesOf(copies: readonly PlannedCopy[], failed: ReadonlySet<string>): PlannedCopy[][] {
  const batches: PlannedCopy[][] = []
  const filling = new Map<string, PlannedCopy[]>()
  for (const copy of copies) {
    const isAlone = failed.has(`${copy.target} ${copy.name}`)
    const pair = `${copy.sources[0]?.store ?? ''} ${copy.target}`
    const open = isAlone ? undefined : filling.get(pair)
    if (open && open.length < SYNC_BATCH_MAX) open.push(copy)
    else {
      const batch = [copy]
      batches.push(batch)
      if (!isAlone) filling.set(pair, batch)
    }
  }
  return batches
}

function failedNames({ policyRuns: runs }: CommandContext, policy: Policy): ReadonlySet<string> {
  const last = runs.list(policy.name).find(({ endedMs }) => endedMs !== null)
  return new Set(last?.failures.map(({ target, name }) => `${target} ${name}`))
}

async function orderBatch(context: CommandContext, batch: readonly PlannedCopy[]): Promise<FollowedTask | { problem: Problem }> {
  const { registry } = context.fleet
  const [first] = batch
  const source = registry.find(first?.sources[0]?.store ?? '')
  const target = registry.find(first?.target ?? '')
  try {
    if (!source || !target) throw problem('not-found', `${first?.sources[0]?.store} or ${first?.target} was removed meanwhile.`)
    const images = batch.flatMap(({ sources }) => sources.slice(0, 1).map(({ imageId }) => imageId))
    const others = otherSources(batch).flatMap((name) => registry.find(name) ?? [])
    return await orderSync(context, { source, others, target, images })
  } catch (error) {
    if (error instanceof ProblemError) return { problem: error.problem }
    throw error
  }
}

/** The stores, besides the first source, that have every image of a batch under the same id. */
function otherSources(batch: readonly PlannedCopy[]): string[] {
  const has = ({ sources }: PlannedCopy, store: string): boolean => sources.some((one) => one.store === store && one.imageId === sources[0]?.imageId)
  const names = batch[0]?.sources.slice(1).map(({ store }) => store) ?? []
  return names.filter((name) => batch.every((copy) => has(copy, name)))
}

function toOrdered({ name, target, sources }: PlannedCopy, taskId: string | null): OrderedCopy {
  const [from] = sources
  return { name, target, source: from?.store ?? '', imageId: from?.imageId ?? '', taskId }
}
