// The bulk runs in the bot's database. What an item is about to do is recorded before it is asked for, and each change that people see is one transaction with its card
// and its row of the audit log: a bot that is killed loses no step of a run, and the next one goes on with it.

import type { Audit } from '../audit/audit.ts'
import type { Outbox } from '../outbox/outbox.ts'
import type { BotDatabase } from '../system/database.ts'
import { BULK_ENDED_KEPT, BULK_RUNS_MAX, BULK_RUNS_PER_USER_MAX, bulkId, bulkParamsSchema, hasEnded, itemParamsSchema } from './bulk-run.ts'
import type { BulkDraft, BulkItem, BulkRun, BulkState, DraftItem, ItemState } from './bulk-run.ts'
import { bulkCard, bulkSummary } from './bulk-card.ts'
import type { FollowedTask } from '../../protocol/views/view.ts'

/** How long a process may take between two steps of a run before another one goes on with it, in milliseconds. */
export const BULK_LEASE_MS = 120_000
/** Longest texts of an item, in characters. */
const TEXT_LENGTH_MAX = 500

export type BeginOutcome = { readonly kind: 'begun' | 'known'; readonly run: BulkRun } | { readonly kind: 'too-many'; readonly own: boolean }

/** How an item ended, in a sentence, and the next step. */
export interface ItemEnd {
  readonly state: 'done' | 'failed'
  readonly detail: string
  readonly next: string
}

/** A process that has a run. */
export interface Holder {
  readonly id: number
  readonly owner: string
}

export interface BulkRuns {
  /** Records a run and queues its card. The run of the same origin is returned instead of another one. The service carries out a run with an empty owner. */
  begin(draft: BulkDraft, items: readonly DraftItem[], owner: string, nowMs: number): BeginOutcome
  find(id: number): BulkRun | undefined
  /** The run that this origin has started. */
  ofOrigin(origin: string): BulkRun | undefined
  /** The newest runs first: those that have not ended, then others. */
  list(limit: number): BulkRun[]
  items(id: number, state?: ItemState): BulkItem[]
  /** Runs of a surface that have not ended, and that another process has or whose lease has ended. */
  left(surface: BulkDraft['surface'], owner: string, nowMs: number): BulkRun[]
  /** Takes over a run whose lease has ended; with `force` also before. What was in progress is looked at again. Returns false if it has ended or is leased. */
  acquire(holder: Holder, nowMs: number, force: boolean): boolean
  /** Begins the next item, and renews the lease. Undefined when none waits, when the run is being cancelled, or when another process has it. */
  next(holder: Holder, nowMs: number): BulkItem | undefined
  /** Renews the lease; returns false if another process has the run. */
  renew(holder: Holder, nowMs: number): boolean
  /** Records the task that works on an item. */
  ordered(holder: Holder, n: number, task: string): void
  settle(holder: Holder, n: number, end: ItemEnd, nowMs: number): void
  /** Queues the card as it is now; `tasks` are those in progress. */
  show(id: number, nowMs: number, tasks?: readonly FollowedTask[]): void
  /** Ends a run in which nothing is in progress and nothing waits. Returns it as it is. */
  finish(holder: Holder, nowMs: number): BulkRun | undefined
  /** Stops a run before its next item. Undefined if it has ended. */
  cancel(id: number, by: string, nowMs: number): BulkRun | undefined
  /** Runs what failed or was skipped once more. Undefined if there is nothing, or if the run has not ended. */
  reopen(id: number, owner: string, nowMs: number): BulkRun | undefined
  /** Resolves at the next run that begins or is cancelled in this process. */
  changed(): Promise<void>
}

interface RunRow {
  id: number
  verb: BulkRun['verb']
  title: string
  params: string
  origin: string
  surface: BulkDraft['surface']
  actor: string
  actor_id: string
  channel: string
  state: BulkState
  started_ms: number
  ended_ms: number | null
  cancelled_by: string
}

interface ItemRow {
  n: number
  store: string
  image: string
  name: string
  length: number
  params: string
  state: ItemState
  task: string
  audit_seq: number
  detail: string
  next: string
}

