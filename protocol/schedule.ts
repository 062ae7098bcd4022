// Schedules: jobs of a store that run at the times of a cron expression.

import { z } from 'zod'
import { timeSchema } from './time.ts'

export const scheduleNameSchema = z.enum(['cleanup', 'scrub', 'expire'])

export const scheduleSchema = z.object({
  name: scheduleNameSchema,
  cron: z.string(),
  timezone: z.string(),
  paused: z.boolean(),
  running: z.boolean(),
  lastRunAt: timeSchema.nullable(),
  /** Result of the last run, in one sentence; null before the first run. */
  lastResult: z.string().nullable(),
  lastTaskId: z.string().nullable(),
  nextRunAt: timeSchema.nullable(),
})

export const schedulePatchSchema = z
  .strictObject({ cron: z.string().min(9).max(120), paused: z.boolean() })
  .partial()
  .refine((patch) => Object.keys(patch).length > 0, 'must change at least one member')
  .meta({ minProperties: 1 })

export type ScheduleName = z.infer<typeof scheduleNameSchema>
export type Schedule = z.infer<typeof scheduleSchema>
export type SchedulePatch = z.infer<typeof schedulePatchSchema>
