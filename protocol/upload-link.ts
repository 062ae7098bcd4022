// Upload links: each lets whoever has it create one upload without a token. `POST /v1/links` creates them, `GET /v1/links` lists them.

import { z } from 'zod'
import { imageDraftSchema, imageStatusSchema } from './images/image.ts'
import { timeSchema } from './time.ts'

/** Longest `draft` of an upload link, in characters of JSON: all links of a store are in memory, and each change writes them. */
export const LINK_DRAFT_LENGTH_MAX = 1024

/** What an upload link decides about its image, besides the name. Members that it does not decide are left to the client, except owner and labels. */
export const linkDraftSchema = z
  .strictObject(imageDraftSchema.shape)
  .omit({ name: true, requirements: true })
  .partial()
  .extend({ description: imageDraftSchema.shape.description.unwrap().optional() })
  .refine((draft) => JSON.stringify(draft).length <= LINK_DRAFT_LENGTH_MAX, `must have at most ${LINK_DRAFT_LENGTH_MAX} characters as JSON`)
export type LinkDraft = z.infer<typeof linkDraftSchema>

/**
 * State of an upload link. `open`: it waits for its upload. `used`: its upload is in progress. `completed`: the upload became an image. `cancelled`: the
 * upload was deleted. `expired`: no upload began in time, or the upload expired. `revoked`: somebody revoked the link, or its creator's token is gone.
 */
export const uploadLinkStateSchema = z.enum(['open', 'used', 'completed', 'cancelled', 'expired', 'revoked'])
export type UploadLinkState = z.infer<typeof uploadLinkStateSchema>

/** An upload link without its secret. */
export const uploadLinkSchema = z.object({
  id: z.string(),
  state: uploadLinkStateSchema,
  /** Name of the image; null if the client chooses it. */
  name: z.string().nullable(),
  draft: linkDraftSchema,
  /** Longest upload in bytes; null for the limit of the store. */
  maxLength: z.int().min(1).nullable(),
  /** Name of the token that created it, with the person for whom it asked. */
  createdBy: z.string(),
  createdAt: timeSchema,
  /** Until when the upload can begin. An upload that has begun may continue. */
  expiresAt: timeSchema,
  /** When the link reached its last state; null while it is open or used. */
  endedAt: timeSchema.nullable(),
  /** The upload that it created; null before. */
  uploadId: z.string().nullable(),
  /** The image that the upload becomes or became; null before there is an upload. */
  imageId: z.string().nullable(),
})
export type UploadLink = z.infer<typeof uploadLinkSchema>

/** What an upload link says to whoever has it: `GET` of the link with `Accept: application/json`. */
export const linkStatusSchema = z.object({
  state: uploadLinkStateSchema,
  /** Name of the store. */
  store: z.string(),
  /** Name of the image; null if the client chooses it. */
  name: z.string().nullable(),
  format: z.string().nullable(),
  /** Longest upload in bytes. */
  maxLength: z.int().min(1),
  expiresAt: timeSchema,
  /** The upload in progress; null before and after. `url` includes the link. */
  upload: z.object({ url: z.string(), offset: z.int().min(0), length: z.int().min(0).nullable(), expiresAt: timeSchema.nullable() }).nullable(),
  /** The image that the upload became; null before, and once the image is deleted. */
  image: z.object({ id: z.string(), status: imageStatusSchema, statusReason: z.string().nullable() }).nullable(),
})
export type LinkStatus = z.infer<typeof linkStatusSchema>
