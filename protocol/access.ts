// Tokens, roles and links.

import { z } from 'zod'
import { nameSchema } from './images/image.ts'
import { timeSchema } from './time.ts'
import { linkDraftSchema } from './upload-link.ts'

/** Roles in ascending order; each includes the roles before it. */
export const ROLES = ['viewer', 'uploader', 'operator', 'admin'] as const
export const roleSchema = z.enum(ROLES)
export type Role = z.infer<typeof roleSchema>

/** Whether a role includes another. */
export function roleIncludes(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed)
}

/** Most groups of a token, and most characters of all their names together. */
export const TOKEN_GROUPS_MAX = 32
export const TOKEN_GROUPS_LENGTH_MAX = 1024

/** What a grant between stores allows: to read these images. `target` is the UUID of the store that uses it, null if not named; `createdBy` names a token. */
export const tokenGrantSchema = z.object({
  images: z.array(z.string()),
  target: z.string().nullable(),
  createdBy: z.string(),
  /** Public key of the only store that can use the grant; absent while no store has proven itself to it. */
  key: z.string().optional(),
  /** Time at which a grant for repairs ends at the latest; absent for a grant that is only for a copy. */
  healingUntil: timeSchema.optional(),
})

export const tokenSchema = z.object({
  id: z.string(),
  name: z.string(),
  role: roleSchema,
  /** User for whom the token acts: it has the rights of grants to `user:NAME`, and owns the images whose owner is NAME. Null for none. */
  subject: z.string().nullable().default(null),
  /** Groups of the user: the token has the rights of grants to `group:NAME`. */
  groups: z.array(z.string()).default([]),
  /** Set for a grant between stores, which can read these images and nothing else, whatever its role. */
  grant: tokenGrantSchema.nullable().default(null),
  createdAt: timeSchema,
  expiresAt: timeSchema.nullable(),
  lastUsedAt: timeSchema.nullable(),
})
export type Token = z.infer<typeof tokenSchema>

export const newTokenSchema = z.strictObject({
  name: nameSchema,
  role: roleSchema,
  /** Name of the user, without `user:`. */
  subject: nameSchema.optional(),
  /** Names of groups, without `group:`. */
  groups: z
    .array(nameSchema)
    .max(TOKEN_GROUPS_MAX)
    .refine((groups) => groups.join('').length <= TOKEN_GROUPS_LENGTH_MAX, `must have at most ${TOKEN_GROUPS_LENGTH_MAX} characters together`)
    .optional(),
  /** Seconds until the token expires; without this member the token never expires. */
  ttlSeconds: z.int().min(60).max(315_360_000).optional(),
})
export type NewToken = z.infer<typeof newTokenSchema>

/** Answer of POST /v1/tokens and of a rotation, the only answers that show the secret. */
export const createdTokenSchema = tokenSchema.extend({ token: z.string() })
export type CreatedToken = z.infer<typeof createdTokenSchema>

export const LINK_SECONDS_DEFAULT = 3600
export const LINK_SECONDS_MAX = 604_800

/** Longest origin in characters: a host name has at most 253. */
export const ORIGIN_LENGTH_MAX = 270

/** Origin of a page as browsers write it (RFC 6454 §6.2): scheme, host in lower case and port, without a path. */
const webOriginSchema = z
  .string()
  .max(ORIGIN_LENGTH_MAX)
  .regex(/^https?:\/\/(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$/, 'must be an origin such as https://console.example')

/** Body of POST /v1/links: a link for one upload, or for the download of one image. */
export const newLinkSchema = z.discriminatedUnion('kind', [
  z
    .strictObject({
      kind: z.literal('download'),
      /** Id or name of the image; or `export`, the id of an export. Exactly one of them. */
      image: z.string().optional(),
      export: z.string().optional(),
      ttlSeconds: z.int().min(1).max(LINK_SECONDS_MAX).default(LINK_SECONDS_DEFAULT),
    })
    .refine(({ image, export: exported }) => (image === undefined) !== (exported === undefined), 'must name either an image or an export'),
  z.strictObject({
    kind: z.literal('upload'),
    /** Name of the image, whatever name the client sends. */
    name: nameSchema.optional(),
    /** What else the link decides about the image. */
    draft: linkDraftSchema.optional(),
    /** Longest upload in bytes that the link allows. */
    maxLength: z.int().min(1).optional(),
    /** Origin of the page that may use the link in a browser (CORS), such as `https://console.example`. */
    origin: webOriginSchema.optional(),
    ttlSeconds: z.int().min(1).max(LINK_SECONDS_MAX).default(LINK_SECONDS_DEFAULT),
  }),
])
export type NewLink = z.infer<typeof newLinkSchema>

/** Answer of POST /v1/links, the only one that shows the link. `id` names it in events, and an upload link in the list. */
export const linkSchema = z.object({ id: z.string(), kind: z.enum(['download', 'upload']), url: z.string(), expiresAt: timeSchema })
export type Link = z.infer<typeof linkSchema>
