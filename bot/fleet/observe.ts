// Asks stores how they are now, and records what was seen.

import type { AgentClient } from '../../protocol/client/agent-client.ts'
import { ProblemError } from '../../protocol/problems.ts'
import type { Store } from '../../protocol/store.ts'
import type { Fleet } from './fleet.ts'
import { judge } from './judge.ts'
import type { Observation } from './judge.ts'
import type { StoreRecord } from './registry.ts'
import type { Sighting, StoreFacts } from './states.ts'

/** Asks stores for their health and description now. */
export async function observeAll(fleet: Fleet, stores: readonly StoreRecord[]): Promise<Observation[]> {
  return (await sightAll(fleet, stores)).map(judge)
}

/** Asks stores now; the service's record of the fleet gets the answers too. */
export async function sightAll(fleet: Fleet, stores: readonly StoreRecord[]): Promise<Sighting[]> {
  const sightings = await fleet.contactAll(stores, askFacts)
  for (const sighting of sightings) learnId(fleet, sighting)
  fleet.kept?.states.record(sightings)
  return sightings
}

/** Asks an agent how its store is. */
export async function askFacts(agent: AgentClient): Promise<StoreFacts> {
  const [health, store] = await Promise.all([agent.health(), describedStore(agent)])
  return { health, store, tasks: null }
}

/** Registers the id of a store that answers for the first time. */
export function learnId({ registry }: Pick<Fleet, 'registry'>, sighting: Sighting): void {
  if (sighting.kind !== 'answered' || sighting.store.storeId !== null) return
  const { store } = sighting.value
  // A store has one record; a second one, such as that of `run start`, does not take its id.
  if (store && !registry.list().some(({ storeId }) => storeId === store.id)) registry.change(sighting.store.name, { storeId: store.id })
}

/** The description of the store; null when the agent cannot return it, or not in time, as while the mount path fails: health then says why. */
async function describedStore(agent: AgentClient): Promise<Store | null> {
  try {
    return await agent.store.get()
  } catch (error) {
    const isTolerated = error instanceof ProblemError && error.code !== 'unauthenticated' && error.code !== 'forbidden'
    if (isTolerated) return null
    throw error
  }
}
