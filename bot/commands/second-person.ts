// Asks for the approval of a second person before something is destroyed that cannot be brought back. In Slack, and for people of Slack on the page: whoever runs the
// console owns the machine of the bot and could do everything without it.

import { roleIncludes } from '../../protocol/access.ts'
import type { Role } from '../../protocol/access.ts'
import { formatTime } from '../../protocol/time.ts'
import { approvalJson } from '../approvals/approval-card.ts'
import { WAITING_MAX, WAITING_PER_PERSON_MAX } from '../approvals/approvals.ts'
import type { Approval, ApprovalSubject } from '../approvals/approvals.ts'
import { formatAt } from '../../protocol/views/phrases.ts'
import { makeView } from '../../protocol/views/view.ts'
import type { View } from '../../protocol/views/view.ts'
import type { CommandContext } from './command.ts'
import { splitLine } from './line.ts'
import { quoteWord } from '../views/quote.ts'
import { parseWords } from './parse.ts'

/** Why a plan needs a second person. */
export interface ApprovalNeed {
  /** A sentence. */
  readonly reason: string
  readonly subjects: readonly ApprovalSubject[]
  /** It can be taken back for a while, so only the strict rule asks for a second person. */
  readonly isReversible?: boolean
}

/** A plan for which somebody typed the names. */
export interface AskedPlan {
  readonly title: string
  readonly question: string
  readonly names: readonly string[]
  readonly command: string
  readonly hash: string
  readonly facts: readonly { readonly label: string; readonly value: string }[]
  readonly need: ApprovalNeed
}

/** Whether a plan with this need waits for a second person here. A command that was approved runs. */
export function needsSecondPerson({ surface, actor, approval, approvals }: CommandContext, need: ApprovalNeed | undefined): need is ApprovalNeed {
  if (!need || (surface !== 'slack' && surface !== 'page') || actor.id === undefined || approval) return false
  return approvals.rule === 'strict' || (approvals.rule === 'on' && need.isReversible !== true)
}

/** Records the request and returns what the person who asked is told. The card in the channel is queued with the request. */
export function askSecondPerson(context: CommandContext, { title, question, names, command, hash, facts, need }: AskedPlan): View {
  const { actor, approvals, clock, channel } = context
  const line = [command, `--plan=${hash}`, ...names.map((name) => `--confirm ${quoteWord(name)}`)].join(' ')
  const role = roleOfLine(context, command)
  const requester = actor.id ?? ''
  const draft = { title, question, reason: need.reason, facts, subjects: need.subjects, command, line, plan: hash, role, requester, requesterName: actor.name }
  const asked = approvals.request({ ...draft, channel: channel ?? requester }, clock.nowMs())
  if (!('approval' in asked)) return refusedView(context, asked.kind)
  const { approval } = asked
  const asOfMs = clock.nowMs()
  const again = asked.kind === 'known' ? 'The same request waits already. ' : ''
  return makeView({
    outcome: 'refused',
    title: 'A second person must approve this',
    tone: 'warning',
    text: `${again}${need.reason} Request ${approval.id} waits until ${formatAt(approval.expiresMs)} for somebody else with the role ${role}. Nothing was changed.`,
    actions: [{ label: 'Cancel the request', command: `approval cancel ${approval.id}`, role: 'operator' }],
    notes: othersNote(context, approval),
    asOfMs,
    json: { approval: approvalJson(approval), asOf: formatTime(asOfMs) },
  })
}

function refusedView({ clock }: CommandContext, why: 'too-many' | 'too-long'): View {
  const asOfMs = clock.nowMs()
  const text =
    why === 'too-many'
      ? `At most ${WAITING_PER_PERSON_MAX} requests of one person and ${WAITING_MAX} of all wait at the same time. Cancel one of yours with approval cancel, or wait. Nothing was changed.`
      : 'The names together are too long for one request. Name fewer images. Nothing was changed.'
  return makeView({ outcome: 'refused', title: 'Not requested', tone: 'bad', text, asOfMs, json: { approval: null, asOf: formatTime(asOfMs) } })
}

function roleOfLine(context: CommandContext, command: string): Role {
  const parsed = parseWords(context.commands, splitLine(command) ?? [])
  return parsed.kind === 'command' ? parsed.command.role : 'admin'
}

/** Members of groups may approve as well, so a note appears only when neither a person nor a group has the role. */
function othersNote({ roles, actor }: CommandContext, { role }: Approval): string[] {
  const others = roles.list().some((grant) => grant.subject !== `user:${actor.id}` && roleIncludes(grant.role, role))
  return others
    ? []
    : [`Nobody else has the role ${role}. Give it to somebody with role grant, or run the command in the console, which needs no second person.`]
}
