// Events: what happened in a store, numbered without gaps.

import { z } from 'zod'
import { timeSchema } from './time.ts'

export const severitySchema = z.enum(['info', 'warning', 'error'])

export const eventSchema = z.object({
  /** Ascending number as text; the id of a server-sent event. */
  id: z.string(),
  time: timeSchema,
  /** `noun.verb`, such as `image.available`. */
  type: z.string(),
  severity: severitySchema,
  /** Id of the image, upload, task … it is about. */
  subject: z.string(),
  /** One sentence for people. */
  message: z.string(),
  actor: z.string(),
  details: z.record(z.string(), z.unknown()),
})

export type Severity = z.infer<typeof severitySchema>
export type StoreEvent = z.infer<typeof eventSchema>
