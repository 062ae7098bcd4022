// What the service keeps of the fleet in the bot's database, for every process that shares it.

import type { BotDatabase } from '../system/database.ts'
import { createAskedBefore } from './asked.ts'
import type { AskedBefore } from './asked.ts'
import { createKeptEvents } from './kept-events.ts'
import type { KeptEvents } from './kept-events.ts'
import type { Registry } from './registry.ts'
import { createKeeperRuns } from './keeper-runs.ts'
import type { KeeperRuns } from './keeper-runs.ts'
import { createStateChanges } from './state-changes.ts'
import type { StateChanges } from './state-changes.ts'
import { createFleetStates } from './states.ts'
import type { FleetStates } from './states.ts'
import type { Zones } from './zones/zones.ts'

export interface KeptFleet {
  readonly runs: KeeperRuns
  readonly states: FleetStates
  readonly changes: StateChanges
  readonly events: KeptEvents
  readonly asked: AskedBefore
}

/** Opens what is kept on the bot's database. The scopes of stores that are seen go to `zones`. */
export function openKeptFleet(database: BotDatabase, registry: Registry, zones: Pick<Zones, 'learnScope'>): KeptFleet {
  const changes = createStateChanges(database)
  return {
    runs: createKeeperRuns(database),
    states: createFleetStates({ database, registry, changes, zones }),
    changes,
    events: createKeptEvents(database),
    asked: createAskedBefore(database),
  }
}
