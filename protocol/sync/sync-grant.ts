// Grants between stores: tokens with which a target reads certain images of a source, and nothing else, for some hours.

import { z } from 'zod'
import { tokenSchema } from '../access.ts'
import { timeSchema } from '../time.ts'
import { storeKeySchema } from './grant-proof.ts'

/** Begin of the token of a grant. Tokens of clients begin differently, so a store knows what it was given. */
export const GRANT_TOKEN_PREFIX = 'slg_'
/** Most images of one grant: as many as one sync may copy. */
export const GRANT_IMAGES_MAX = 1000
/** Longest life of a grant in hours. */
export const GRANT_HOURS_MAX = 168

/**
 * Body of POST /v1/sync/grants, sent to the source. `images` are ids; `target` is the UUID of the store that will use the grant, and `targetKey` its
 * public key, which GET /v1/store announces: with it, the grant can be used by this store only.
 */
export const newSyncGrantSchema = z
  .strictObject({
    images: z
      .array(z.string().regex(/^img_[0-9a-hjkmnp-tv-z]{26}$/, 'must be the id of an image'))
      .min(1)
      .max(GRANT_IMAGES_MAX),
    target: z.uuid().optional(),
    targetKey: storeKeySchema.optional(),
    hours: z.int().min(1).max(GRANT_HOURS_MAX),
    /** The target may keep the grant after its hours, to repair its copies: for 30 days after each use, a year at most. Needs `targetKey`. */
    healing: z.boolean().optional(),
  })
  .refine(({ healing, targetKey }) => healing !== true || targetKey !== undefined, 'needs `targetKey` for a grant for repairs')
  .meta({ anyOf: [{ properties: { healing: { const: false } } }, { required: ['targetKey'] }] })
export type NewSyncGrant = z.infer<typeof newSyncGrantSchema>

/** Answer of POST /v1/sync/grants, the only answer that shows the token. `id` revokes the grant, like a token. */
export const createdSyncGrantSchema = z.object({ id: tokenSchema.shape.id, token: z.string(), expiresAt: timeSchema })
export type CreatedSyncGrant = z.infer<typeof createdSyncGrantSchema>

/** Whether a token is that of a grant between stores. */
export function isGrantToken(token: string): boolean {
  return token.startsWith(GRANT_TOKEN_PREFIX)
}
