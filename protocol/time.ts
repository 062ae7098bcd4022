// Times on the wire: RFC 3339 in UTC.

import { z } from 'zod'

export const timeSchema = z.iso.datetime({ offset: false })

/** Formats a time in milliseconds since 1970 as RFC 3339. */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString()
}
