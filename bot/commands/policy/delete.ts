// `policy delete P`: deletes a sync policy. The copies that it made stay.

import { formatTime } from '../../../protocol/time.ts'
import { policyWords } from '../../policies/policy.ts'
import { makeView } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import { gate } from '../destroy.ts'
import { onePolicy, POLICY_TARGET } from './find.ts'

export const policyDelete = defineCommand({
  noun: 'policy',
  verb: 'delete',
  summary: 'Deletes a sync policy with the record of its runs; the copies that it made stay',
  role: 'admin',
  effect: 'destroy',
  targets: [POLICY_TARGET],
  examples: ['policy delete two-copies --confirm two-copies'],
  run(context, input) {
    const policy = onePolicy(context, input.targets[0] ?? '')
    const refusal = gate(context, input, {
      title: `Delete the policy ${policy.name}`,
      names: [policy.name],
      question: `The policy ${policy.name}, which ${policyWords(policy)}, and the record of its runs would be deleted. The copies that it made stay, and nothing keeps their number any more.`,
      essence: [JSON.stringify([policy.rule, policy.scope, policy.labels, policy.kinds])],
      checklist: [],
      command: `policy delete ${policy.name}`,
    })
    if (refusal) return Promise.resolve(refusal)
    context.policies.remove(policy.name)
    const asOfMs = context.clock.nowMs()
    return Promise.resolve(
      makeView({
        title: `Deleted the policy ${policy.name}`,
        text: 'The copies that it made stay.',
        tone: 'good',
        asOfMs,
        json: { deleted: policy.name, asOf: formatTime(asOfMs) },
      }),
    )
  },
})
