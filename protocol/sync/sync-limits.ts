// Limits of syncs: bytes per second, hours and priority, as requests, configuration and commands write them.

import { z } from 'zod'
import { parseDuration, parseSize } from '../units.ts'

/** Least rate in bytes per second. Below it, a source would close connections that its clients read too slowly. */
export const SYNC_RATE_MIN = 65_536
/** Highest rate in bytes per second: 1 TB/s. */
export const SYNC_RATE_MAX = 1_000_000_000_000
/** Most windows of hours. */
export const SYNC_HOURS_MAX = 16
/** Longest window in minutes: a week. */
export const SYNC_MINUTES_MAX = 10_080

/** A window in which syncs may move bytes: it opens at the times of a cron expression of five fields and lasts some minutes. */
export const syncHoursSchema = z.strictObject({ cron: z.string().min(9).max(120), minutes: z.int().min(1).max(SYNC_MINUTES_MAX) })
export type SyncHours = z.infer<typeof syncHoursSchema>

export const syncRateSchema = z.int().min(SYNC_RATE_MIN).max(SYNC_RATE_MAX)
export const syncPrioritySchema = z.enum(['low', 'normal', 'high'])
export type SyncPriority = z.infer<typeof syncPrioritySchema>

/** Limits of one sync. Those of the store apply too. */
export const syncLimitsSchema = z
  .strictObject({ bytesPerSecond: syncRateSchema, hours: z.array(syncHoursSchema).min(1).max(SYNC_HOURS_MAX), priority: syncPrioritySchema })
  .partial()
export type SyncLimits = z.infer<typeof syncLimitsSchema>

/** Parses a window such as `0 22 * * * for 8h`; undefined when the text is not a window. The cron expression itself is not checked. */
export function parseSyncHours(text: string): SyncHours | undefined {
  const match = /^\s*(\S+(?:\s+\S+){4})\s+for\s+(\S+)\s*$/i.exec(text)
  const minutes = (parseDuration(match?.[2] ?? '') ?? 0) / 60_000
  const { data } = syncHoursSchema.safeParse({ cron: match?.[1]?.replaceAll(/\s+/g, ' '), minutes })
  return data
}

/** Parses windows with semicolons between them; undefined when the text is not a list of at most SYNC_HOURS_MAX windows. */
export function parseSyncWindows(text: string): SyncHours[] | undefined {
  const windows = text.split(';').map(parseSyncHours)
  const valid = windows.filter((window) => window !== undefined)
  return valid.length === windows.length && valid.length <= SYNC_HOURS_MAX ? valid : undefined
}

/** Parses a rate such as `10MB` or `10 MB/s` to bytes per second; undefined when it is not one from SYNC_RATE_MIN to SYNC_RATE_MAX. */
export function parseSyncRate(text: string): number | undefined {
  return syncRateSchema.safeParse(parseSize(text.replace(/\/s$/, ''))).data
}

/** Formats a window as `parseSyncHours` reads it. */
export function formatSyncHours({ cron, minutes }: SyncHours): string {
  return `${cron} for ${minutes % 60 === 0 ? `${minutes / 60}h` : `${minutes}m`}`
}
