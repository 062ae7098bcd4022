// Limits of syncs of a store as commands write and show them.

import { problem } from '../../../../protocol/problems.ts'
import type { Store, StorePatch } from '../../../../protocol/store.ts'
import { formatSyncHours, parseSyncRate, parseSyncWindows, SYNC_HOURS_MAX } from '../../../../protocol/sync/sync-limits.ts'
import type { SyncHours } from '../../../../protocol/sync/sync-limits.ts'
import { formatSize, parseSize } from '../../../../protocol/units.ts'

/** Word that applies the value of the configuration again. */
const RESET = 'configured'

/** Returns the limits of syncs as text: `10 MB/s, only 0 22 * * * for 8h`. */
export function syncLimitsText({ bytesPerSecond, hours }: NonNullable<Store['sync']>): string {
  const rate = bytesPerSecond === null ? 'no limit of the rate' : `${formatSize(bytesPerSecond)}/s`
  return `${rate}, ${hours.length === 0 ? 'at all hours' : `only ${hours.map(formatSyncHours).join('; ')}`}`
}

/** Returns the change of the options sync-rate= and sync-hours=; undefined without either. Throws `invalid-input`. */
export function parseSyncLimits(rate: string | undefined, hours: string | undefined): StorePatch['sync'] {
  if (rate === undefined && hours === undefined) return undefined
  return { ...(rate === undefined ? {} : { bytesPerSecond: parseRate(rate) }), ...(hours === undefined ? {} : { hours: parseHours(hours) }) }
}

function parseRate(text: string): number | null {
  if (text === RESET) return null
  const bytes = parseSize(text.replace(/\/s$/, '')) === 0 ? 0 : parseSyncRate(text)
  if (bytes !== undefined) return bytes
  throw problem('invalid-input', `sync-rate=${text} is not a rate from 64 KiB/s to 1 TB/s.`, { action: `Write it as 10MB, as 0 for no limit, or as ${RESET}.` })
}

function parseHours(text: string): SyncHours[] | null {
  if (text === RESET) return null
  if (text === 'all') return []
  const windows = parseSyncWindows(text)
  if (windows) return windows
  throw problem('invalid-input', `sync-hours=${text} is not a list of at most ${SYNC_HOURS_MAX} windows.`, {
    action: `Write it as "0 22 * * * for 8h", several windows with semicolons between them, or as all or ${RESET}.`,
  })
}
