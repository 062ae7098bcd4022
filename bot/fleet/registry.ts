// The registry: the stores, their addresses and tokens, and when they last answered. Tokens leave it only in the Authorization
// header.

import { CLEAR_VAULT } from '../credentials/vault.ts'
import type { ReadToken, Vault } from '../credentials/vault.ts'
import type { BotDatabase } from '../system/database.ts'
import type { Maintenance } from './maintenance.ts'

/** One registered store. Times in milliseconds since 1970. */
export interface StoreRecord {
  readonly name: string
  readonly url: string
  /** Empty when it cannot be read. */
  readonly token: string
  /** Why the token cannot be read, as a clause; absent when it can. */
  readonly unreadable?: string
  readonly zone: string
  readonly provider: string
  /** UUID of the store from its agent; null until it first answered. */
  readonly storeId: string | null
  readonly addedMs: number
  readonly lastSeenMs: number | null
  /** The first failed contact since the last successful one; null while the store answers. */
  readonly stoppedSinceMs: number | null
  readonly stoppedReason: string | null
  /** Interval at which the service tries to reach a silent store, in milliseconds; 0 when it does not, null for the interval of the bot. */
  readonly reconnectMs: number | null
  /** How often somebody asked the service to connect now. */
  readonly reconnectAsked: number
  /** The last maintenance, which may have ended: `maintenanceAt` says. Absent when there was none or when somebody ended it. */
  readonly maintenance?: Maintenance
}

/** A store and where it is. */
export type StorePlace = Pick<StoreRecord, 'name' | 'zone'>

export type StoreChange = Partial<Pick<StoreRecord, 'name' | 'url' | 'token' | 'zone' | 'provider' | 'storeId' | 'reconnectMs'>> & {
  /** Null ends it. */
  readonly maintenance?: Maintenance | null
}

export interface Registry {
  /** All stores by name. */
  list(): StoreRecord[]
  /** The names and zones of all stores by name, without reading a token. */
  places(): StorePlace[]
  /** Finds a store by name, ignoring case. */
  find(name: string): StoreRecord | undefined
  add(store: Pick<StoreRecord, 'name' | 'url' | 'token' | 'zone' | 'provider' | 'storeId'>, nowMs: number): StoreRecord
  change(name: string, change: StoreChange): StoreRecord | undefined
  /** Removes a store; returns false when there is none with this name. */
  remove(name: string): boolean
  /** Records that the store answered. */
  answered(name: string, nowMs: number): void
  /** Runs several changes as one durable write. */
  together<T>(change: () => T): T
  /** Asks the service to connect to the store now. */
  askReconnect(name: string): void
  /** Records that the store did not answer; returns since when it has not. */
  silent(name: string, reason: string, nowMs: number): number
}

interface Row {
  name: string
  url: string
  token: string
  token_key: string | null
  zone: string
  provider: string
  store_id: string | null
  added_ms: number
  last_seen_ms: number | null
  stopped_since_ms: number | null
  stopped_reason: string | null
  reconnect_ms: number | null
  reconnect_asked: number
  maintenance_until_ms: number | null
  maintenance_reason: string | null
  maintenance_by: string | null
}