/** Opens the runs on the bot's database; every change is durable when the call returns. */
export function createBulkRuns(database: BotDatabase, outbox: Pick<Outbox, 'put'>, audit: Pick<Audit, 'append'>): BulkRuns {
  const sql = statements(database)
  const toRun = (row: RunRow): BulkRun => {
    const counts: Record<ItemState, number> = { waiting: 0, running: 0, done: 0, failed: 0, skipped: 0 }
    for (const { state, n } of sql.counts.all({ run: row.id })) counts[state] = n
    return {
      ...{
        id: row.id,
        verb: row.verb,
        title: row.title,
        origin: row.origin,
        surface: row.surface,
        actor: row.actor,
        actorId: row.actor_id,
        channel: row.channel,
      },
      ...{ state: row.state, startedMs: row.started_ms, endedMs: row.ended_ms, cancelledBy: row.cancelled_by, counts },
      params: bulkParamsSchema.parse(JSON.parse(row.params)),
      total: Object.values(counts).reduce((sum, count) => sum + count, 0),
    }
  }
  const find = (id: number): BulkRun | undefined => {
    const row = sql.find.get({ id })
    return row ? toRun(row) : undefined
  }
  const items = (id: number, state?: ItemState): BulkItem[] => sql.items.all({ run: id, state: state ?? null }).map(toItem)
  const show = (run: BulkRun, nowMs: number, tasks: readonly FollowedTask[] = []): void => {
    if (run.channel === '') return
    const view = bulkCard(run, items(run.id), nowMs, tasks)
    outbox.put({ key: `bulk ${run.id}`, channel: run.channel, view, ...(run.actorId === '' ? {} : { orElse: run.actorId }) })
  }
  const record = (run: BulkRun, target: string, outcome: string, detail: string, nowMs: number, begunSeq = 0): number =>
    audit.append({
      ...{ timeMs: nowMs, actor: run.actor, surface: run.surface, channel: run.channel, via: 'bulk', target, outcome, detail, begunSeq },
      command: `image ${run.verb}`,
      effect: run.verb === 'delete' || run.verb === 'purge' || run.verb === 'migrate' ? 'destroy' : 'write',
    })
  const held = ({ id, owner }: Holder): BulkRun | undefined => {
    const row = sql.held.get({ id, owner })
    return row ? toRun(row) : undefined
  }
  let signal = Promise.withResolvers<void>()
  const announce = <T>(value: T): T => {
    signal.resolve()
    signal = Promise.withResolvers<void>()
    return value
  }

  const begin = database.transaction((draft: BulkDraft, drafts: readonly DraftItem[], owner: string, nowMs: number): BeginOutcome => {
    const known = draft.origin === '' ? null : sql.ofOrigin.get({ origin: draft.origin })
    if (known) return { kind: 'known', run: toRun(known) }
    const open = sql.open.all()
    const own = open.filter(({ surface, actor_id }) => surface === draft.surface && actor_id === draft.actorId)
    if (own.length >= BULK_RUNS_PER_USER_MAX || open.length >= BULK_RUNS_MAX) return { kind: 'too-many', own: own.length >= BULK_RUNS_PER_USER_MAX }
    const { verb, title, origin, surface, actor, actorId, channel } = draft
    const row = sql.insert.get({
      ...{ verb, title, origin, surface, actor, actorId, channel, owner, now: nowMs, lease: leaseOf(owner, nowMs) },
      params: JSON.stringify(draft.params),
    })
    if (!row) throw new Error('a bulk run was not recorded')
    for (const [n, { params, ...item }] of drafts.entries()) sql.insertItem.run({ run: row.id, n, ...item, params: JSON.stringify(params) })
    const run = toRun(row)
    show(run, nowMs)
    return { kind: 'begun', run }
  })
  const next = database.transaction((holder: Holder, nowMs: number): BulkItem | undefined => {
    const run = held(holder)
    if (run?.state !== 'running') return undefined
    const row = sql.firstWaiting.get({ run: run.id })
    if (!row) return undefined
    const item = toItem(row)
    // An item that was in progress when a bot was killed has its row already.
    const seq =
      item.auditSeq ||
      record(run, `${item.name} in ${item.store}`, 'begun', `No end was recorded: ${bulkId(run)} is in progress, or the bot was stopped.`, nowMs)
    sql.start.run({ run: run.id, n: item.n, seq })
    sql.lease.run({ id: run.id, lease: nowMs + BULK_LEASE_MS })
    return { ...item, state: 'running', auditSeq: seq }
  })
  const settle = database.transaction((holder: Holder, n: number, end: ItemEnd, nowMs: number): void => {
    const run = held(holder)
    const row = run && sql.settle.get({ run: run.id, n, state: end.state, detail: cut(end.detail), next: cut(end.next) })
    if (!run || !row) return
    record(run, `${row.name} in ${row.store}`, end.state, `${bulkId(run)}: ${end.detail}`, nowMs, row.audit_seq)
    sql.lease.run({ id: run.id, lease: nowMs + BULK_LEASE_MS })
  })
  const finish = database.transaction((holder: Holder, nowMs: number): BulkRun | undefined => {
    const run = held(holder)
    if (!run) return find(holder.id)
    if (run.state === 'cancelling') sql.skip.run({ run: run.id })
    const { counts } = find(run.id) ?? run
    if (counts.waiting + counts.running > 0) return run
    const state: BulkState = counts.skipped > 0 ? 'cancelled' : counts.failed > 0 ? 'failed' : 'done'
    sql.end.run({ id: run.id, state, now: nowMs })
    sql.trim.run({ kept: BULK_ENDED_KEPT })
    const ended = find(run.id)
    if (!ended) return undefined
    record(ended, bulkId(ended), state === 'done' ? 'done' : 'failed', `${ended.title}: ${bulkSummary(ended)}`, nowMs)
    show(ended, nowMs)
    return ended
  })
  const cancel = database.transaction((id: number, by: string, nowMs: number): BulkRun | undefined => {
    if (sql.cancel.all({ id, by }).length === 0) return undefined
    const run = find(id)
    if (run) show(run, nowMs)
    return run
  })
  const reopen = database.transaction((id: number, owner: string, nowMs: number): BulkRun | undefined => {
    const run = find(id)
    if (!run || !hasEnded(run) || run.counts.failed + run.counts.skipped === 0) return undefined
    sql.reopenItems.run({ run: id })
    sql.reopen.run({ id, owner, lease: leaseOf(owner, nowMs) })
    const again = find(id)
    if (again) show(again, nowMs)
    return again
  })
  const acquire = database.transaction(({ id, owner }: Holder, nowMs: number, force: boolean): boolean => {
    if (sql.acquire.all({ id, owner, until: force ? Number.MAX_SAFE_INTEGER : nowMs, lease: nowMs + BULK_LEASE_MS }).length === 0) return false
    sql.interrupted.run({ run: id })
    return true
  })

  return {
    begin: (draft, drafts, owner, nowMs) => announce(begin.immediate(draft, drafts, owner, nowMs)),
    find,
    ofOrigin: (origin) => {
      const row = sql.ofOrigin.get({ origin })
      return row ? toRun(row) : undefined
    },
    list: (limit) => sql.list.all({ limit }).map(toRun),
    items,
    left: (surface, owner, now) => sql.left.all({ surface, owner, now }).map(toRun),
    acquire: (holder, nowMs, force) => acquire.immediate(holder, nowMs, force),
    next: (holder, nowMs) => next.immediate(holder, nowMs),
    renew: ({ id, owner }, nowMs) => sql.renew.all({ id, owner, lease: nowMs + BULK_LEASE_MS }).length > 0,
    ordered: ({ id, owner }, n, task) => void sql.ordered.run({ run: id, owner, n, task }),
    settle: (holder, n, end, nowMs) => settle.immediate(holder, n, end, nowMs),
    show: (id, nowMs, tasks) => {
      const run = find(id)
      if (run && !hasEnded(run)) show(run, nowMs, tasks)
    },
    finish: (holder, nowMs) => finish.immediate(holder, nowMs),
    cancel: (id, by, nowMs) => announce(cancel.immediate(id, by, nowMs)),
    reopen: (id, owner, nowMs) => announce(reopen.immediate(id, owner, nowMs)),
    changed: () => signal.promise,
  }
}

