// One observation of the fleet: steps the machine of each finding that is or was lately bad, and opens and resolves incidents.

import { maintenanceAt } from '../fleet/maintenance.ts'
import type { StoreRecord } from '../fleet/registry.ts'
import { quoteOption } from '../views/quote.ts'
import { plural } from '../../protocol/views/phrases.ts'
import { conditionOf, STORE_STOPPED, ZONE_DOWN } from './conditions.ts'
import type { Finding } from './findings.ts'
import { QUIET, step } from './hold-down.ts'
import type { IncidentKey, Incidents } from './incidents.ts'
import type { KeptMachine, Machines } from './machines.ts'
import type { QuietOf } from './quiet.ts'
import type { SeenStore, SeenStores } from './sightings.ts'

/** A zone with fewer stores has no alert of its own: that of its only store says the same. */
export const ZONE_STORES_MIN = 2
/** Stores of a zone that its alert names. */
const NAMED_MAX = 5

export interface ObserveDeps {
  readonly incidents: Incidents
  readonly machines: Machines
  readonly seen: SeenStores
  readonly quietOf: QuietOf
}

/** Runs one observation, within the transaction of the caller. A finding of which nothing is known stays as it is. */
export function observe(deps: ObserveDeps, stores: readonly StoreRecord[], nowMs: number): void {
  const { machines, seen } = deps
  const now = new Map<string, Observed>()
  for (const record of stores) {
    const found = seen.find(record.name)
    for (const [condition, finding] of found?.findings ?? []) {
      const key = { store: record.name, zone: record.zone, condition }
      const sinceMs = condition === STORE_STOPPED ? record.stoppedSinceMs : null
      now.set(spell(key), { key, finding, sinceMs })
    }
  }
  for (const one of zoneFindings(deps, stores, nowMs)) now.set(spell(one.key), one)
  const names = new Set(stores.map(({ name }) => name.toLowerCase()))
  for (const machine of machines.all()) {
    const id = spell(machine)
    const observed = now.get(id)
    now.delete(id)
    const isGone = machine.store === '' ? !observed : !names.has(machine.store.toLowerCase())
    if (isGone) forget(deps, machine, nowMs)
    else if (observed) stepMachine(deps, machine, observed, nowMs)
  }
  for (const observed of now.values()) {
    if (observed.finding === 'good' || observed.finding === 'unknown') continue
    const { store, zone, condition } = observed.key
    stepMachine(deps, { ...QUIET, store, zone: store === '' ? zone : '', condition, sinceMs: observed.sinceMs ?? nowMs }, observed, nowMs)
  }
  seen.next(names)
}

interface Observed {
  readonly key: IncidentKey
  readonly finding: Finding | 'good' | 'unknown'
  /** Since when it is known to be there; null for one that is dated by its first observation. */
  readonly sinceMs: number | null
}

function spell({ store, zone, condition }: IncidentKey): string {
  return JSON.stringify([store.toLowerCase(), store === '' ? zone : '', condition])
}

function stepMachine({ incidents, machines, quietOf }: ObserveDeps, machine: KeptMachine, { key, finding, sinceMs }: Observed, nowMs: number): void {
  if (finding === 'unknown') return
  const isBad = finding !== 'good'
  const { machine: after, transition } = step(machine, isBad, conditionOf(machine.condition).holdDown)
  let { flaps } = after
  if (transition === 'opened' && isBad) flaps = incidents.open(key, finding, { sinceMs: sinceMs ?? machine.sinceMs, nowMs }, quietOf(key) !== undefined)
  if (transition === 'returned') incidents.returned(key, nowMs, quietOf(key) !== undefined)
  if (transition === 'resolved') incidents.resolve(key, nowMs, 'Resolved.', quietOf(key) !== undefined)
  if (after.isOpen && isBad && transition !== 'opened') incidents.change(key, finding, nowMs, quietOf(key) !== undefined)
  if (!after.isOpen && after.recent === 0) machines.remove(machine)
  else if (after !== machine || flaps !== after.flaps) machines.put({ ...machine, ...after, flaps })
}

/** Ends a finding whose store or zone is not registered any more. */
function forget({ incidents, machines, quietOf }: ObserveDeps, machine: KeptMachine, nowMs: number): void {
  machines.remove(machine)
  if (!machine.isOpen) return
  const what = machine.store === '' ? 'The zone has fewer than two stores that are not in maintenance.' : 'The store was removed from the registry.'
  incidents.resolve(machine, nowMs, `Resolved: ${what}`, quietOf(machine) !== undefined)
}

/** Whether zones have a healthy store. Stores in maintenance do not count; while a store was not seen yet, nothing is known of its zone. */
function zoneFindings({ seen }: ObserveDeps, stores: readonly StoreRecord[], nowMs: number): Observed[] {
  const counted = stores.filter((store) => !maintenanceAt(store, nowMs))
  return [...Map.groupBy(counted, ({ zone }) => zone)].flatMap(([zone, members]) => {
    if (members.length < ZONE_STORES_MIN) return []
    const key = { store: '', zone, condition: ZONE_DOWN }
    return [
      {
        key,
        finding: zoneFinding(
          zone,
          members.map(({ name }) => ({ name, seen: seen.find(name) })),
        ),
        sinceMs: null,
      },
    ]
  })
}

function zoneFinding(zone: string, members: readonly { readonly name: string; readonly seen: SeenStore | undefined }[]): Finding | 'good' | 'unknown' {
  if (members.some(({ seen }) => seen?.state === 'running' || seen?.state === 'degraded')) return 'good'
  if (members.some(({ seen }) => !seen)) return 'unknown'
  const stopped = members.filter(({ seen }) => seen?.state === 'stopped').length
  const counts = [stopped > 0 ? `${stopped} Stopped` : '', stopped < members.length ? `${members.length - stopped} Error` : ''].filter((text) => text !== '')
  const named = members.slice(0, NAMED_MAX).map(({ name }) => name)
  const rest = members.length > NAMED_MAX ? ` and ${members.length - NAMED_MAX} more` : ''
  return {
    severity: conditionOf(ZONE_DOWN).severity,
    finding: `None of ${plural(members.length, 'store')} is healthy (${counts.join(', ')}): ${named.join(', ')}${rest}.`,
    impact: `Hypervisors of ${zone} can neither read nor store images in their own zone.`,
    action: `Check the network and the power of ${zone} first: all its stores are affected. Then run store health ${quoteOption('zone', zone)}.`,
  }
}
