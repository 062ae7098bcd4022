// The states of a request for approval, and who may change them. Pure; approvals.ts applies it in a transaction of the bot's database.

/**
 * `waiting` → `approved` → `running` → an end. `changed`: the plan was another one when it was made again. `interrupted`: the bot was stopped while it ran, and
 * a part was carried out.
 */
export type ApprovalState = 'waiting' | 'approved' | 'running' | 'done' | 'failed' | 'changed' | 'interrupted' | 'denied' | 'cancelled' | 'expired'

/** How a run ended. */
export type RunEnd = 'done' | 'failed' | 'changed' | 'interrupted'

export type Decision = 'approve' | 'deny' | 'cancel'

/** What a decision looks at. */
export interface Decidable {
  readonly state: ApprovalState
  /** Slack id of the requester. */
  readonly requester: string
  readonly expiresMs: number
}

/** Why a decision is refused. `own`: nobody approves or denies what they requested. `not-own`: only the requester cancels. */
export type DecisionRefusal = 'own' | 'not-own' | 'expired' | 'decided'

/** Returns the state after a decision of this person, or why it is refused. The console, which has no id, may decide on everything. */
export function decide(
  { state, requester, expiresMs }: Decidable,
  decision: Decision,
  person: string | undefined,
  nowMs: number,
): ApprovalState | { readonly refused: DecisionRefusal } {
  if (state === 'expired' || (state === 'waiting' && nowMs >= expiresMs)) return { refused: 'expired' }
  if (state !== 'waiting') return { refused: 'decided' }
  const isOwn = person !== undefined && person === requester
  if (decision === 'cancel') return isOwn || person === undefined ? 'cancelled' : { refused: 'not-own' }
  if (isOwn) return { refused: 'own' }
  return decision === 'approve' ? 'approved' : 'denied'
}

/** Whether a request may start to run: once, and only until it expires, also when the bot was down meanwhile. */
export function mayStart({ state, expiresMs }: Decidable, nowMs: number): boolean {
  return state === 'approved' && nowMs < expiresMs
}

/** Whether nothing more happens with a request. */
export function isSettled(state: ApprovalState): boolean {
  return state !== 'waiting' && state !== 'approved' && state !== 'running'
}
