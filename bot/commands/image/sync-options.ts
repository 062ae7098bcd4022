// Options of `image sync` that limit the copies: rate=, hours= and priority=.

import { problem } from '../../../protocol/problems.ts'
import { parseSyncHours, SYNC_HOURS_MAX, SYNC_RATE_MAX, SYNC_RATE_MIN, syncPrioritySchema } from '../../../protocol/sync/sync-limits.ts'
import type { SyncHours, SyncLimits, SyncPriority } from '../../../protocol/sync/sync-limits.ts'
import { parseSize } from '../../../protocol/units.ts'

export interface LimitOptions {
  readonly rate?: string | undefined
  readonly hours?: string | undefined
  readonly priority?: string | undefined
}

/** Returns the limits of a sync; undefined without any of the options. Throws `invalid-input`. */
export function limitsOf({ rate, hours, priority }: LimitOptions): SyncLimits | undefined {
  if (rate === undefined && hours === undefined && priority === undefined) return undefined
  return {
    ...(rate === undefined ? {} : { bytesPerSecond: rateOf(rate) }),
    ...(hours === undefined ? {} : { hours: hoursOf(hours) }),
    ...(priority === undefined ? {} : { priority: priorityOf(priority) }),
  }
}

function rateOf(text: string): number {
  const bytes = parseSize(text.replace(/\/s$/, ''))
  if (bytes !== undefined && bytes >= SYNC_RATE_MIN && bytes <= SYNC_RATE_MAX) return bytes
  throw problem('invalid-input', `rate=${text} is not a rate from 64 KiB/s to 1 TB/s.`, { action: 'Write it as rate=10MB.' })
}

function hoursOf(text: string): SyncHours[] {
  const windows = text.split(';').map(parseSyncHours)
  const valid = windows.filter((window) => window !== undefined)
  if (valid.length === windows.length && valid.length <= SYNC_HOURS_MAX) return valid
  throw problem('invalid-input', `hours=${text} is not a list of at most ${SYNC_HOURS_MAX} windows.`, {
    action: 'Write it as hours="0 22 * * * for 8h", several windows with semicolons between them.',
  })
}

function priorityOf(text: string): SyncPriority {
  const { data } = syncPrioritySchema.safeParse(text)
  if (data) return data
  throw problem('invalid-input', `priority=${text} is not a priority.`, { action: `Write priority=${syncPrioritySchema.options.join(', priority=')}.` })
}
