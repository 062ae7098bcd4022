// The state of each store as it was last seen, in the bot's database: health, description and tasks of a store that answered, the refusal
// of an agent, or the silence of a store. The service writes it, and every process answers from it.

import type { Health } from '../../protocol/health.ts'
import { ProblemError } from '../../protocol/problems.ts'
import type { Problem } from '../../protocol/problems.ts'
import type { StoreState } from '../../protocol/store-state.ts'
import type { Store } from '../../protocol/store.ts'
import type { BotDatabase } from '../system/database.ts'
import type { Contact } from './fleet.ts'
import { judge } from './judge.ts'
import type { Registry, StoreRecord } from './registry.ts'
import { createStateRows } from './state-rows.ts'
import type { StateHead, StateRow } from './state-rows.ts'
import type { StateChanges } from './state-changes.ts'
import type { Zones } from './zones/zones.ts'

/** A state older than this is not shown, in milliseconds: a store that is silent for longer is Stopped. */
export const STATE_AGE_MAX_MS = 40_000

/** What an agent that answers says of its store. */
export interface StoreFacts {
  readonly health: Health
  /** Null when the agent cannot describe its store. */
  readonly store: Store | null
  /** Null when it was not asked for. */
  readonly tasks: StoreState['tasks'] | null
}

/** A store as the bot saw it. */
export type Sighting = Contact<StoreFacts>

/** A store whose state is another one than before. */
export interface SeenChange {
  readonly store: string
  readonly before: string
  readonly after: string
  readonly finding: string
}

export interface FleetStates {
  /**
   * Records sightings, and the changes of states that they show, which it returns. Durable when it returns. Sightings that are older than what is
   * recorded are skipped.
   */
  record(sightings: readonly Sighting[]): SeenChange[]
  /** Returns what is known of these stores and not too old, by name. `sinceMs` is when the service was started. */
  read(stores: readonly StoreRecord[], sinceMs: number, nowMs: number): Map<string, Sighting>
  /** Returns tasks that were in progress when their stores last answered, by store; `limit` at most. */
  tasks(limit: number): SeenTask[]
}

/** A task that was in progress when its store last answered. */
export interface SeenTask {
  readonly store: string
  readonly id: string
  readonly kind: string
  readonly subject: string
}

export interface FleetStatesDeps {
  readonly database: BotDatabase
  readonly registry: Registry
  readonly changes: StateChanges
  readonly zones: Pick<Zones, 'learnScope'>
}

/** Creates the states on the bot's database. */
export function createFleetStates({ database, registry, changes, zones }: FleetStatesDeps): FleetStates {
  const rows = createStateRows(database)
  const find = database.query<{ kind: Sighting['kind']; state: string }, { store: string }>('SELECT kind, state FROM fleet_states WHERE store = $store')
  // A store that was removed or that moved to another address meanwhile is not the one that was seen.
  const write = database.query<null, { store: string; url: string; kind: string; state: string; document: string; asOf: number }>(
    `INSERT INTO fleet_states (store, kind, state, document, as_of_ms, version)
     SELECT name, $kind, $state, $document, $asOf, hex(randomblob(8)) FROM stores WHERE name = $store AND url = $url
     ON CONFLICT (store) DO UPDATE SET kind = $kind, state = $state, document = $document, as_of_ms = $asOf, version = excluded.version
       WHERE as_of_ms <= $asOf`,
  )
  const tasks = database.query<SeenTask, { limit: number }>(
    `SELECT store, task.value ->> 'id' AS id, task.value ->> 'kind' AS kind, task.value ->> 'subject' AS subject
     FROM fleet_states, json_each(document, '$.tasks.items') AS task WHERE fleet_states.kind = 'answered' ORDER BY store LIMIT $limit`,
  )
  const recordOne = (sighting: Sighting): SeenChange[] => {
    const { store, kind, asOfMs } = sighting
    const before = find.get({ store: store.name })
    const seen = kind === 'stopped' ? { ...sighting, sinceMs: registry.silent(store.name, sighting.reason, sighting.sinceMs) } : sighting
    if (kind !== 'stopped' && before?.kind !== kind) registry.answered(store.name, asOfMs)
    if (seen.kind === 'answered' && seen.value.store) zones.learnScope(store.name, seen.value.store.scope)
    const { state, finding } = judge(seen)
    const { changes: written } = write.run({ store: store.name, url: store.url, kind, state, document: JSON.stringify(documentOf(seen)), asOf: asOfMs })
    if (written === 0 || !before || before.state === state) return []
    changes.add({ store: store.name, timeMs: asOfMs, before: before.state, after: state })
    return [{ store: store.name, before: before.state, after: state, finding }]
  }
  const recordAll = database.transaction((sightings: readonly Sighting[]) => sightings.flatMap(recordOne))
  return {
    record: (sightings) => recordAll.immediate(sightings),
    tasks: (limit) => tasks.all({ limit }),
    read(stores, sinceMs, nowMs) {
      const isWanted = (row: StateHead): boolean => isCurrent(row, sinceMs, nowMs)
      const byName = stores.length === 1 ? undefined : rows.all(isWanted)
      const found = new Map<string, Sighting>()
      for (const store of stores) {
        const row = byName ? byName.get(store.name.toLowerCase()) : rows.find(store.name)
        if (row && isWanted(row)) found.set(store.name, sightingOf(store, row))
      }
      return found
    },
  }
}

/** Whether a row says how a store is now. A silence and a refusal last until the service hears from the store again. */
function isCurrent(row: StateHead, sinceMs: number, nowMs: number): boolean {
  if (row.kind !== 'answered' && row.asOfMs >= sinceMs) return true
  return Math.abs(nowMs - row.asOfMs) <= STATE_AGE_MAX_MS
}

interface Silent {
  readonly sinceMs: number
  readonly lastSeenMs: number | null
  readonly reason: string
}

function documentOf(sighting: Sighting): StoreFacts | Problem | Silent {
  if (sighting.kind === 'answered') return sighting.value
  if (sighting.kind === 'refused') return sighting.problem
  const { sinceMs, lastSeenMs, reason } = sighting
  return { sinceMs, lastSeenMs, reason }
}

/** The documents were checked before they were written, so they are not checked again. */
function sightingOf(store: StoreRecord, { kind, asOfMs, document }: StateRow): Sighting {
  if (kind === 'answered') return { kind: 'answered', store, value: document as StoreFacts, asOfMs }
  if (kind === 'stopped') return { kind: 'stopped', store, ...(document as Silent), asOfMs }
  const problem = document as Problem
  return { kind: 'refused', store, problem, error: new ProblemError(problem), asOfMs }
}
