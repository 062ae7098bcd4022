// `approval approve|deny|cancel A`: decides on a request, once. What was approved is run by the service, which makes the plan again first.

import { makeProblem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import { approvalJson, approvalTone, approvalWord } from '../../approvals/approval-card.ts'
import type { Approval } from '../../approvals/approvals.ts'
import type { Decision, DecisionRefusal } from '../../approvals/machine.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import { defineCommand } from '../command.ts'
import type { Command, CommandContext } from '../command.ts'
import { problemView } from '../run.ts'
import { APPROVAL_TARGET, missingRole, oneApproval } from './find.ts'

export const approvalApprove = decision('approve', 'Approves what somebody else has requested; it then runs if its plan is still the same')
export const approvalDeny = decision('deny', 'Denies what somebody else has requested')
export const approvalCancel = decision('cancel', 'Cancels your own request')

const DONE: Record<Decision, string> = {
  approve: 'Its plan is made again, and it runs if the plan is the same. The card in the channel shows how it goes.',
  deny: 'Nothing was changed.',
  cancel: 'Nothing was changed.',
}

function decision(verb: Decision, summary: string): Command {
  return defineCommand({
    noun: 'approval',
    verb,
    summary,
    role: 'operator',
    effect: 'write',
    // The request itself takes one decision: a press that was refused must not use up the button.
    isRepeatable: true,
    targets: [APPROVAL_TARGET],
    options: { reason: { about: 'why; the card shows it', value: 'TEXT' } },
    examples: [`approval ${verb} 7`, `approval ${verb} 7 reason="as agreed"`],
    async run(context, { targets, options }) {
      const approval = oneApproval(context, targets[0] ?? '')
      const missing = verb === 'cancel' ? undefined : missingRole(context, approval)
      if (missing) return lackingRole(context, approval, verb, missing)
      const { id, name } = context.actor
      const outcome = context.approvals.decide(approval.id, verb, { id, name, note: options.reason }, context.clock.nowMs())
      if (outcome?.kind !== 'decided') return refused(context, outcome?.approval ?? approval, outcome?.why ?? 'decided')
      return decidedView(context, outcome.approval, verb)
    },
  })
}

function decidedView(context: CommandContext, approval: Approval, verb: Decision): View {
  const asOfMs = context.clock.nowMs()
  return makeView({
    title: `${approvalWord(approval.state)}: ${approval.title}`,
    text: DONE[verb],
    tone: approvalTone(approval.state),
    // The card of the request shows it to everyone in the channel.
    isPrivate: true,
    asOfMs,
    json: { ...approvalJson(approval), asOf: formatTime(asOfMs) },
  })
}

function lackingRole(context: CommandContext, { command, role }: Approval, verb: Decision, { where, has }: { where: string; has: string }): View {
  const what = command.split(' ').slice(0, 2).join(' ')
  const detail = `To ${verb} ${what} needs the role ${role} in ${where}; ${context.actor.name} has ${has}.`
  return problemView(context, makeProblem('forbidden', detail, { action: 'Ask an admin of the bot.' }), 'refused')
}

function refused(context: CommandContext, approval: Approval, why: DecisionRefusal): View {
  const { id, state, deciderName } = approval
  const problems = {
    own: makeProblem('forbidden', `Request ${id} is your own: somebody else must decide on it.`, {
      action: `To withdraw it, run approval cancel ${id}.`,
    }),
    'not-own': makeProblem('forbidden', `Request ${id} is of ${approval.requesterName}: only they can cancel it.`, {
      action: `To refuse it, run approval deny ${id}.`,
    }),
    expired: makeProblem('conflict', `Request ${id} has expired.`, { title: 'Expired', action: `Run the command again: ${approval.command}` }),
    decided: makeProblem(
      'conflict',
      `Request ${id} was decided already: ${approvalWord(state).toLowerCase()}${deciderName === '' ? '' : `, by ${deciderName}`}.`,
      {
        title: 'Decided already',
        action: `Look at it with approval show ${id}.`,
      },
    ),
  }
  return problemView(context, problems[why], 'refused')
}
