// Where an answer about stores comes from: from what the service keeps while it runs, else from the agents.

import type { Clock } from '../system/clock.ts'
import type { Fleet } from './fleet.ts'
import { judge } from './judge.ts'
import type { Observation } from './judge.ts'
import { sightAll } from './observe.ts'
import type { StoreRecord } from './registry.ts'

export interface Looking {
  readonly fleet: Fleet
  readonly clock: Pick<Clock, 'nowMs'>
}

/**
 * Returns how stores are, in their order. While the service runs, the answer comes from what it keeps, so that a silent store delays nothing; only
 * stores of which it has not heard yet are asked. With `isFresh`, and without the service, every agent is asked.
 */
export async function seeStores({ fleet, clock }: Looking, stores: readonly StoreRecord[], isFresh: boolean): Promise<Observation[]> {
  const nowMs = clock.nowMs()
  const sinceMs = isFresh ? undefined : fleet.kept?.runs.runningSince(nowMs)
  const known = sinceMs === undefined ? undefined : fleet.kept?.states.read(stores, sinceMs, nowMs)
  const unknown = known ? stores.filter(({ name }) => !known.has(name)) : stores
  const asked = new Map((await sightAll(fleet, unknown)).map((sighting) => [sighting.store.name, sighting]))
  return stores.flatMap((store) => {
    const sighting = known?.get(store.name) ?? asked.get(store.name)
    return sighting ? [judge(sighting)] : []
  })
}
