// Turns the audit log of earlier versions into a hash chain. Its rows are taken over in their order; that they are unchanged since they were written
// cannot be shown, and a row says so.

import type { Database } from 'bun:sqlite'
import { CHAIN_START, rowHash } from '../audit/chain.ts'
import type { AuditRow, ChainedRow, ChainHead } from '../audit/chain.ts'
import { systemClock } from './clock.ts'

/** Rows read at a time. */
const PAGE_ROWS = 1000

const TABLES = `ALTER TABLE audit RENAME TO audit_earlier;
  CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    surface TEXT NOT NULL,
    channel TEXT NOT NULL,
    via TEXT NOT NULL,
    effect TEXT NOT NULL,
    command TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    begun_seq INTEGER NOT NULL,
    hash TEXT NOT NULL
  ) STRICT;
  CREATE INDEX audit_begun ON audit (begun_seq) WHERE begun_seq > 0;
  CREATE TABLE audit_head (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;`

/** A defect of the bot cannot change the log by accident. Somebody who may write the file can remove the triggers; the chain shows what is changed. */
const TRIGGERS = `CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END;
  CREATE TRIGGER audit_kept BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END;`

type EarlierRow = Pick<AuditRow, 'seq' | 'timeMs' | 'actor' | 'surface' | 'command' | 'target' | 'outcome' | 'detail'>

/** Migrates the tables of the audit log; runs in the transaction of the migration. */
export function chainEarlierRows(database: Database): void {
  database.run(TABLES)
  const read = database.query<EarlierRow, { after: number }>(
    `SELECT seq, time_ms AS timeMs, actor, surface, command, target, outcome, detail FROM audit_earlier WHERE seq > $after ORDER BY seq LIMIT ${PAGE_ROWS}`,
  )
  const insert = database.query<null, { [Column in keyof ChainedRow]: ChainedRow[Column] }>(
    `INSERT INTO audit (seq, time_ms, actor, role, surface, channel, via, effect, command, target, outcome, detail, begun_seq, hash)
     VALUES ($seq, $timeMs, $actor, $role, $surface, $channel, $via, $effect, $command, $target, $outcome, $detail, $begunSeq, $hash)`,
  )
  let head: ChainHead = CHAIN_START
  let earlierSeq = 0
  const add = (row: Omit<EarlierRow, 'seq'>, effect: string): void => {
    const next: AuditRow = { role: '', channel: '', via: '', begunSeq: 0, ...row, effect, seq: head.seq + 1 }
    const hash = rowHash(head.hash, next)
    insert.run({ ...next, hash })
    head = { seq: next.seq, hash }
  }
  for (let rows = read.all({ after: earlierSeq }); rows.length > 0; rows = read.all({ after: earlierSeq })) {
    for (const { seq, ...row } of rows) {
      add(row, 'write')
      earlierSeq = seq
    }
  }
  if (head.seq > 0) {
    const gaps = earlierSeq - head.seq
    const detail = `The hash chain begins: ${head.seq} earlier rows were taken over as they were${gaps > 0 ? `; ${gaps} more had been removed` : ''}.`
    add({ timeMs: systemClock.nowMs(), actor: 'bot', surface: 'service', command: 'upgrade', target: 'audit', outcome: 'done', detail }, 'decision')
  }
  database.query('INSERT INTO audit_head (id, seq, hash) VALUES (1, $seq, $hash)').run({ seq: head.seq, hash: head.hash })
  database.run('DROP TABLE audit_earlier')
  database.run(TRIGGERS)
}
