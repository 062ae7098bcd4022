// Lists of images: filters, orders and cursors of `GET /v1/images`.

import { z } from 'zod'
import { imageFormatSchema, imageKindSchema, imageSourceSchema, imageStatusSchema, NAME_LENGTH_MAX } from './image.ts'
import { LABEL_KEY_LENGTH_MAX, LABEL_VALUE_LENGTH_MAX, labelKeySchema, LABELS_MAX } from './labels.ts'
import { pageQuerySchema } from '../page.ts'
import { timeSchema } from '../time.ts'

/** Members of an image by which lists are sorted. */
export const IMAGE_SORTS = [
  'createdAt',
  'availableAt',
  'deletedAt',
  'expiresAt',
  'name',
  'kind',
  'format',
  'status',
  'length',
  'virtualSize',
  'storedSize',
  'os',
  'cloudInit',
  'cpus',
  'memory',
  'disk',
  'mediaGroup',
  'owner',
  'sourceInstance',
] as const
export type ImageSort = (typeof IMAGE_SORTS)[number]

/** An order of a list: a member, with `-` before it for descending. */
export const imageOrderSchema = z.enum([...IMAGE_SORTS, ...IMAGE_SORTS.map((sort) => `-${sort}` as const)])
export type ImageOrder = z.infer<typeof imageOrderSchema>
/** The order of a list that names none: newest first. */
export const IMAGE_ORDER_DEFAULT: ImageOrder = '-createdAt'

/**
 * Cursor of GET /v1/images: for the default order, creation time in milliseconds and id of the last image of the previous page; for others, order
 * and value in base64url, and the id. It stays valid when that image changes or is deleted.
 */
export const imageCursorSchema = z
  .string()
  .max(4096)
  .regex(/^(?:\d{1,15}|[A-Za-z0-9_-]{4,4000}\.)-img_[0-9a-hjkmnp-tv-z]{26}$/, 'must be the next of an earlier page')

/** Length, place and order of a page of images. */
export const imagePageQuerySchema = pageQuerySchema.extend({ cursor: imageCursorSchema.optional(), sort: imageOrderSchema.default(IMAGE_ORDER_DEFAULT) })
export type ImagePageQuery = z.infer<typeof imagePageQuerySchema>

const nameFilterSchema = z.string().max(NAME_LENGTH_MAX)
const flagSchema = z.enum(['true', 'false'])
const bytesSchema = z.coerce.number().int().min(0)

/** Labels that an image must have, separated by commas: `env=production,team` means this value of `env`, and any of `team`. */
const labelFilterSchema = z
  .string()
  .min(1)
  .max(LABELS_MAX * (LABEL_KEY_LENGTH_MAX + LABEL_VALUE_LENGTH_MAX + 2))
  .refine((text) => parseLabelFilter(text).every(({ key }) => labelKeySchema.safeParse(key).success), 'must be KEY or KEY=VALUE, separated by commas')

/**
 * Filters of GET /v1/images; an image must pass all of them. Images in the recycle bin are listed only with `status=deleted`. An empty `owner`,
 * `os`, `mediaGroup` or `sourceInstance` lists the images without one.
 */
export const imageFilterSchema = z.object({
  status: imageStatusSchema.optional(),
  owner: nameFilterSchema.optional(),
  name: nameFilterSchema.optional(),
  /** Text that the name or the description contains, in any case. */
  search: z.string().min(1).max(NAME_LENGTH_MAX).optional(),
  kind: imageKindSchema.optional(),
  format: imageFormatSchema.optional(),
  os: nameFilterSchema.optional(),
  cloudInit: flagSchema.optional(),
  mediaGroup: nameFilterSchema.optional(),
  label: labelFilterSchema.optional(),
  sourceInstance: nameFilterSchema.optional(),
  /** Instance that uses the image. */
  instance: nameFilterSchema.optional(),
  source: imageSourceSchema.shape.kind.optional(),
  protected: flagSchema.optional(),
  /** Resources of an instance: only images whose requirements fit it, unknown requirements included. */
  cpus: z.coerce.number().int().min(1).optional(),
  memory: bytesSchema.optional(),
  disk: bytesSchema.optional(),
  createdAfter: timeSchema.optional(),
  createdBefore: timeSchema.optional(),
})

export type ImageFilter = z.infer<typeof imageFilterSchema>

/** A label that a filter asks for; with any value if that is undefined. */
export interface LabelFilter {
  readonly key: string
  readonly value: string | undefined
}

/** Parses the labels of a filter. */
export function parseLabelFilter(text: string): LabelFilter[] {
  return text.split(',').map((pair) => {
    const at = pair.indexOf('=')
    return at < 0 ? { key: pair, value: undefined } : { key: pair.slice(0, at), value: pair.slice(at + 1) }
  })
}
