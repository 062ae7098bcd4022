// The runs of policies in the bot's database: what each ordered and how it ended. A run is recorded before it orders anything, so that a bot that was
// killed goes on with it.

import { z } from 'zod'
import type { BotDatabase } from '../system/database.ts'

/** Ended runs that are kept for each policy. */
export const RUNS_KEPT = 20
/** How long a process may take between two steps of a run before another one goes on with it, in milliseconds. */
export const LEASE_MS = 120_000

const copySchema = z.object({ name: z.string(), imageId: z.string(), target: z.string(), source: z.string(), taskId: z.string().nullable() })
const findingSchema = z.object({ kind: z.enum(['unmet', 'waiting']), subject: z.string(), text: z.string(), action: z.string() })
const failureSchema = z.object({ name: z.string(), target: z.string(), reason: z.string(), action: z.string() })

/** A copy that a run ordered; without a task until its store has accepted it. */
export type OrderedCopy = z.infer<typeof copySchema>
export type RunFinding = z.infer<typeof findingSchema>
export type CopyFailure = z.infer<typeof failureSchema>

export interface PolicyRun {
  readonly id: number
  readonly policy: string
  readonly cause: 'schedule' | 'command'
  /** Who ran it. */
  readonly actor: string
  readonly startedMs: number
  /** Whether every copy was ordered. */
  readonly isOrdered: boolean
  /** A process orders its copies until then, in milliseconds since 1970. */
  readonly leaseMs: number
  readonly endedMs: number | null
  readonly outcome: 'succeeded' | 'failed' | null
  /** How it ended, in one sentence; empty before. */
  readonly result: string
  /** What to do next; empty when there is nothing to do. */
  readonly action: string
  /** Copies in progress; an ended run keeps only those that failed, in `failures`. */
  readonly copies: readonly OrderedCopy[]
  readonly failures: readonly CopyFailure[]
  readonly findings: readonly RunFinding[]
  /** Copies that were removed. */
  readonly removed: number
}

export type RunChange = Partial<Pick<PolicyRun, 'isOrdered' | 'leaseMs' | 'copies' | 'failures' | 'findings' | 'removed'>>
export type RunEnd = Pick<PolicyRun, 'outcome' | 'result' | 'action' | 'failures'>

export interface PolicyRuns {
  /** Records a run and the time from which the policy waits for its next one; undefined while a run of the policy has not ended. */
  begin(run: Pick<PolicyRun, 'policy' | 'cause' | 'actor'>, nowMs: number): PolicyRun | undefined
  /** Runs that have not ended, oldest first; of one policy with `policy`. */
  open(policy?: string): PolicyRun[]
  /** The newest runs of a policy first. */
  list(policy: string): PolicyRun[]
  change(id: number, change: RunChange): void
  /** Takes over a run that has not ordered everything and whose lease has ended; with `force` also before. Returns false if another process has it. */
  acquire(id: number, nowMs: number, force: boolean): boolean
  /** Ends a run; returns false if it has ended or its policy was deleted. */
  end(id: number, end: RunEnd, nowMs: number): boolean
}

interface Row {
  id: number
  policy: string
  cause: 'schedule' | 'command'
  actor: string
  started_ms: number
  ordered: number
  lease_ms: number
  ended_ms: number | null
  outcome: 'succeeded' | 'failed' | null
  result: string
  action: string
  copies: string
  failures: string
  findings: string
  removed: number
}

