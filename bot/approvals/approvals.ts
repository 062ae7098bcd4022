// Requests for the approval of a second person, in the bot's database. Each change of a state and the card that shows it are one transaction, so a bot that is
// killed neither runs a request twice nor forgets it. The service runs what was approved (bot/slack/run-approvals.ts).

import { z } from 'zod'
import { roleSchema } from '../../protocol/access.ts'
import type { Role } from '../../protocol/access.ts'
import type { Outbox } from '../outbox/outbox.ts'
import type { BotDatabase } from '../system/database.ts'
import type { View } from '../../protocol/views/view.ts'
import { approvalCard } from './approval-card.ts'
import { decide, isSettled, mayStart } from './machine.ts'
import type { ApprovalState, Decision, DecisionRefusal, RunEnd } from './machine.ts'

/** How long a request can be approved, and must have started, in milliseconds. */
export const APPROVAL_LIFE_MS = 4 * 3_600_000
/** Requests of one person that wait at the same time. */
export const WAITING_PER_PERSON_MAX = 20
/** Requests that wait at the same time. */
export const WAITING_MAX = 200
/** Requests that have ended and are kept; the audit log keeps all of them. */
export const ENDED_KEPT = 500
/** Longest line that a request keeps, in characters. */
export const LINE_LENGTH_MAX = 65_536
/** Longest texts of a request, in characters; a longer one is cut. */
const TEXT_LENGTH_MAX = 2_000

/** Which deletions need a second person: `on` those that cannot be taken back, `strict` also those into a recycle bin. */
export type ApprovalRule = 'on' | 'strict' | 'off'

const subjectSchema = z.object({ kind: z.enum(['image', 'store']), store: z.string(), id: z.string(), name: z.string() })
/** What a request would delete. `id` is that of an image, or of a store when it is known. */
export type ApprovalSubject = z.infer<typeof subjectSchema>

const factsSchema = z.array(z.object({ label: z.string(), value: z.string() }))

/** What is requested. */
export interface ApprovalDraft {
  readonly title: string
  readonly question: string
  /** Why a second person is needed. */
  readonly reason: string
  /** The plan as it was shown: its figures and checks. */
  readonly facts: readonly { readonly label: string; readonly value: string }[]
  readonly subjects: readonly ApprovalSubject[]
  /** The command without confirmation, as people read it. */
  readonly command: string
  /** The line that runs, with the typed names and the hash of the plan. */
  readonly line: string
  /** The hash of the plan. */
  readonly plan: string
  /** The role that the command needs. */
  readonly role: Role
  /** Slack id and name of the person who asked. */
  readonly requester: string
  readonly requesterName: string
  /** The channel in which it was asked. */
  readonly channel: string
}

export interface Approval extends ApprovalDraft {
  readonly id: number
  readonly state: ApprovalState
  readonly requestedMs: number
  readonly expiresMs: number
  /** Slack id and name of who approved, denied or cancelled; empty before, and without an id for the console. */
  readonly decider: string
  readonly deciderName: string
  readonly decidedMs: number | null
  /** The reason of the decision. */
  readonly note: string
  readonly endedMs: number | null
  /** How it ended and what to do next, a sentence each; empty before. */
  readonly result: string
  readonly next: string
}

export type RequestOutcome = { readonly kind: 'requested' | 'known'; readonly approval: Approval } | { readonly kind: 'too-many' | 'too-long' }
export type DecisionOutcome =
  | { readonly kind: 'decided'; readonly approval: Approval }
  | { readonly kind: 'refused'; readonly why: DecisionRefusal; readonly approval: Approval }

/** Who decides: the console has no id. `note` is the reason of a decision. */
export interface Decider {
  readonly id: string | undefined
  readonly name: string
  readonly note?: string | undefined
}

/** How a run ended: sentences, and the answer of the command when there is one. */
export interface RunResult {
  readonly state: RunEnd
  readonly result: string
  readonly next: string
  readonly view?: View
}

