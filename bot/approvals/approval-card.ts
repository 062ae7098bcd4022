// The card of a request for approval: what would be done, why a second person is needed, until when, and how it ended.

import { formatTime } from '../../protocol/time.ts'
import { asSentence, formatAt } from '../../protocol/views/phrases.ts'
import { makeView } from '../../protocol/views/view.ts'
import type { Action, Field, Tone, View } from '../../protocol/views/view.ts'
import type { Approval } from './approvals.ts'
import type { ApprovalState } from './machine.ts'

const STATE_WORDS: Record<ApprovalState, string> = {
  waiting: 'Waiting for approval',
  approved: 'Approved, starts now',
  running: 'Approved, running',
  done: 'Done',
  failed: 'Failed',
  changed: 'Not run: the plan has changed',
  interrupted: 'Interrupted',
  denied: 'Denied',
  cancelled: 'Cancelled',
  expired: 'Expired, not run',
}
const STATE_TONES: Record<ApprovalState, Tone> = {
  waiting: 'warning',
  approved: 'plain',
  running: 'plain',
  done: 'good',
  failed: 'bad',
  changed: 'warning',
  interrupted: 'bad',
  denied: 'warning',
  cancelled: 'plain',
  expired: 'warning',
}

/** The state in words. */
export function approvalWord(state: ApprovalState): string {
  return STATE_WORDS[state]
}

export function approvalTone(state: ApprovalState): Tone {
  return STATE_TONES[state]
}

/** The card; `view` is the answer of the command once it has run. */
export function approvalCard(approval: Approval, nowMs: number, view?: View): View {
  const { id, state, title, next } = approval
  return makeView({
    title: `${STATE_WORDS[state]}: ${title}`,
    text: stateText(approval),
    tone: STATE_TONES[state],
    fields: [
      { label: 'Request', value: String(id) },
      { label: 'Asked by', value: `${approval.requesterName}, ${formatAt(approval.requestedMs)}` },
      ...decisionFields(approval),
      ...(view ? [] : approval.facts),
      ...(next === '' ? [] : [{ label: 'Next', value: next }]),
    ],
    columns: view?.columns ?? [],
    rows: view?.rows ?? [],
    notes: view?.notes ?? (isDirect(approval) && state === 'waiting' ? [DIRECT_NOTE.replace('ID', String(id))] : []),
    actions: state === 'waiting' ? decisionActions(approval) : (view?.actions ?? []),
    ...(state === 'changed' && view?.confirm ? { confirm: view.confirm } : {}),
    asOfMs: nowMs,
    json: approvalJson(approval),
  })
}

const DIRECT_NOTE = 'It was asked in a direct message, where nobody else sees it: give somebody the line approval approve ID, or ask in a channel.'

function isDirect({ channel }: Approval): boolean {
  return /^[DUW]/.test(channel)
}

function stateText(approval: Approval): string {
  const { state, question, reason, role, note, result, deciderName, expiresMs } = approval
  switch (state) {
    case 'waiting':
      return `${question} ${reason} Somebody else with the role ${role} must approve it until ${formatAt(expiresMs)}.`
    case 'approved':
    case 'running':
      return `${question} ${deciderName} approved it${noteWords(note)} The plan is made again; it runs only if it is the same.`
    case 'denied':
      return `${deciderName} denied it${noteWords(note)} Nothing was changed.`
    case 'cancelled':
      return `${deciderName} cancelled it${noteWords(note)} Nothing was changed.`
    case 'expired':
      return `It did not start until ${formatAt(expiresMs)}. Nothing was changed. Run the command again to ask again.`
    case 'done':
    case 'failed':
    case 'changed':
    case 'interrupted':
      return result
  }
}

function noteWords(note: string): string {
  return note === '' ? '.' : `: ${asSentence(note)}`
}

function decisionFields({ state, deciderName, decidedMs }: Approval): Field[] {
  if (decidedMs === null) return []
  const label = state === 'denied' ? 'Denied by' : state === 'cancelled' ? 'Cancelled by' : 'Approved by'
  return [{ label, value: `${deciderName}, ${formatAt(decidedMs)}` }]
}

/** The buttons of a request that waits. */
export function decisionActions({ id, role }: Approval): Action[] {
  return [
    { label: 'Approve', command: `approval approve ${id}`, role, style: 'primary' },
    { label: 'Deny', command: `approval deny ${id}`, role, style: 'danger' },
    { label: 'Cancel', command: `approval cancel ${id}`, role: 'operator' },
  ]
}

/** A request for `--json`. */
export function approvalJson(approval: Approval): Record<string, unknown> {
  const { id, state, title, question, reason, command, plan, role, requesterName, channel, deciderName, note, result, next } = approval
  return {
    ...{ id, state, title, question, reason, command, role, channel, note, result, next },
    planHash: plan,
    plan: approval.facts,
    subjects: approval.subjects,
    requestedBy: requesterName,
    requestedAt: formatTime(approval.requestedMs),
    expiresAt: formatTime(approval.expiresMs),
    decidedBy: deciderName,
    decidedAt: approval.decidedMs === null ? null : formatTime(approval.decidedMs),
    endedAt: approval.endedMs === null ? null : formatTime(approval.endedMs),
  }
}
