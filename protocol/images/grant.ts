// Grants of an image: the rights of users and groups. Who may do what follows from them in agent/access/image-rights.ts.

import { z } from 'zod'

/** Rights on an image. read: metadata and content; use: bindings and links; export: exports and converted downloads; manage: edit, delete and grants. */
export const RIGHTS = ['read', 'use', 'export', 'manage'] as const
export const rightSchema = z.enum(RIGHTS)
export type Right = z.infer<typeof rightSchema>

/** Rights of a grant that names none. */
export const GRANT_RIGHTS_DEFAULT: readonly Right[] = ['read', 'use']

export const grantSchema = z.object({
  /** `user:NAME` or `group:NAME`. */
  subject: z.string(),
  /** In the order of RIGHTS; always has `read`. */
  rights: z.array(rightSchema),
})
export type Grant = z.infer<typeof grantSchema>

/** The grants of an image, sorted by subject. A subject alone, as earlier versions stored it, has GRANT_RIGHTS_DEFAULT. */
export const grantsSchema = z.preprocess(
  (grants) =>
    Array.isArray(grants)
      ? grants.map((grant: unknown) => (typeof grant === 'string' ? { subject: grant, rights: [...GRANT_RIGHTS_DEFAULT] } : grant))
      : grants,
  z.array(grantSchema),
)

/** Body of PUT /v1/images/{id}/grants/{subject}: the rights that replace the previous ones. */
export const grantOrderSchema = z.strictObject({
  set: z
    .array(rightSchema)
    .min(1)
    .max(RIGHTS.length)
    .default([...GRANT_RIGHTS_DEFAULT]),
})

/** Returns a grant with each right once, in the order of RIGHTS. It always has `read`: nobody can use what they do not see. */
export function makeGrant(subject: string, rights: readonly Right[]): Grant {
  return { subject, rights: RIGHTS.filter((right) => right === 'read' || rights.includes(right)) }
}
