// Images as clients see them (DESIGN §6) and what may be changed on them.

import { z } from 'zod'
import { timeSchema } from './time.ts'

export const imageKindSchema = z.enum(['system', 'disk', 'iso', 'base', 'template', 'snapshot', 'backup', 'capture'])
export const imageFormatSchema = z.enum(['raw', 'qcow2', 'vmdk', 'iso'])
export const imageStatusSchema = z.enum(['creating', 'uploading', 'pending', 'available', 'degraded', 'fileUnavailable', 'error', 'deleted', 'deleting'])

export type ImageFormat = z.infer<typeof imageFormatSchema>
export type ImageStatus = z.infer<typeof imageStatusSchema>

export const NAME_LENGTH_MAX = 255
export const DESCRIPTION_LENGTH_MAX = 4096

/** Names are shown in terminals and chats: no control characters, nothing blank. */
export const nameSchema = z
  .string()
  .trim()
  .min(1)
  .max(NAME_LENGTH_MAX)
  .regex(/^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\ufeff]*$/, 'must not contain control characters')
  .meta({ pattern: String.raw`^(?=.*\S)[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\ufeff]*$` })

/** Where an image came from. `storeId` and `url` are set for a sync, `uploadId` for an upload. */
export const imageSourceSchema = z.object({
  kind: z.enum(['upload', 'sync', 'url', 'path', 'inbox', 'capture', 'existing']),
  uploadId: z.string().nullable().default(null),
  storeId: z.string().nullable().default(null),
  url: z.string().nullable().default(null),
  filename: z.string().nullable().default(null),
  device: z.string().nullable().default(null),
})

/** Least resources an instance of the image needs; bytes and counts, null where unknown. */
export const requirementsSchema = z.object({
  cpus: z.int().min(1).nullable().default(null),
  memory: z.int().min(0).nullable().default(null),
  disk: z.int().min(0).nullable().default(null),
})

export const imageSchema = z.object({
  id: z.string(),
  name: nameSchema,
  description: z.string().max(DESCRIPTION_LENGTH_MAX),
  kind: imageKindSchema,
  /** Null until the content was looked at. */
  format: imageFormatSchema.nullable(),
  status: imageStatusSchema,
  /** One sentence why the status is what it is, where it is not `available`. */
  statusReason: z.string().nullable(),
  /** SHA-256 of the whole file; null until it was computed. */
  digest: z.string().nullable(),
  manifestDigest: z.string().nullable(),
  length: z.int().min(0),
  virtualSize: z.int().min(0).nullable(),
  storedSize: z.int().min(0).nullable(),
  /** Bytes that only this image holds: what deleting it would free. Null where not counted yet. */
  uniqueSize: z.int().min(0).nullable(),
  os: z.string().max(NAME_LENGTH_MAX).nullable(),
  cloudInit: z.boolean().nullable(),
  requirements: requirementsSchema.nullable(),
  mediaGroup: z.string().max(NAME_LENGTH_MAX).nullable(),
  owner: z.string().max(NAME_LENGTH_MAX).nullable(),
  source: imageSourceSchema,
  protected: z.boolean(),
  bindings: z.array(z.string()),
  grants: z.array(z.string()),
  createdAt: timeSchema,
  availableAt: timeSchema.nullable(),
  deletedAt: timeSchema.nullable(),
  /** When the recycle bin lets the image go; null outside the bin and where it stays for ever. */
  expiresAt: timeSchema.nullable(),
})

export type Image = z.infer<typeof imageSchema>

/** Body of PATCH /v1/images/{id}: what may change once an image is there. Its bytes never do. */
export const imagePatchSchema = z
  .strictObject({
    name: nameSchema,
    description: z.string().max(DESCRIPTION_LENGTH_MAX),
    kind: imageKindSchema,
    os: z.string().max(NAME_LENGTH_MAX).nullable(),
    cloudInit: z.boolean().nullable(),
    requirements: z.strictObject(requirementsSchema.shape).nullable(),
    mediaGroup: z.string().max(NAME_LENGTH_MAX).nullable(),
    owner: z.string().max(NAME_LENGTH_MAX).nullable(),
    protected: z.boolean(),
  })
  .partial()
  .refine((patch) => Object.keys(patch).length > 0, 'must change at least one member')
  .meta({ minProperties: 1 })

export type ImagePatch = z.infer<typeof imagePatchSchema>

/** Images of one POST /v1/unique-size at most. */
export const UNIQUE_SIZE_IMAGES_MAX = 100
/** Body of POST /v1/unique-size: images by id, or by name when only one image has it. */
export const uniqueSizeQuerySchema = z.strictObject({ images: z.array(z.string().min(1).max(255)).min(1).max(UNIQUE_SIZE_IMAGES_MAX) })
/** Stored bytes that only these images hold; null in a store too large to count. */
export const uniqueSizeSchema = z.object({ uniqueSize: z.int().min(0).nullable() })

/** What a new image is told by the one who brings it; the keys of Upload-Metadata that are not about transport. */
export const imageDraftSchema = z.object({
  name: nameSchema,
  description: z.string().max(DESCRIPTION_LENGTH_MAX).default(''),
  kind: imageKindSchema.optional(),
  format: imageFormatSchema.optional(),
  os: z.string().max(NAME_LENGTH_MAX).optional(),
  cloudInit: z.boolean().optional(),
  mediaGroup: z.string().max(NAME_LENGTH_MAX).optional(),
  owner: z.string().max(NAME_LENGTH_MAX).optional(),
  /** Expected SHA-256 of the whole file, verified before the image becomes available. */
  digest: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 hex digits')
    .optional(),
})

export type ImageDraft = z.infer<typeof imageDraftSchema>

/** Cursor of GET /v1/images: creation time in milliseconds and id of the last image of the page before. */
export const imageCursorSchema = z.string().regex(/^\d{1,15}-img_[0-9a-hjkmnp-tv-z]{26}$/, 'must be the next of an earlier page')

/** Filters of GET /v1/images. The recycle bin is listed with `status=deleted` only. */
export const imageFilterSchema = z.object({
  status: imageStatusSchema.optional(),
  owner: z.string().max(NAME_LENGTH_MAX).optional(),
  name: z.string().max(NAME_LENGTH_MAX).optional(),
  kind: imageKindSchema.optional(),
  format: imageFormatSchema.optional(),
})

export type ImageFilter = z.infer<typeof imageFilterSchema>