/** Creates the runs on the bot's database; a change is durable when the call returns. */
export function createPolicyRuns(database: BotDatabase): PolicyRuns {
  const insert = database.query<Row, { policy: string; cause: string; actor: string; now: number; lease: number }>(
    `INSERT INTO policy_runs (policy, cause, actor, started_ms, lease_ms)
     SELECT name, $cause, $actor, $now, $lease FROM policies
     WHERE name = $policy AND NOT EXISTS (SELECT 1 FROM policy_runs WHERE policy = $policy AND ended_ms IS NULL) RETURNING *`,
  )
  const anchor = database.query<null, { policy: string; now: number }>('UPDATE policies SET anchor_ms = $now WHERE name = $policy')
  const open = database.query<Row, { policy: string | null }>(
    'SELECT * FROM policy_runs WHERE ended_ms IS NULL AND ($policy IS NULL OR policy = $policy) ORDER BY id',
  )
  const find = database.query<Row, { id: number }>('SELECT * FROM policy_runs WHERE id = $id')
  const list = database.query<Row, { policy: string; limit: number }>('SELECT * FROM policy_runs WHERE policy = $policy ORDER BY id DESC LIMIT $limit')
  const update = database.query<null, { id: number; ordered: number; lease: number; copies: string; failures: string; findings: string; removed: number }>(
    `UPDATE policy_runs SET ordered = $ordered, lease_ms = $lease, copies = $copies, failures = $failures, findings = $findings, removed = $removed
     WHERE id = $id AND ended_ms IS NULL`,
  )
  const acquire = database.query<{ id: number }, { id: number; until: number; lease: number }>(
    'UPDATE policy_runs SET lease_ms = $lease WHERE id = $id AND ended_ms IS NULL AND ordered = 0 AND lease_ms <= $until RETURNING id',
  )
  const end = database.query<{ policy: string }, { id: number; now: number; outcome: string | null; result: string; action: string; failures: string }>(
    `UPDATE policy_runs SET ended_ms = $now, outcome = $outcome, result = $result, action = $action, failures = $failures, copies = '[]', ordered = 1
     WHERE id = $id AND ended_ms IS NULL RETURNING policy`,
  )
  const prune = database.query<null, { policy: string; kept: number }>(
    `DELETE FROM policy_runs WHERE policy = $policy AND ended_ms IS NOT NULL
     AND id NOT IN (SELECT id FROM policy_runs WHERE policy = $policy AND ended_ms IS NOT NULL ORDER BY id DESC LIMIT $kept)`,
  )
  return {
    begin: database.transaction((run: Pick<PolicyRun, 'policy' | 'cause' | 'actor'>, nowMs: number) => {
      const row = insert.get({ ...run, now: nowMs, lease: nowMs + LEASE_MS })
      anchor.run({ policy: run.policy, now: nowMs })
      return row ? toRun(row) : undefined
    }).immediate,
    open: (policy) => open.all({ policy: policy ?? null }).map(toRun),
    list: (policy) => list.all({ policy, limit: RUNS_KEPT + 1 }).map(toRun),
    change: database.transaction((id: number, change: RunChange) => {
      const row = find.get({ id })
      if (!row) return
      const { isOrdered, leaseMs, copies, failures, findings, removed } = { ...toRun(row), ...change }
      const texts = { copies: JSON.stringify(copies), failures: JSON.stringify(failures), findings: JSON.stringify(findings) }
      update.run({ id, ordered: isOrdered ? 1 : 0, lease: leaseMs, removed, ...texts })
    }).immediate,
    acquire: (id, nowMs, force) => acquire.all({ id, until: force ? Number.MAX_SAFE_INTEGER : nowMs, lease: nowMs + LEASE_MS }).length > 0,
    end: database.transaction((id: number, { outcome, result, action, failures }: RunEnd, nowMs: number) => {
      const row = end.get({ id, now: nowMs, outcome, result, action, failures: JSON.stringify(failures) })
      if (row) prune.run({ policy: row.policy, kept: RUNS_KEPT })
      return row !== null
    }).immediate,
  }
}

function toRun(row: Row): PolicyRun {
  return {
    id: row.id,
    policy: row.policy,
    cause: row.cause,
    actor: row.actor,
    startedMs: row.started_ms,
    isOrdered: row.ordered === 1,
    leaseMs: row.lease_ms,
    endedMs: row.ended_ms,
    outcome: row.outcome,
    result: row.result,
    action: row.action,
    copies: z.array(copySchema).parse(JSON.parse(row.copies)),
    failures: z.array(failureSchema).parse(JSON.parse(row.failures)),
    findings: z.array(findingSchema).parse(JSON.parse(row.findings)),
    removed: row.removed,
  }
}
