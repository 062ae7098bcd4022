// Where an answer about stores comes from: from what the service keeps while it runs, else from the agents.

import type { Clock } from '../system/clock.ts'
import type { Fleet } from './fleet.ts'
import { judge } from './judge.ts'
import type { Observation } from './judge.ts'
import { sightAll } from './observe.ts'
import type { StoreRecord } from './registry.ts'
import type { Sighting } from './states.ts'

export interface Looking {
  readonly fleet: Fleet
  readonly clock: Pick<Clock, 'nowMs'>
}

/**
 * Returns how stores are, in their order. While the service runs, the answer comes from what it keeps, so that a silent store delays nothing; only
 * stores of which it has not heard yet are asked. With `isFresh`, and without the service, every agent is asked.
 */
export async function seeStores({ fleet, clock }: Looking, stores: readonly StoreRecord[], isFresh: boolean): Promise<Observation[]> {
  const known = isFresh ? new Map<string, Sighting>() : keptSightings(fleet, stores, clock.nowMs())
  const asked = await sightAll(
    fleet,
    stores.filter(({ name }) => !known.has(name)),
  )
  const all = new Map([...known, ...asked.map((sighting) => [sighting.store.name, sighting] as const)])
  return stores.flatMap(({ name }) => {
    const sighting = all.get(name)
    return sighting ? [judge(sighting)] : []
  })
}

/** Returns what the service keeps of these stores, by name; nothing when it does not run. */
export function keptSightings({ kept }: Pick<Fleet, 'kept'>, stores: readonly StoreRecord[], nowMs: number): Map<string, Sighting> {
  const sinceMs = kept?.runs.runningSince(nowMs)
  return kept === undefined || sinceMs === undefined ? new Map() : kept.states.read(stores, sinceMs, nowMs)
}
