// Events of a store, numbered without gaps.

import { z } from 'zod'
import { timeSchema } from './time.ts'

export const severitySchema = z.enum(['info', 'warning', 'error'])

export const eventSchema = z.object({
  /** Ascending number as text; also the id of the server-sent event. */
  id: z.string(),
  time: timeSchema,
  /** `noun.verb`, such as `image.available`. */
  type: z.string(),
  severity: severitySchema,
  /** Id of the image, upload, task or other resource of the event. */
  subject: z.string(),
  /** One human-readable sentence. */
  message: z.string(),
  actor: z.string(),
  details: z.record(z.string(), z.unknown()),
})

export type Severity = z.infer<typeof severitySchema>
export type StoreEvent = z.infer<typeof eventSchema>
