// `policy add P`: adds a sync policy and shows its plan. Nothing is copied before its first time, or before `policy run`.

import { problem } from '../../../protocol/problems.ts'
import { planFor } from './start-run.ts'
import { defineCommand } from '../command.ts'
import { POLICY_DEFAULTS, POLICY_OPTIONS, policyName, readPolicyOptions, requireSound } from './options.ts'
import { policyView } from './show.ts'

export const policyAdd = defineCommand({
  noun: 'policy',
  verb: 'add',
  summary: 'Adds a sync policy and shows what it would copy; it copies at its next time',
  role: 'admin',
  effect: 'write',
  targets: [{ name: 'P', about: 'name of the new policy', subject: 'text' }],
  options: POLICY_OPTIONS,
  examples: ['policy add two-copies keep=2 zone=zone-1 label=env=production', 'policy add follow-hub follow=hub store=edge-a cron="*/30 * * * *"'],
  async run(context, { targets, options }) {
    const name = policyName(targets[0] ?? '')
    const { rule, ...given } = readPolicyOptions(context, options)
    if (!rule) throw problem('invalid-input', 'policy add needs keep= or follow=.', { action: 'Add keep=2 for two copies of each image, or follow=STORE.' })
    const nowMs = context.clock.nowMs()
    const policy = {
      scope: { kind: 'all' as const },
      labels: [],
      kinds: [],
      ...POLICY_DEFAULTS,
      ...given,
      rule,
      name,
      paused: false,
      createdMs: nowMs,
      anchorMs: nowMs,
    }
    requireSound(policy, nowMs)
    context.policies.add(policy)
    const view = policyView(context, `Policy ${name} added`, policy, await planFor(context, policy, false))
    return { ...view, notes: [...view.notes, `Nothing was copied yet: policy run ${name} starts it now. The bot's service runs policies at their times.`] }
  },
})
