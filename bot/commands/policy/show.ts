// `policy show P`: a policy, what it would do now, and its last runs. Nothing is changed.

import { formatTime } from '../../../protocol/time.ts'
import type { PolicyPlan } from '../../policies/plan.ts'
import type { Policy } from '../../policies/policy.ts'
import { planFor } from './start-run.ts'
import { settleRuns } from './settle-runs.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import type { CommandContext } from '../command.ts'
import { defineCommand } from '../command.ts'
import { onePolicy, POLICY_TARGET } from './find.ts'
import { PLAN_COLUMNS, planJson, planNotes, planRows, planWords, policyFields, policyJson, runJson } from './policy-rows.ts'

export const policyShow = defineCommand({
  noun: 'policy',
  verb: 'show',
  summary: 'Shows a sync policy, what it would copy now, and its last runs',
  // The plan names images that viewers may not see.
  role: 'operator',
  effect: 'read',
  targets: [POLICY_TARGET],
  examples: ['policy show two-copies'],
  async run(context, { targets }) {
    const policy = onePolicy(context, targets[0] ?? '')
    await settleRuns(context)
    return policyView(context, `Policy ${policy.name}`, policy, await planFor(context, policy, false))
  },
})

/** A policy with its plan as an answer. */
export function policyView({ policyRuns, actor, clock }: CommandContext, title: string, policy: Policy, plan: PolicyPlan): View {
  const runs = policyRuns.list(policy.name)
  const asOfMs = clock.nowMs()
  const rows = planRows(plan)
  return makeView({
    title,
    tone: plan.findings.some(({ kind }) => kind === 'unmet') ? 'warning' : 'good',
    text: planWords(plan),
    fields: policyFields(policy, runs, asOfMs),
    columns: rows.length === 0 ? [] : PLAN_COLUMNS,
    rows,
    notes: planNotes(plan),
    actions: [
      { label: 'Run now', command: `policy run ${policy.name}`, role: 'operator', style: 'primary' },
      policy.paused
        ? { label: 'Resume', command: `policy resume ${policy.name}`, role: 'admin' }
        : { label: 'Pause', command: `policy pause ${policy.name}`, role: 'admin' },
    ],
    asOfMs,
    json: {
      ...policyJson(policy, runs, actor, asOfMs),
      plan: planJson(plan),
      runs: runs.map((run) => runJson(run, actor)),
      asOf: formatTime(asOfMs),
    },
  })
}
