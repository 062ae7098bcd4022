// `policy run P`: runs a sync policy now. With `dry-run` it only shows the plan; with `removes` it also removes copies that the policy does not ask
// for, after an admin has seen the plan and typed the name of the policy.

import { roleIncludes } from '../../../protocol/access.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatDuration } from '../../../protocol/units.ts'
import type { PlannedRemoval, PolicyPlan } from '../../policies/plan.ts'
import type { Policy } from '../../policies/policy.ts'
import { planFor, startRun } from './start-run.ts'
import type { StartedRun } from './start-run.ts'
import { settleRun, settleRuns } from './settle-runs.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import { asSentence, copiesWords, formatAt, formatBytes, plural } from '../../../protocol/views/phrases.ts'
import type { CommandContext, CommandInput } from '../command.ts'
import { defineCommand } from '../command.ts'
import { gate } from '../destroy.ts'
import { REMOVAL_MS } from '../plan-promises.ts'
import { tasksView } from '../task/task-view.ts'
import { onePolicy, POLICY_TARGET } from './find.ts'
import { runJson } from './policy-rows.ts'
import { policyView } from './show.ts'

/** Removals that the question names; the rest is counted. */
const NAMED_MAX = 10

export const policyRun = defineCommand({
  noun: 'policy',
  verb: 'run',
  summary: 'Runs a sync policy now; it copies, and removes only with --removes',
  role: 'operator',
  effect: 'destroy',
  destroysWith: 'removes',
  targets: [POLICY_TARGET],
  flags: {
    'dry-run': 'shows the plan and changes nothing',
    removes: 'also removes copies that the policy does not ask for; needs the role admin and the typed name of the policy',
  },
  examples: ['policy run two-copies --dry-run', 'policy run two-copies', 'policy run two-copies --removes --confirm two-copies'],
  async run(context, input) {
    const policy = onePolicy(context, input.targets[0] ?? '')
    const removes = input.flags.has('removes')
    if (removes && !roleIncludes(context.actor.role, 'admin'))
      throw problem('forbidden', `Removing copies needs the role admin; ${context.actor.name} has ${context.actor.role}.`, {
        action: 'Ask an admin to run it.',
      })
    await settleRuns(context)
    if (input.flags.has('dry-run')) return policyView(context, `Plan of ${policy.name}`, policy, await planFor(context, policy, removes))
    const plan = removes ? await planFor(context, policy, true) : undefined
    const refusal = plan && plan.removals.length > 0 ? confirmRemovals(context, input, policy, plan) : undefined
    if (refusal) return refusal
    const started = await startRun(context, policy, 'command', plan?.removals)
    if (!started) {
      const [open] = context.policyRuns.open(policy.name)
      throw problem('conflict', `${policy.name} is running${open ? ` since ${formatAt(open.startedMs)}` : ''}.`, {
        action: `Wait until it has ended: policy show ${policy.name}. task cancel ends one of its syncs.`,
      })
    }
    return startedView(context, policy, started)
  },
})

function confirmRemovals(context: CommandContext, input: Pick<CommandInput, 'confirm' | 'plan'>, policy: Policy, plan: PolicyPlan): View | undefined {
  const named = plan.removals.slice(0, NAMED_MAX).map(removalWords)
  const more = plan.removals.length > named.length ? ` and ${plan.removals.length - named.length} more` : ''
  return gate(context, input, {
    title: `Run ${policy.name} and remove copies`,
    names: [policy.name],
    question: `${copiesWords(plan.removals.length)} would be removed: ${named.join('; ')}${more}. ${copiesWords(plan.copies.length)} would be made.`,
    essence: [
      ...plan.removals.map(({ key, store, keepers }) => `${store} ${key}, kept in ${keepers.map((keeper) => keeper.store).join(', ')}`),
      ...plan.copies.map(({ key, target }) => `${key} to ${target}`),
    ],
    promises: [
      {
        label: 'Removed',
        value: `${plural(plan.removals.length, 'copy', 'copies')} in ${plural(new Set(plan.removals.map(({ store }) => store)).size, 'store')}`,
      },
      {
        label: 'Copied',
        value: `${copiesWords(plan.copies.length)}, at most ${formatBytes(plan.copies.reduce((sum, { bytes }) => sum + bytes, 0))}`,
      },
      {
        label: 'Duration',
        value: `about ${formatDuration(Math.max(1000, plan.removals.length * REMOVAL_MS))} for the removals; policy show tells how the copies go`,
        isEstimate: true,
      },
    ],
    checklist: [{ label: 'Other copies', passed: true, detail: 'each image keeps the copies that this and the other policies ask for' }],
    command: `policy run ${policy.name} --removes`,
    notes: plan.findings.map(({ text, action }) => `${text} ${action}`),
  })
}

function removalWords({ name, store, keepers }: PlannedRemoval): string {
  return `${name} in ${store} (stays in ${keepers.map((keeper) => keeper.store).join(', ')})`
}

async function startedView(context: CommandContext, policy: Policy, { run, tasks }: StartedRun): Promise<View> {
  if (run.endedMs === null) await settleRun(context, run)
  const now = context.policyRuns.list(policy.name).find(({ id }) => id === run.id) ?? run
  const asOfMs = context.clock.nowMs()
  const notes = [
    ...now.findings.map(({ text, action }) => `${text} ${action}`),
    ...now.failures.map(({ name, target, reason, action }) => `${name} in ${target}: ${reason} ${action}`),
  ]
  if (tasks.length > 0) return tasksView(`Run of ${policy.name}`, tasks, asOfMs, notes)
  const hasFailed = now.outcome === 'failed'
  return makeView({
    title: `Run of ${policy.name}`,
    ...(hasFailed ? { outcome: 'failed' as const, tone: 'bad' as const } : { tone: 'good' as const }),
    text: asSentence(now.result),
    notes,
    asOfMs,
    json: { policy: policy.name, ...runJson(now, context.actor), asOf: formatTime(asOfMs) },
  })
}
