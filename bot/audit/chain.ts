// The hash chain of the audit log: each row has the SHA-256 of its columns and of the hash of the row before it. A row that is changed, removed,
// inserted or moved therefore no longer matches the rows after it. Pure.

/** Columns of a row that its hash covers, in the order of the canonical encoding. */
export interface AuditRow {
  /** 1 for the first row; without gaps. */
  readonly seq: number
  readonly timeMs: number
  /** Name of the person with the Slack id in parentheses, the user of the machine, or the part of the bot. */
  readonly actor: string
  /** Role of the actor when the row was written; empty when none was decided. */
  readonly role: string
  /** `console`, `slack` or `service`. */
  readonly surface: string
  /** Slack channel; empty outside of Slack. */
  readonly channel: string
  /** How the command came: `typed`, `button`, `form` or `confirmation`; empty for work of the service. */
  readonly via: string
  /** `read`, `write` or `destroy`; `reveal` for a read that showed a secret; `decision` for what is no command. */
  readonly effect: string
  /** The command as typed, secrets as `***`. */
  readonly command: string
  readonly target: string
  /** `begun` before a write, `asked` when a name or a form is missing, else how it ended. */
  readonly outcome: string
  readonly detail: string
  /** The row in which this write began; 0 when there is none. */
  readonly begunSeq: number
}

/** A row with its hash, 64 hex digits. */
export interface ChainedRow extends AuditRow {
  readonly hash: string
}

/** The last row of the chain: its number and its hash. */
export interface ChainHead {
  readonly seq: number
  readonly hash: string
}

/** What the hash of the first row covers in place of an earlier hash. */
export const CHAIN_START: ChainHead = { seq: 0, hash: '0'.repeat(64) }

/** First member of the encoding: a later encoding gets another name. */
const ENCODING = 'slipway-audit-1'

/** Returns the hash of a row: SHA-256 of a JSON array, whose strings and numbers have one spelling each. */
export function rowHash(previous: string, row: AuditRow): string {
  const { seq, timeMs, actor, role, surface, channel, via, effect, command, target, outcome, detail, begunSeq } = row
  const columns = [ENCODING, previous, seq, timeMs, actor, role, surface, channel, via, effect, command, target, outcome, detail, begunSeq]
  return new Bun.CryptoHasher('sha256').update(JSON.stringify(columns)).digest('hex')
}

/** What is wrong with a chain. `seq` is the first row that does not fit. */
export type ChainFault =
  /** The columns or the hash of the row are not those that were written, or another row is in its place. */
  | { readonly kind: 'changed'; readonly seq: number }
  /** Rows from `seq` to `to` are not there. */
  | { readonly kind: 'missing'; readonly seq: number; readonly to: number }
  /** The row has a number that no row of the bot has. */
  | { readonly kind: 'added'; readonly seq: number }
  /** The row that was recorded as the last one has another hash, or is not recorded. */
  | { readonly kind: 'head'; readonly seq: number }

/** Returns the first fault of rows that follow `before`; undefined when each continues the chain. */
export function findFault(before: ChainHead, rows: readonly ChainedRow[]): ChainFault | undefined {
  let { seq, hash } = before
  for (const row of rows) {
    if (row.seq <= seq) return { kind: 'added', seq: row.seq }
    if (row.seq > seq + 1) return { kind: 'missing', seq: seq + 1, to: row.seq - 1 }
    if (rowHash(hash, row) !== row.hash) return { kind: 'changed', seq: row.seq }
    seq = row.seq
    hash = row.hash
  }
  return undefined
}

/** Returns what is wrong with the end of a chain: `last` is its last row, `head` what was recorded as the last one. */
export function findEndFault(last: ChainHead, head: ChainHead | undefined): ChainFault | undefined {
  if (!head) return { kind: 'head', seq: last.seq }
  if (last.seq < head.seq) return { kind: 'missing', seq: last.seq + 1, to: head.seq }
  if (last.seq > head.seq) return { kind: 'added', seq: head.seq + 1 }
  return last.hash === head.hash ? undefined : { kind: 'head', seq: head.seq }
}
