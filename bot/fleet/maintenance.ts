// Maintenance of a store: until a time the bot places no new images in it and sends no alerts about it. It ends by itself.

import { formatTime } from '../../protocol/time.ts'
import { formatDuration } from '../../protocol/units.ts'
import { formatAt } from '../../protocol/views/phrases.ts'
import type { StoreRecord } from './registry.ts'

/** Why and until when a store is in maintenance, and who said so. */
export interface Maintenance {
  /** When it ends, in milliseconds since 1970. */
  readonly untilMs: number
  /** Empty when nobody gave one. */
  readonly reason: string
  readonly by: string
}

/** Returns the maintenance that a store is in at a time; undefined when it is in none, or when it has ended. */
export function maintenanceAt({ maintenance }: Pick<StoreRecord, 'maintenance'>, nowMs: number): Maintenance | undefined {
  return maintenance && maintenance.untilMs > nowMs ? maintenance : undefined
}

/** `until 2026-11-22 12:00:00 UTC (1 h 59 min left), by ann: new disks`. */
export function maintenanceText({ untilMs, reason, by }: Maintenance, nowMs: number): string {
  return `until ${formatAt(untilMs)} (${formatDuration(untilMs - nowMs)} left), by ${by}${reason === '' ? '' : `: ${reason}`}`
}

/** The maintenance of a store for `--json`; null when it is in none. */
export function maintenanceJson(record: Pick<StoreRecord, 'maintenance'>, nowMs: number): Record<string, unknown> | null {
  const maintenance = maintenanceAt(record, nowMs)
  return maintenance ? { until: formatTime(maintenance.untilMs), reason: maintenance.reason, by: maintenance.by } : null
}
