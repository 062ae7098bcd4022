// `approval show A`: the plan of a request, who asked, and what was decided.

import { approvalCard } from '../../approvals/approval-card.ts'
import { defineCommand } from '../command.ts'
import { APPROVAL_TARGET, oneApproval } from './find.ts'

export const approvalShow = defineCommand({
  noun: 'approval',
  verb: 'show',
  summary: 'Shows the plan of a request for approval, and what was decided',
  role: 'operator',
  effect: 'read',
  targets: [APPROVAL_TARGET],
  examples: ['approval show 7'],
  async run(context, { targets }) {
    return approvalCard(oneApproval(context, targets[0] ?? ''), context.clock.nowMs())
  },
})
