// What is wrong with zones: one without a healthy store.

import type { Observation } from '../judge.ts'
import { plural, stateWord } from '../../../protocol/views/phrases.ts'

/** A zone without a healthy store. */
export interface ZoneFinding {
  readonly zone: string
  readonly finding: string
  readonly impact: string
  readonly action: string
  /** Names of the stores of the zone. */
  readonly stores: readonly string[]
}

/** Stores of a finding that are named. */
const NAMED_MAX = 5

/** Returns the zones without a store that is Running or Degraded: the one with the most stores first, those without any store last. Pure. */
export function zoneFindings(zones: readonly string[], seen: readonly Observation[]): ZoneFinding[] {
  const byZone = Map.groupBy(seen, ({ record }) => record.zone)
  return zones
    .flatMap((zone) => {
      const stores = byZone.get(zone) ?? []
      return stores.some(isHealthy) ? [] : [findingOf(zone, stores)]
    })
    .toSorted((a, b) => b.stores.length - a.stores.length || a.zone.localeCompare(b.zone))
}

function isHealthy({ state }: Pick<Observation, 'state'>): boolean {
  return state === 'running' || state === 'degraded'
}

function findingOf(zone: string, stores: readonly Observation[]): ZoneFinding {
  const names = stores.map(({ record }) => record.name)
  const [first] = stores
  if (!first) {
    return {
      zone,
      finding: 'it has no store',
      impact: 'No image can be added in this zone.',
      action: `Attach a store with zone attach ${zone} STORE, or remove the zone with zone delete ${zone}.`,
      stores: [],
    }
  }
  const named = stores.slice(0, NAMED_MAX).map(({ record, state }) => `${record.name} is ${stateWord(state)}`)
  const more = stores.length > NAMED_MAX ? ` and ${plural(stores.length - NAMED_MAX, 'more store')}` : ''
  return {
    zone,
    finding: `it has no healthy store: ${named.join(', ')}${more}`,
    impact: 'Images of this zone cannot be read from its own stores, and none can be added there.',
    action: `Start with store health ${first.record.name}: it says what to do on its node. Until then, use a store of another zone whose scope is region.`,
    stores: names,
  }
}
