// Why an incident is not told now: it is silenced, or its store is in maintenance.

import { maintenanceAt } from '../fleet/maintenance.ts'
import type { StoreRecord } from '../fleet/registry.ts'
import { formatAt } from '../../protocol/views/phrases.ts'
import type { IncidentKey } from './incidents.ts'
import { silenceOf } from './silences.ts'
import type { Silences } from './silences.ts'

/** Returns the reason in words; undefined for an incident that is told. */
export type QuietOf = (key: IncidentKey) => string | undefined

/** Reads what is silenced, and which of these stores are in maintenance. */
export function readQuiet(stores: readonly StoreRecord[], silences: Pick<Silences, 'list'>, nowMs: number): QuietOf {
  const inForce = silences.list(nowMs)
  const maintained = new Map(
    stores.flatMap((store) => {
      const maintenance = maintenanceAt(store, nowMs)
      return maintenance ? [[store.name.toLowerCase(), maintenance] as const] : []
    }),
  )
  return (key) => {
    const maintenance = maintained.get(key.store.toLowerCase())
    if (maintenance) return `in maintenance until ${formatAt(maintenance.untilMs)} by ${maintenance.by}`
    const silence = silenceOf(inForce, key)
    return silence && `silenced until ${formatAt(silence.untilMs)} by ${silence.createdBy}${silence.reason === '' ? '' : ` (${silence.reason})`}`
  }
}
