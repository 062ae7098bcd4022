// The audit log: one row for each command that writes, whatever its outcome. It never contains secrets.

import type { BotDatabase } from '../system/database.ts'

export interface AuditEntry {
  readonly seq: number
  readonly timeMs: number
  readonly actor: string
  readonly surface: string
  /** The command as typed, secrets as `***`. */
  readonly command: string
  readonly target: string
  readonly outcome: string
  readonly detail: string
}

export interface Audit {
  append(entry: Omit<AuditEntry, 'seq'>): void
  /** The newest entries first. */
  list(filter: { readonly actor?: string | undefined; readonly target?: string | undefined; readonly limit: number }): AuditEntry[]
}

interface Row {
  seq: number
  time_ms: number
  actor: string
  surface: string
  command: string
  target: string
  outcome: string
  detail: string
}

/** Creates the audit log on the bot's database; an entry is durable when `append` returns. */
export function createAudit(database: BotDatabase): Audit {
  const insert = database.query<null, { timeMs: number; actor: string; surface: string; command: string; target: string; outcome: string; detail: string }>(
    `INSERT INTO audit (time_ms, actor, surface, command, target, outcome, detail)
     VALUES ($timeMs, $actor, $surface, $command, $target, $outcome, $detail)`,
  )
  const list = database.query<Row, { actor: string | null; target: string | null; limit: number }>(
    `SELECT * FROM audit WHERE ($actor IS NULL OR actor = $actor) AND ($target IS NULL OR instr(target, $target) > 0)
     ORDER BY seq DESC LIMIT $limit`,
  )
  return {
    append: ({ timeMs, actor, surface, command, target, outcome, detail }) => {
      insert.run({ timeMs, actor, surface, command, target, outcome, detail })
    },
    list: ({ actor, target, limit }) =>
      list.all({ actor: actor ?? null, target: target ?? null, limit }).map((row) => ({
        seq: row.seq,
        timeMs: row.time_ms,
        actor: row.actor,
        surface: row.surface,
        command: row.command,
        target: row.target,
        outcome: row.outcome,
        detail: row.detail,
      })),
  }
}
