// Health of a store: its state, and checks with their impact and the next action.

import { z } from 'zod'
import { timeSchema } from './time.ts'

export const checkStateSchema = z.enum(['ok', 'warning', 'failed', 'unknown'])
export const healthStateSchema = z.enum(['running', 'degraded', 'stopped', 'error'])

export const checkSchema = z.object({
  name: z.string(),
  state: checkStateSchema,
  /** The measured value and its limit as human-readable text, such as `12.3 GB free`. */
  measured: z.string(),
  limit: z.string().nullable(),
  /** What the result means for users; empty when ok. */
  impact: z.string(),
  /** What to do next; empty when ok. */
  action: z.string(),
  /** When the check will fail at the rate of the last days; absent without such a forecast. */
  failsAt: timeSchema.optional(),
})

/** Without a token only `state` and `asOf` are shown and `checks` is empty. */
export const healthSchema = z.object({ state: healthStateSchema, checks: z.array(checkSchema), asOf: timeSchema })

export type CheckState = z.infer<typeof checkStateSchema>
export type HealthState = z.infer<typeof healthStateSchema>
export type Check = z.infer<typeof checkSchema>
export type Health = z.infer<typeof healthSchema>