/** Creates the registry on the bot's database; a change is durable when the call returns. Only a database in memory needs no vault for its tokens. */
export function createRegistry(database: BotDatabase, vault: Vault = CLEAR_VAULT): Registry {
  const list = database.query<Row, []>('SELECT * FROM stores ORDER BY name')
  const places = database.query<StorePlace, []>('SELECT name, zone FROM stores ORDER BY name')
  const find = database.query<Row, { name: string }>('SELECT * FROM stores WHERE name = $name')
  const insert = database.query<
    Row,
    {
      name: string
      url: string
      token: string
      tokenKey: string | null
      zone: string
      provider: string
      storeId: string | null
      now: number
      seen: number | null
    }
  >(
    `INSERT INTO stores (name, url, token, token_key, zone, provider, store_id, added_ms, last_seen_ms)
     VALUES ($name, $url, $token, $tokenKey, $zone, $provider, $storeId, $now, $seen) RETURNING *`,
  )
  const update = database.query<
    Row,
    {
      old: string
      name: string
      url: string
      token: string
      tokenKey: string | null
      zone: string
      provider: string
      storeId: string | null
      reconnectMs: number | null
    }
  >(
    `UPDATE stores SET name = $name, url = $url, token = $token, token_key = $tokenKey, zone = $zone, provider = $provider, store_id = $storeId, reconnect_ms = $reconnectMs
     WHERE name = $old RETURNING *`,
  )
  const maintain = database.query<Row, { name: string; until: number | null; reason: string | null; by: string | null }>(
    'UPDATE stores SET maintenance_until_ms = $until, maintenance_reason = $reason, maintenance_by = $by WHERE name = $name RETURNING *',
  )
  const remove = database.query<{ name: string }, { name: string }>('DELETE FROM stores WHERE name = $name RETURNING name')
  const answered = database.query<null, { name: string; now: number }>(
    'UPDATE stores SET last_seen_ms = $now, stopped_since_ms = NULL, stopped_reason = NULL WHERE name = $name',
  )
  const silent = database.query<{ stopped_since_ms: number }, { name: string; now: number; reason: string }>(
    `UPDATE stores SET stopped_since_ms = COALESCE(stopped_since_ms, $now), stopped_reason = $reason
     WHERE name = $name AND (stopped_since_ms IS NULL OR stopped_reason IS NOT $reason) RETURNING stopped_since_ms`,
  )
  const askReconnect = database.query<null, { name: string }>('UPDATE stores SET reconnect_asked = reconnect_asked + 1 WHERE name = $name')
  const toRecord = (row: Row): StoreRecord => recordOf(row, vault.read({ text: row.token, keyId: row.token_key }, { storeId: row.store_id, url: row.url }))
  const registry: Registry = {
    list: () => list.all().map(toRecord),
    places: () => places.all(),
    find: (name) => {
      const row = find.get({ name })
      return row ? toRecord(row) : undefined
    },
    add: database.transaction((store: Parameters<Registry['add']>[0], nowMs: number) => {
      const { name, url, token, zone, provider, storeId } = store
      const { text, keyId } = vault.keep(token, { storeId, url })
      const row = insert.get({ name, url, token: text, tokenKey: keyId, zone, provider, storeId, now: nowMs, seen: storeId === null ? null : nowMs })
      if (!row) throw new Error('the insert returned no row')
      return toRecord(row)
    }).immediate,
    // Nobody may write between the reading and the change.
    change: database.transaction((name: string, { maintenance, ...change }: StoreChange) => {
      const kept = find.get({ name })
      if (!kept) return undefined
      const before = toRecord(kept)
      const after = { ...before, ...change }
      const { url, zone, provider, storeId, reconnectMs } = after
      const isBound = url === before.url && storeId === before.storeId && after.token === before.token
      // A token that cannot be read stays as it is, whatever else changes, until there is another one.
      const isSame = change.token === undefined ? isBound || before.unreadable !== undefined : isBound && before.unreadable === undefined
      const { text, keyId } = isSame ? { text: kept.token, keyId: kept.token_key } : vault.keep(after.token, after)
      let row = update.get({ old: name, name: after.name, url, token: text, tokenKey: keyId, zone, provider, storeId, reconnectMs })
      if (maintenance !== undefined)
        row = maintain.get({ name: after.name, until: maintenance?.untilMs ?? null, reason: maintenance?.reason ?? null, by: maintenance?.by ?? null })
      return row ? toRecord(row) : undefined
    }).immediate,
    remove: (name) => remove.all({ name }).length > 0,
    answered: (name, nowMs) => {
      answered.run({ name, now: nowMs })
    },
    together: (change) => database.transaction(change).immediate(),
    askReconnect: (name) => void askReconnect.run({ name }),
    silent: (name, reason, nowMs) => silent.get({ name, now: nowMs, reason })?.stopped_since_ms ?? registry.find(name)?.stoppedSinceMs ?? nowMs,
  }
  return registry
}

function recordOf(row: Row, read: ReadToken): StoreRecord {
  return {
    name: row.name,
    url: row.url,
    ...read,
    zone: row.zone,
    provider: row.provider,
    storeId: row.store_id,
    addedMs: row.added_ms,
    lastSeenMs: row.last_seen_ms,
    stoppedSinceMs: row.stopped_since_ms,
    stoppedReason: row.stopped_reason,
    reconnectMs: row.reconnect_ms,
    reconnectAsked: row.reconnect_asked,
    ...(row.maintenance_until_ms === null
      ? {}
      : { maintenance: { untilMs: row.maintenance_until_ms, reason: row.maintenance_reason ?? '', by: row.maintenance_by ?? '' } }),
  }
}
