// Images as clients see them, and the members that clients may change.

import { z } from 'zod'
import { grantsSchema } from './grant.ts'
import { labelsPatchSchema, labelsSchema } from './labels.ts'
import { timeSchema } from '../time.ts'

/** A `virtualDisk` belongs to one instance: it is deleted with its last binding, and its metadata cannot be edited. */
export const imageKindSchema = z.enum(['system', 'disk', 'iso', 'base', 'template', 'snapshot', 'backup', 'capture', 'virtualDisk'])
export const imageFormatSchema = z.enum(['raw', 'qcow2', 'vmdk', 'iso'])
export const imageStatusSchema = z.enum(['creating', 'uploading', 'pending', 'available', 'degraded', 'fileUnavailable', 'error', 'deleted', 'deleting'])

export type ImageFormat = z.infer<typeof imageFormatSchema>
export type ImageStatus = z.infer<typeof imageStatusSchema>

export const NAME_LENGTH_MAX = 255
export const DESCRIPTION_LENGTH_MAX = 4096

/** Names are shown in terminals and chats, so they contain no control characters and are not blank. */
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

/** Name or id of an instance of a hypervisor. */
const instanceSchema = nameSchema

/** Least resources that an instance of the image needs: a count of CPUs, and bytes; null when unknown. */
export const requirementsSchema = z.object({
  cpus: z.int().min(1).nullable().default(null),
  memory: z.int().min(0).nullable().default(null),
  disk: z.int().min(0).nullable().default(null),
})

/** What the inspection found in the bytes of an image, besides its format and virtual size. A fact that is not known is null. */
export const formatDetailsSchema = z.object({
  /** What the bytes are, also if no store accepts it: an image format, or a name such as `vdi`; `unknown` if formats contradict each other or nothing was detected. */
  detected: z.string(),
  /** Version or kind within the format, such as `3` for qcow2 or `streamOptimized` for vmdk. */
  variant: z.string().nullable(),
  /** Unit of allocation in bytes. */
  clusterSize: z.int().min(0).nullable(),
  /** Null also if nothing is compressed. */
  compression: z.enum(['zlib', 'zstd']).nullable(),
  /** Whether a machine can start from it, as far as its boot records tell. */
  bootable: z.boolean().nullable(),
  partitionTable: z.enum(['mbr', 'gpt']).nullable(),
  /** Bytes of the virtual disk that the file has data for. */
  allocatedSize: z.int().min(0).nullable(),
  /** Code of the problem for which the image was refused. */
  refusal: z.string().nullable(),
})

export type FormatDetails = z.infer<typeof formatDetailsSchema>

export const imageSchema = z.object({
  id: z.string(),
  name: nameSchema,
  description: z.string().max(DESCRIPTION_LENGTH_MAX),
  kind: imageKindSchema,
  /** Null until the content has been inspected. */
  format: imageFormatSchema.nullable(),
  /** Null until the content has been inspected. */
  formatDetails: formatDetailsSchema.nullable().default(null),
  status: imageStatusSchema,
  /** Reason for a status other than `available`, in one sentence. */
  statusReason: z.string().nullable(),
  /** SHA-256 of the complete file; null until it has been computed. */
  digest: z.string().nullable(),
  manifestDigest: z.string().nullable(),
  length: z.int().min(0),
  virtualSize: z.int().min(0).nullable(),
  storedSize: z.int().min(0).nullable(),
  /** Stored bytes that deleting this image would free, since no other image uses them. Null until they have been counted. */
  uniqueSize: z.int().min(0).nullable(),
  os: z.string().max(NAME_LENGTH_MAX).nullable(),
  cloudInit: z.boolean().nullable(),
  requirements: requirementsSchema.nullable(),
  mediaGroup: z.string().max(NAME_LENGTH_MAX).nullable(),
  /** Whether its media group is hidden: without grants, only its owner, operators and administrators then see it. */
  hidden: z.boolean().default(false),
  owner: z.string().max(NAME_LENGTH_MAX).nullable(),
  labels: labelsSchema.default({}),
  /** The instance whose disk the image was made from, or to which a virtual disk belongs. */
  sourceInstance: instanceSchema.nullable().default(null),
  source: imageSourceSchema,
  protected: z.boolean(),
  bindings: z.array(z.string()),
  /** With grants, the image is visible only to its owner, to those named here, and to operators and administrators. */
  grants: grantsSchema,
  createdAt: timeSchema,
  availableAt: timeSchema.nullable(),
  deletedAt: timeSchema.nullable(),
  /** When the image in the recycle bin expires; null outside the bin, and for an image that never expires. */
  expiresAt: timeSchema.nullable(),
})

export type Image = z.infer<typeof imageSchema>

/** Body of PATCH /v1/images/{id}: the members that clients may change. The bytes never change. */
export const imagePatchSchema = z
  .strictObject({
    name: nameSchema,
    description: z.string().max(DESCRIPTION_LENGTH_MAX),
    /** An image does not become a virtual disk, because a virtual disk belongs to an instance from its beginning. */
    kind: imageKindSchema.exclude(['virtualDisk']),
    os: z.string().max(NAME_LENGTH_MAX).nullable(),
    cloudInit: z.boolean().nullable(),
    requirements: z.strictObject(requirementsSchema.shape).nullable(),
    mediaGroup: z.string().max(NAME_LENGTH_MAX).nullable(),
    owner: z.string().max(NAME_LENGTH_MAX).nullable(),
    labels: labelsPatchSchema,
    sourceInstance: instanceSchema.nullable(),
    protected: z.boolean(),
  })
  .partial()
  .refine((patch) => Object.keys(patch).length > 0, 'must change at least one member')
  .meta({ minProperties: 1 })

export type ImagePatch = z.infer<typeof imagePatchSchema>

/** Most images in one POST /v1/unique-size. */
export const UNIQUE_SIZE_IMAGES_MAX = 100
/** Body of POST /v1/unique-size: images by id, or by a name that only one image has. */
export const uniqueSizeQuerySchema = z.strictObject({ images: z.array(z.string().min(1).max(255)).min(1).max(UNIQUE_SIZE_IMAGES_MAX) })
/** Stored bytes that deleting all of these images would free; null in a store too large to count. */
export const uniqueSizeSchema = z.object({ uniqueSize: z.int().min(0).nullable() })

/** Members that the creator of an image sets: the keys of Upload-Metadata, except those about the transfer. */
export const imageDraftSchema = z.object({
  name: nameSchema,
  description: z.string().max(DESCRIPTION_LENGTH_MAX).default(''),
  kind: imageKindSchema.optional(),
  format: imageFormatSchema.optional(),
  os: z.string().max(NAME_LENGTH_MAX).optional(),
  cloudInit: z.boolean().optional(),
  mediaGroup: z.string().max(NAME_LENGTH_MAX).optional(),
  owner: z.string().max(NAME_LENGTH_MAX).optional(),
  requirements: z.strictObject(requirementsSchema.shape).optional(),
  labels: labelsSchema.optional(),
  sourceInstance: instanceSchema.optional(),
  /** Whether the file is compressed with gzip, xz or zstd, and the image is what it unpacks to. */
  decompress: z.boolean().optional(),
  /** Expected SHA-256 of the complete file as it is uploaded, compressed or not, verified before the image becomes available. */
  digest: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 hex digits')
    .optional(),
})

export type ImageDraft = z.infer<typeof imageDraftSchema>
