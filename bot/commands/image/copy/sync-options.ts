// Options of `image sync` that limit the copies: rate=, hours= and priority=.

import { problem } from '../../../../protocol/problems.ts'
import { parseSyncRate, parseSyncWindows, SYNC_HOURS_MAX, syncPrioritySchema } from '../../../../protocol/sync/sync-limits.ts'
import type { SyncHours, SyncLimits, SyncPriority } from '../../../../protocol/sync/sync-limits.ts'
import { refuseChoice } from '../../refused-value.ts'

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
  const bytes = parseSyncRate(text)
  if (bytes !== undefined) return bytes
  throw problem('invalid-input', `rate=${text} is not a rate from 64 KiB/s to 1 TB/s.`, { action: 'Write it as rate=10MB.' })
}

function hoursOf(text: string): SyncHours[] {
  const windows = parseSyncWindows(text)
  if (windows) return windows
  throw problem('invalid-input', `hours=${text} is not a list of at most ${SYNC_HOURS_MAX} windows.`, {
    action: 'Write it as hours="0 22 * * * for 8h", several windows with semicolons between them.',
  })
}

function priorityOf(text: string): SyncPriority {
  const { data } = syncPrioritySchema.safeParse(text)
  if (data) return data
  throw refuseChoice('priority', text, syncPrioritySchema.options)
}
