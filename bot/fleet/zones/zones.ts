// Zones in the bot's database: places to which stores are attached. A store belongs to one zone at most. The scope of a store, which its agent announces, says
// whether it serves its own zone only, or every zone.

import { problem } from '../../../protocol/problems.ts'
import type { BotDatabase } from '../../system/database.ts'
import type { StoreRecord } from '../registry.ts'

/** Most zones that commands add. */
export const ZONES_MAX = 1000
/** Longest description of a zone in characters. */
export const ZONE_DESCRIPTION_MAX = 500
/** The scope of a store that serves every zone. A store with another scope, or whose scope is not known yet, serves its own zone. */
const EVERY_ZONE = 'region'

export interface Zone {
  readonly name: string
  readonly description: string
}

export interface Zones {
  /** All zones by name, those without stores included. */
  list(): Zone[]
  find(name: string): Zone | undefined
  /** Adds a zone, which stays when its last store leaves. Throws `conflict` for a name that is taken by a zone that was added, and `limit-reached`. */
  add(zone: Zone, nowMs: number): void
  /** Changes the description of a zone; the zone then stays when its last store leaves. Returns false if there is none with this name. */
  describe(name: string, description: string): boolean
  /** Removes a zone to which no store is attached; returns whether it did. */
  remove(name: string): boolean
  /** Notes the scope that the agent of a store announces. */
  learnScope(store: string, scope: string): void
  /** Returns the last scope that the agent of a store announced; undefined before its first answer. */
  scopeOf(store: string): string | undefined
  /** Returns whether operations for a zone may use a store: it is attached to the zone, or its scope is the region. */
  serves(store: Pick<StoreRecord, 'name' | 'zone'>, zone: string): boolean
}

/** Creates the zones on the bot's database; a change is durable when the call returns. */
export function createZones(database: BotDatabase): Zones {
  const list = database.query<Zone, []>('SELECT name, description FROM zones ORDER BY name')
  const find = database.query<Zone & { is_kept: number }, { name: string }>('SELECT name, description, is_kept FROM zones WHERE name = $name')
  const count = database.query<{ zones: number }, []>('SELECT count(*) AS zones FROM zones WHERE is_kept = 1')
  const put = database.query<null, { name: string; description: string; now: number }>(
    `INSERT INTO zones (name, description, is_kept, created_ms) VALUES ($name, $description, 1, $now)
     ON CONFLICT (name) DO UPDATE SET description = $description, is_kept = 1`,
  )
  const describe = database.query<null, { name: string; description: string }>('UPDATE zones SET description = $description, is_kept = 1 WHERE name = $name')
  const remove = database.query<null, { name: string }>('DELETE FROM zones WHERE name = $name AND NOT EXISTS (SELECT 1 FROM stores WHERE zone = $name)')
  const learn = database.query<null, { store: string; scope: string }>(
    `INSERT INTO store_scopes (store, scope) SELECT name, $scope FROM stores WHERE name = $store
     ON CONFLICT (store) DO UPDATE SET scope = $scope WHERE scope <> $scope`,
  )
  const scope = database.query<{ scope: string }, { store: string }>('SELECT scope FROM store_scopes WHERE store = $store')
  const scopeOf = (store: string): string | undefined => scope.get({ store })?.scope
  return {
    list: () => list.all(),
    find: (name) => {
      const zone = find.get({ name })
      return zone ? { name: zone.name, description: zone.description } : undefined
    },
    add: database.transaction(({ name, description }: Zone, nowMs: number) => {
      if (find.get({ name })?.is_kept === 1)
        throw problem('conflict', `There is a zone ${name} already.`, { action: 'Choose another name, or change it with zone edit.' })
      if ((count.get()?.zones ?? 0) >= ZONES_MAX)
        throw problem('limit-reached', `There are ${ZONES_MAX} zones.`, { action: 'Delete one that is not needed with zone delete.' })
      put.run({ name, description, now: nowMs })
    }).immediate,
    describe: (name, description) => describe.run({ name, description }).changes > 0,
    remove: (name) => remove.run({ name }).changes > 0,
    learnScope: (store, announced) => void learn.run({ store, scope: announced }),
    scopeOf,
    serves: (store, zone) => store.zone === zone || scopeOf(store.name) === EVERY_ZONE,
  }
}
