// The audit log: one row for each command, press and submission, and for each decision of the bot. Rows form a hash chain (chain.ts); the last row is
// recorded in a table of its own. Rows never contain secrets.

import type { BotDatabase } from '../system/database.ts'
import { CHAIN_START, rowHash } from './chain.ts'
import type { AuditRow, ChainedRow, ChainHead } from './chain.ts'

/** Longest texts of a row in characters; a longer text is cut. They bound what one request can add to the log. */
export const COMMAND_LENGTH_MAX = 2000
export const DETAIL_LENGTH_MAX = 1000
const NAME_LENGTH_MAX = 200

/** A row to append; columns that are left out are empty. */
export type AuditDraft = Pick<AuditRow, 'timeMs' | 'actor' | 'surface' | 'command' | 'target' | 'outcome' | 'detail'> &
  Partial<Pick<AuditRow, 'role' | 'channel' | 'via' | 'effect' | 'begunSeq'>>

export interface AuditFilter {
  /** Parts of the column, in any case. */
  readonly actor?: string | undefined
  readonly target?: string | undefined
  readonly command?: string | undefined
  readonly outcome?: string | undefined
  readonly sinceMs?: number | undefined
  readonly untilMs?: number | undefined
  /** Only rows before this one. */
  readonly before?: number | undefined
  /** Whether questions, and reads that were answered and showed no secret, are listed. */
  readonly reads?: boolean | undefined
  readonly limit: number
}

/** Rows in their order, and the recorded head at that moment; undefined when it was removed. */
export interface AuditPage {
  readonly rows: ChainedRow[]
  readonly head: ChainHead | undefined
}

export interface Audit {
  /** Appends a row and returns its number. Durable when it returns; rows of other processes never come between. */
  append(draft: AuditDraft): number
  /** The newest rows first. A write that has ended is one row. */
  list(filter: AuditFilter): ChainedRow[]
  /** Rows after `seq`, oldest first; undefined for all rows from the first. */
  page(seq: number | undefined, limit: number): AuditPage
  /** The recorded head; undefined when it was removed. */
  head(): ChainHead | undefined
}

const COLUMNS = `seq, time_ms AS timeMs, actor, role, surface, channel, via, effect, command, target, outcome, detail, begun_seq AS begunSeq, hash`

/** Creates the audit log on the bot's database. */
export function createAudit(database: BotDatabase): Audit {
  const insert = database.query<null, { [Column in keyof ChainedRow]: ChainedRow[Column] }>(
    `INSERT INTO audit (seq, time_ms, actor, role, surface, channel, via, effect, command, target, outcome, detail, begun_seq, hash)
     VALUES ($seq, $timeMs, $actor, $role, $surface, $channel, $via, $effect, $command, $target, $outcome, $detail, $begunSeq, $hash)`,
  )
  const readHead = database.query<ChainHead, []>('SELECT seq, hash FROM audit_head WHERE id = 1')
  const writeHead = database.query<null, { seq: number; hash: string }>('INSERT OR REPLACE INTO audit_head (id, seq, hash) VALUES (1, $seq, $hash)')
  const last = database.query<{ seq: number | null }, []>('SELECT max(seq) AS seq FROM audit')
  const first = database.query<ChainedRow, { limit: number }>(`SELECT ${COLUMNS} FROM audit ORDER BY seq LIMIT $limit`)
  const after = database.query<ChainedRow, { seq: number; limit: number }>(`SELECT ${COLUMNS} FROM audit WHERE seq > $seq ORDER BY seq LIMIT $limit`)
  const list = database.query<
    ChainedRow,
    Record<'actor' | 'target' | 'command' | 'outcome', string | null> & Record<'since' | 'until' | 'before' | 'reads' | 'limit', number>
  >(
    `SELECT ${COLUMNS} FROM audit
     WHERE seq < $before AND time_ms >= $since AND time_ms <= $until
     AND ($actor IS NULL OR instr(lower(actor), lower($actor)) > 0)
     AND ($target IS NULL OR instr(lower(target), lower($target)) > 0)
     AND ($command IS NULL OR instr(lower(command), lower($command)) > 0)
     AND ($outcome IS NULL OR outcome = $outcome)
     AND ($reads = 1 OR NOT (outcome IN ('asked', 'unclear') OR (effect = 'read' AND outcome IN ('done', 'failed'))))
     AND NOT (outcome = 'begun' AND EXISTS (SELECT 1 FROM audit AS later WHERE later.begun_seq > 0 AND later.begun_seq = audit.seq))
     ORDER BY seq DESC LIMIT $limit`,
  )
  const append = database.transaction((draft: AuditDraft): number => {
    const head = readHead.get() ?? CHAIN_START
    // Rows that somebody added behind the head must not stop the log; `audit verify` shows them.
    const seq = Math.max(head.seq, last.get()?.seq ?? 0) + 1
    const row = completeRow(draft, seq)
    const hash = rowHash(head.hash, row)
    insert.run({ ...row, hash })
    writeHead.run({ seq, hash })
    return seq
  })
  return {
    append: (draft) => append.immediate(draft),
    list: ({ actor, target, command, outcome, sinceMs, untilMs, before, reads, limit }) =>
      list.all({
        actor: actor ?? null,
        target: target ?? null,
        command: command ?? null,
        outcome: outcome ?? null,
        since: sinceMs ?? Number.MIN_SAFE_INTEGER,
        until: untilMs ?? Number.MAX_SAFE_INTEGER,
        before: before ?? Number.MAX_SAFE_INTEGER,
        reads: reads ? 1 : 0,
        limit,
      }),
    page: database.transaction((seq: number | undefined, limit: number) => ({
      rows: seq === undefined ? first.all({ limit }) : after.all({ seq, limit }),
      head: readHead.get() ?? undefined,
    })),
    head: () => readHead.get() ?? undefined,
  }
}

/** A row with every column, its texts cut and free of control characters, as SQLite returns them again. */
function completeRow(draft: AuditDraft, seq: number): AuditRow {
  const { timeMs, actor, role = '', surface, channel = '', via = '', effect = 'write', command, target, outcome, detail, begunSeq = 0 } = draft
  return {
    seq,
    timeMs,
    actor: bounded(actor, NAME_LENGTH_MAX),
    role,
    surface,
    channel: bounded(channel, NAME_LENGTH_MAX),
    via,
    effect,
    command: bounded(command, COMMAND_LENGTH_MAX),
    target: bounded(target, NAME_LENGTH_MAX),
    outcome,
    detail: bounded(detail, DETAIL_LENGTH_MAX),
    begunSeq,
  }
}

function bounded(text: string, length: number): string {
  // oxlint-disable-next-line no-control-regex -- these are what must not be stored
  const clean = text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' ')
  return (clean.length > length ? `${clean.slice(0, length - 1)}…` : clean).toWellFormed()
}