export interface Approvals {
  readonly rule: ApprovalRule
  /** Records a request and queues its card. The same plan of the same person that still waits is returned instead. */
  request(draft: ApprovalDraft, nowMs: number): RequestOutcome
  find(id: number): Approval | undefined
  /** The newest requests first; without those that have ended unless `all`. */
  list(all: boolean): Approval[]
  /** Decides once; of several at the same time, one is told that it is decided. Undefined without such a request. */
  decide(id: number, decision: Decision, person: Decider, nowMs: number): DecisionOutcome | undefined
  /** Takes the oldest approved request for this run of the service; it is then `running`. */
  claim(run: string, nowMs: number): Approval | undefined
  /** Requests that another run of the service left `running`. */
  left(run: string): Approval[]
  /** Takes over a request that another run left; returns false if it has ended. */
  takeOver(id: number, run: string): boolean
  /** Ends a request that this run has; returns false if it has not. */
  end(id: number, run: string, result: RunResult, nowMs: number): boolean
  /** Expires what waited too long; returns it. */
  expire(nowMs: number): Approval[]
  /** Resolves at the next approval in this process. Another process may approve as well. */
  changed(): Promise<void>
}

interface Row {
  id: number
  state: ApprovalState
  title: string
  question: string
  reason: string
  facts: string
  subjects: string
  command: string
  line: string
  plan: string
  role: string
  requester: string
  requester_name: string
  channel: string
  requested_ms: number
  expires_ms: number
  decider: string
  decider_name: string
  decided_ms: number | null
  note: string
  ended_ms: number | null
  result: string
  next: string
}

type Insert = Pick<Row, 'title' | 'question' | 'reason' | 'facts' | 'subjects' | 'command' | 'line' | 'plan' | 'role' | 'requester' | 'channel'> & {
  requesterName: string
  now: number
  expires: number
}

