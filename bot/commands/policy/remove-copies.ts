// Removes the copies that an admin has confirmed. Each one is checked again right before it is removed.

import { problem } from '../../../protocol/problems.ts'
import type { CommandContext } from '../command.ts'
import { askStore, orUndefined } from '../select.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import type { PlannedRemoval } from '../../policies/plan.ts'
import { LEASE_MS } from '../../policies/runs.ts'
import type { CopyFailure, PolicyRun } from '../../policies/runs.ts'

/** Deletes copies as `image delete` does, one after the other, and records each in the audit log. Returns those that were not removed. */
export async function removeCopies(context: CommandContext, run: PolicyRun, removals: readonly PlannedRemoval[]): Promise<CopyFailure[]> {
  const { policyRuns: runs, clock, audit, actor } = context
  const failures: CopyFailure[] = []
  let removed = 0
  for (const removal of removals) {
    try {
      await requireKeepers(context, removal)
      for (const id of removal.imageIds) await removeOne(context, removal, id)
      removed++
      const command = `policy run ${run.policy} --removes`
      const detail = `Removed the copy of ${removal.name} in ${removal.store}`
      audit.append({ timeMs: clock.nowMs(), actor: actor.name, surface: context.surface, command, target: removal.store, outcome: 'done', detail })
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error
      failures.push({ name: removal.name, target: removal.store, reason: error.problem.detail, action: error.problem.action })
    }
    runs.change(run.id, { removed, failures, leaseMs: clock.nowMs() + LEASE_MS })
  }
  return failures
}

/** Throws `conflict` unless every copy that stays is still there and undamaged. */
async function requireKeepers(context: CommandContext, { name, store, keepers }: PlannedRemoval): Promise<void> {
  for (const keeper of keepers) {
    const record = context.fleet.registry.find(keeper.store)
    const image = record && (await askStore(context, record, (agent) => orUndefined(agent.images.get(keeper.imageId))))
    if (image?.status !== 'available')
      throw problem('conflict', `${keeper.store} has no undamaged copy of ${name} any more, so the one in ${store} stays.`, {
        action: 'Look at the plan again with policy show.',
      })
  }
}

async function removeOne(context: CommandContext, { store }: PlannedRemoval, id: string): Promise<void> {
  const record = context.fleet.registry.find(store)
  if (!record) throw problem('not-found', `${store} was removed meanwhile.`)
  // The agent refuses an image that is protected or in use. One that is gone needs no removal.
  await askStore(context, record, (agent) => orUndefined(agent.images.delete(id)))
}
