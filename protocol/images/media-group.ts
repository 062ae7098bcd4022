// Media groups: images that belong together, shown to every viewer or hidden.

import { z } from 'zod'
import { DESCRIPTION_LENGTH_MAX, nameSchema } from './image.ts'

/** Most media groups that a store keeps settings of. */
export const MEDIA_GROUPS_MAX = 1000

const descriptionSchema = z.string().max(DESCRIPTION_LENGTH_MAX)

/** A media group as a caller sees it. A group that only images name is visible and has no description. */
export const mediaGroupSchema = z.object({
  name: z.string(),
  description: z.string(),
  /** False hides its images that have no grants from everybody but their owners, operators and administrators. */
  visible: z.boolean(),
  /** Images of the group that the caller may see, the recycle bin included. */
  images: z.int().min(0),
})

export type MediaGroup = z.infer<typeof mediaGroupSchema>

/** Body of POST /v1/media-groups. */
export const newMediaGroupSchema = z.strictObject({ name: nameSchema, description: descriptionSchema.default(''), visible: z.boolean().default(true) })

export type NewMediaGroup = z.infer<typeof newMediaGroupSchema>

/** Body of PATCH /v1/media-groups/{name}. */
export const mediaGroupPatchSchema = z
  .strictObject({ name: nameSchema, description: descriptionSchema, visible: z.boolean() })
  .partial()
  .refine((patch) => Object.keys(patch).length > 0, 'must change at least one member')
  .meta({ minProperties: 1 })

export type MediaGroupPatch = z.infer<typeof mediaGroupPatchSchema>