/** Creates the requests on the bot's database; a change is durable when the call returns. */
export function createApprovals(database: BotDatabase, outbox: Pick<Outbox, 'put'>, rule: ApprovalRule): Approvals {
  const insert = database.query<Row, Insert>(
    `INSERT INTO approvals (state, title, question, reason, facts, subjects, command, line, plan, role, requester, requester_name, channel, requested_ms, expires_ms)
     VALUES ('waiting', $title, $question, $reason, $facts, $subjects, $command, $line, $plan, $role, $requester, $requesterName, $channel, $now, $expires)
     RETURNING *`,
  )
  const find = database.query<Row, { id: number }>('SELECT * FROM approvals WHERE id = $id')
  const open = database.query<Row, []>(`SELECT * FROM approvals WHERE state IN ('waiting', 'approved', 'running') ORDER BY id DESC`)
  const all = database.query<Row, []>('SELECT * FROM approvals ORDER BY id DESC')
  const settle = database.query<Row, { id: number; state: string; decider: string; name: string; now: number; note: string; ended: number | null }>(
    `UPDATE approvals SET state = $state, decider = $decider, decider_name = $name, decided_ms = $now, note = $note, ended_ms = $ended WHERE id = $id RETURNING *`,
  )
  const start = database.query<Row, { id: number; run: string }>("UPDATE approvals SET state = 'running', run = $run WHERE id = $id RETURNING *")
  const takeOver = database.query<Row, { id: number; run: string }>(
    "UPDATE approvals SET run = $run WHERE id = $id AND state = 'running' AND run <> $run RETURNING *",
  )
  const leftBy = database.query<Row, { run: string }>("SELECT * FROM approvals WHERE state = 'running' AND run <> $run ORDER BY id")
  const finish = database.query<Row, { id: number; run: string; state: string; result: string; next: string; now: number }>(
    `UPDATE approvals SET state = $state, result = $result, next = $next, ended_ms = $now WHERE id = $id AND run = $run AND state = 'running' RETURNING *`,
  )
  const pass = database.query<Row, { now: number }>(
    "UPDATE approvals SET state = 'expired', ended_ms = $now WHERE state IN ('waiting', 'approved') AND expires_ms <= $now RETURNING *",
  )
  const trim = database.query<null, { kept: number }>(
    `DELETE FROM approvals WHERE ended_ms IS NOT NULL AND id NOT IN (SELECT id FROM approvals WHERE ended_ms IS NOT NULL ORDER BY id DESC LIMIT $kept)`,
  )
  let next = Promise.withResolvers<void>()
  const show = (approval: Approval, nowMs: number, view?: View): void =>
    outbox.put({ key: `approval ${approval.id}`, channel: approval.channel, orElse: approval.requester, view: approvalCard(approval, nowMs, view) })
  const ended = (row: Row, nowMs: number, view?: View): Approval => {
    const approval = toApproval(row)
    show(approval, nowMs, view)
    trim.run({ kept: ENDED_KEPT })
    return approval
  }
  const opened = (): Approval[] => open.all().map(toApproval)

  const decideOnce = database.transaction((id: number, decision: Decision, person: Decider, nowMs: number): DecisionOutcome | undefined => {
    const found = find.get({ id })
    if (!found) return undefined
    const approval = toApproval(found)
    const state = decide(approval, decision, person.id, nowMs)
    if (typeof state !== 'string') return { kind: 'refused', why: state.refused, approval }
    const end = isSettled(state) ? nowMs : null
    const row = settle.get({ id, state, decider: person.id ?? '', name: person.name, now: nowMs, note: cut(person.note ?? ''), ended: end })
    if (!row) return undefined
    if (end !== null) return { kind: 'decided', approval: ended(row, nowMs) }
    const decided = toApproval(row)
    show(decided, nowMs)
    return { kind: 'decided', approval: decided }
  })

  return {
    rule,
    request: database.transaction((draft: ApprovalDraft, nowMs: number): RequestOutcome => {
      if (draft.line.length > LINE_LENGTH_MAX) return { kind: 'too-long' }
      const waiting = opened().filter(({ state, expiresMs }) => state === 'waiting' && nowMs < expiresMs)
      const own = waiting.filter(({ requester }) => requester === draft.requester)
      const known = own.find(({ line, channel }) => line === draft.line && channel === draft.channel)
      if (known) return { kind: 'known', approval: known }
      if (own.length >= WAITING_PER_PERSON_MAX || waiting.length >= WAITING_MAX) return { kind: 'too-many' }
      const { title, question, reason, command, line, plan, role, requester, requesterName, channel } = draft
      const texts = { title: cut(title), question: cut(question), reason: cut(reason), command: cut(command) }
      const lists = {
        facts: JSON.stringify(draft.facts.map(({ label, value }) => ({ label: cut(label), value: cut(value) }))),
        subjects: JSON.stringify(draft.subjects),
      }
      const row = insert.get({ ...texts, ...lists, line, plan, role, requester, requesterName, channel, now: nowMs, expires: nowMs + APPROVAL_LIFE_MS })
      if (!row) throw new Error('a request was not recorded')
      const approval = toApproval(row)
      show(approval, nowMs)
      return { kind: 'requested', approval }
    }).immediate,
    find(id) {
      const row = find.get({ id })
      return row ? toApproval(row) : undefined
    },
    list: (isAll) => (isAll ? all.all().map(toApproval) : opened()),
    decide(id, decision, person, nowMs) {
      const outcome = decideOnce.immediate(id, decision, person, nowMs)
      if (outcome?.kind === 'decided') {
        next.resolve()
        next = Promise.withResolvers<void>()
      }
      return outcome
    },
    claim: database.transaction((run: string, nowMs: number): Approval | undefined => {
      const first = opened().findLast((approval) => mayStart(approval, nowMs))
      const row = first && start.get({ id: first.id, run })
      if (!row) return undefined
      const approval = toApproval(row)
      show(approval, nowMs)
      return approval
    }).immediate,
    left: (run) => leftBy.all({ run }).map(toApproval),
    takeOver: (id, run) => takeOver.get({ id, run }) !== null,
    end: database.transaction((id: number, run: string, { state, result, next: then, view }: RunResult, nowMs: number): boolean => {
      const row = finish.get({ id, run, state, result: cut(result), next: cut(then), now: nowMs })
      if (row) ended(row, nowMs, view)
      return row !== null
    }).immediate,
    expire: database.transaction((nowMs: number): Approval[] => pass.all({ now: nowMs }).map((row) => ended(row, nowMs))).immediate,
    changed: () => next.promise,
  }
}

function toApproval(row: Row): Approval {
  const { id, state, title, question, reason, command, line, plan, requester, channel, decider, note, result, next } = row
  return {
    ...{ id, state, title, question, reason, command, line, plan, requester, channel, decider, note, result, next },
    role: roleSchema.parse(row.role),
    facts: factsSchema.parse(JSON.parse(row.facts)),
    subjects: z.array(subjectSchema).parse(JSON.parse(row.subjects)),
    requesterName: row.requester_name,
    requestedMs: row.requested_ms,
    expiresMs: row.expires_ms,
    deciderName: row.decider_name,
    decidedMs: row.decided_ms,
    endedMs: row.ended_ms,
  }
}

function cut(text: string): string {
  return text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX - 1).toWellFormed()}…` : text
}
