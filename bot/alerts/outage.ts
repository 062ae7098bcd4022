// Whether several zones fell silent at once. The cause is then one that they share, most likely beside the bot, and channels are told of it in one card.
// Pure.

import type { StoreRecord } from '../fleet/registry.ts'
import { STORE_STOPPED, ZONE_DOWN } from './conditions.ts'
import type { IncidentKey } from './incidents.ts'
import type { KeptMachine } from './machines.ts'
import type { QuietOf } from './quiet.ts'

/** The place of a summary of several zones; no zone is called so. */
export const FLEET = '*'
/** Zones that fall silent at once, from which on it is an outage of the fleet. */
export const OUTAGE_ZONES_MIN = 2
/** Silent stores of a zone, from which on the zone counts as silent although some of its stores still answer. */
export const SILENT_STORES_MIN = 5

/** What falls silent: incidents that a channel was not shown yet, and findings that do not last long enough yet. */
export interface Silencing {
  readonly due: readonly IncidentKey[]
  readonly coming: readonly KeptMachine[]
  /** The zone of the store of a finding. */
  readonly zoneOf: (machine: KeptMachine) => string
  readonly stores: readonly Pick<StoreRecord, 'name' | 'zone'>[]
  readonly quietOf: QuietOf
}

/** Whether an incident says that a store or a zone does not answer. */
export function isSilence({ condition }: Pick<IncidentKey, 'condition'>): boolean {
  return condition === STORE_STOPPED || condition === ZONE_DOWN
}

/** Whether at least OUTAGE_ZONES_MIN zones fall silent: all their stores that are not silenced or in maintenance, or SILENT_STORES_MIN of them. */
export function isOutage({ due, coming, zoneOf, stores, quietOf }: Silencing): boolean {
  const silent = new Map<string, Set<string>>()
  const add = (zone: string, store: string): void => void silent.set(zone, (silent.get(zone) ?? new Set()).add(store.toLowerCase()))
  for (const { store, zone, condition } of due) if (condition === STORE_STOPPED) add(zone, store)
  for (const machine of coming) if (machine.condition === STORE_STOPPED) add(zoneOf(machine), machine.store)
  const told = stores.filter(({ name, zone }) => quietOf({ store: name, zone, condition: STORE_STOPPED }) === undefined)
  const counts = Map.groupBy(told, ({ zone }) => zone)
  const zones = [...silent].filter(([zone, names]) => names.size >= SILENT_STORES_MIN || names.size >= (counts.get(zone)?.length ?? Number.POSITIVE_INFINITY))
  return zones.length >= OUTAGE_ZONES_MIN
}
