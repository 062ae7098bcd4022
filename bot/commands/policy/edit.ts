// `policy edit P`: changes a sync policy and shows its new plan.

import { problem } from '../../../protocol/problems.ts'
import { planFor } from './start-run.ts'
import { defineCommand } from '../command.ts'
import { onePolicy, POLICY_TARGET } from './find.ts'
import { POLICY_OPTIONS, policyName, readPolicyOptions, requireSound } from './options.ts'
import { policyView } from './show.ts'

export const policyEdit = defineCommand({
  noun: 'policy',
  verb: 'edit',
  summary: 'Changes a sync policy and shows what it would copy; it copies at its next time',
  role: 'admin',
  effect: 'write',
  targets: [POLICY_TARGET],
  options: { name: { about: 'new name', value: 'NAME' }, ...POLICY_OPTIONS },
  examples: ['policy edit two-copies keep=3', 'policy edit follow-hub cron="*/10 * * * *"', 'policy edit two-copies zone='],
  async run(context, { targets, options }) {
    const before = onePolicy(context, targets[0] ?? '')
    if (Object.keys(options).length === 0)
      throw problem('invalid-input', 'policy edit needs something to change.', {
        action: `Add at least one of ${['name', ...Object.keys(POLICY_OPTIONS)].map((key) => `${key}=`).join(', ')}.`,
      })
    const { name, ...others } = options
    const nowMs = context.clock.nowMs()
    const given = { ...readPolicyOptions(context, others), ...(name === undefined ? {} : { name: policyName(name) }) }
    // Times that the old expression missed are not made up for by the new one.
    const isMoved = given.cron !== undefined || given.timezone !== undefined
    const change = { ...given, ...(isMoved ? { anchorMs: nowMs } : {}) }
    const wanted = { ...before, ...change }
    requireSound(wanted, nowMs)
    const policy = context.policies.change(before.name, change) ?? wanted
    return policyView(context, `Policy ${policy.name} changed`, policy, await planFor(context, policy, false))
  },
})
