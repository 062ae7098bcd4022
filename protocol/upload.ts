// Uploads in progress, as `GET /v1/uploads` lists them.

import { z } from 'zod'
import { timeSchema } from './time.ts'

/**
 * State of an upload. `uploading`: bytes arrived, or it was created, within the last UPLOADING_MS. `pending`: it waits for a slot, for its client,
 * or to become an image; `stateReason` says for which.
 */
export const uploadStateSchema = z.enum(['uploading', 'pending'])

/** Time after the last byte, or after the creation, for which an upload counts as `uploading`, in milliseconds. */
export const UPLOADING_MS = 10_000

export const uploadSchema = z.object({
  id: z.string(),
  /** `partial`: a part of a concatenation, which becomes no image by itself. `final`: a concatenation. */
  kind: z.enum(['whole', 'partial', 'final']),
  state: uploadStateSchema,
  /** What the upload waits for or does, and what happens next, in sentences. */
  stateReason: z.string(),
  /** Bytes that are durable. */
  offset: z.int().min(0),
  /** Length of the whole upload in bytes; null while it is deferred. */
  length: z.int().min(0).nullable(),
  /** Bytes per second that arrived during the last seconds; 0 while none arrive. */
  rate: z.number().min(0),
  etaSeconds: z.number().min(0).nullable(),
  /** Name of the image that it will become; null for a part. */
  name: z.string().nullable(),
  /** Id of the image that it will become; null for a part. */
  imageId: z.string().nullable(),
  owner: z.string().nullable(),
  /** Name of the token that created it, or of the token whose link created it. */
  creator: z.string(),
  /** Device that the client declared; null without one. */
  device: z.string().nullable(),
  filename: z.string().nullable(),
  createdAt: timeSchema,
  /** When the last bytes became durable, or the creation. */
  activeAt: timeSchema,
  /** When the upload expires, unless a request renews it. */
  expiresAt: timeSchema.nullable(),
})

export type Upload = z.infer<typeof uploadSchema>
export type UploadState = z.infer<typeof uploadStateSchema>