// oxlint-disable-next-line typescript/explicit-function-return-type -- the statements say what they take and return
function statements(database: BotDatabase) {
  return {
    insert: database.query<
      RunRow,
      Record<'verb' | 'title' | 'params' | 'origin' | 'surface' | 'actor' | 'actorId' | 'channel' | 'owner', string> & { now: number; lease: number }
    >(
      `INSERT INTO bulk_runs (verb, title, params, origin, surface, actor, actor_id, channel, state, started_ms, owner, lease_ms)
       VALUES ($verb, $title, $params, $origin, $surface, $actor, $actorId, $channel, 'running', $now, $owner, $lease) RETURNING *`,
    ),
    insertItem: database.query<null, Record<'store' | 'image' | 'name' | 'params', string> & Record<'run' | 'n' | 'length', number>>(
      'INSERT INTO bulk_items (run, n, store, image, name, length, params) VALUES ($run, $n, $store, $image, $name, $length, $params)',
    ),
    find: database.query<RunRow, { id: number }>('SELECT * FROM bulk_runs WHERE id = $id'),
    ofOrigin: database.query<RunRow, { origin: string }>('SELECT * FROM bulk_runs WHERE origin = $origin'),
    held: database.query<RunRow, { id: number; owner: string }>('SELECT * FROM bulk_runs WHERE id = $id AND owner = $owner AND ended_ms IS NULL'),
    open: database.query<RunRow, []>('SELECT * FROM bulk_runs WHERE ended_ms IS NULL'),
    left: database.query<RunRow, { surface: string; owner: string; now: number }>(
      'SELECT * FROM bulk_runs WHERE ended_ms IS NULL AND surface = $surface AND (owner <> $owner OR lease_ms <= $now) ORDER BY id',
    ),
    list: database.query<RunRow, { limit: number }>('SELECT * FROM bulk_runs ORDER BY ended_ms IS NOT NULL, id DESC LIMIT $limit'),
    counts: database.query<{ state: ItemState; n: number }, { run: number }>('SELECT state, count(*) AS n FROM bulk_items WHERE run = $run GROUP BY state'),
    items: database.query<ItemRow, { run: number; state: string | null }>(
      'SELECT * FROM bulk_items WHERE run = $run AND ($state IS NULL OR state = $state) ORDER BY n',
    ),
    firstWaiting: database.query<ItemRow, { run: number }>("SELECT * FROM bulk_items WHERE run = $run AND state = 'waiting' ORDER BY n LIMIT 1"),
    start: database.query<null, { run: number; n: number; seq: number }>(
      "UPDATE bulk_items SET state = 'running', audit_seq = $seq WHERE run = $run AND n = $n",
    ),
    settle: database.query<ItemRow, { run: number; n: number; state: string; detail: string; next: string }>(
      "UPDATE bulk_items SET state = $state, detail = $detail, next = $next WHERE run = $run AND n = $n AND state = 'running' RETURNING *",
    ),
    ordered: database.query<null, { run: number; owner: string; n: number; task: string }>(
      'UPDATE bulk_items SET task = $task WHERE run = $run AND n = $n AND EXISTS (SELECT 1 FROM bulk_runs WHERE id = $run AND owner = $owner)',
    ),
    interrupted: database.query<null, { run: number }>("UPDATE bulk_items SET state = 'waiting' WHERE run = $run AND state = 'running'"),
    skip: database.query<null, { run: number }>("UPDATE bulk_items SET state = 'skipped' WHERE run = $run AND state = 'waiting'"),
    reopenItems: database.query<null, { run: number }>(
      "UPDATE bulk_items SET state = 'waiting', task = '', audit_seq = 0, detail = '', next = '' WHERE run = $run AND state IN ('failed', 'skipped')",
    ),
    reopen: database.query<null, { id: number; owner: string; lease: number }>(
      "UPDATE bulk_runs SET state = 'running', ended_ms = NULL, owner = $owner, lease_ms = $lease, cancelled_by = '' WHERE id = $id",
    ),
    acquire: database.query<{ id: number }, { id: number; owner: string; until: number; lease: number }>(
      'UPDATE bulk_runs SET owner = $owner, lease_ms = $lease WHERE id = $id AND ended_ms IS NULL AND lease_ms <= $until RETURNING id',
    ),
    renew: database.query<{ id: number }, { id: number; owner: string; lease: number }>(
      'UPDATE bulk_runs SET lease_ms = $lease WHERE id = $id AND owner = $owner AND ended_ms IS NULL RETURNING id',
    ),
    lease: database.query<null, { id: number; lease: number }>('UPDATE bulk_runs SET lease_ms = $lease WHERE id = $id'),
    cancel: database.query<{ id: number }, { id: number; by: string }>(
      "UPDATE bulk_runs SET state = 'cancelling', cancelled_by = $by WHERE id = $id AND state = 'running' RETURNING id",
    ),
    end: database.query<null, { id: number; state: string; now: number }>('UPDATE bulk_runs SET state = $state, ended_ms = $now WHERE id = $id'),
    trim: database.query<null, { kept: number }>(
      'DELETE FROM bulk_runs WHERE ended_ms IS NOT NULL AND id NOT IN (SELECT id FROM bulk_runs WHERE ended_ms IS NOT NULL ORDER BY id DESC LIMIT $kept)',
    ),
  }
}

/** Until when a new run is leased: not at all without an owner, so that the service takes it. */
function leaseOf(owner: string, nowMs: number): number {
  return owner === '' ? 0 : nowMs + BULK_LEASE_MS
}

function toItem({ audit_seq, params, ...row }: ItemRow): BulkItem {
  const { n, store, image, name, length, state, task, detail, next } = row
  return { n, store, image, name, length, state, task, detail, next, auditSeq: audit_seq, params: itemParamsSchema.parse(JSON.parse(params)) }
}

function cut(text: string): string {
  return text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX - 1).toWellFormed()}…` : text
}
