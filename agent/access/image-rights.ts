// Decides what an actor may do with an image. Every route and the index of visible slices use this one function, so that no part of the agent
// shows what another part hides.

import { roleIncludes } from '../../protocol/access.ts'
import { RIGHTS } from '../../protocol/images/grant.ts'
import type { Right } from '../../protocol/images/grant.ts'
import type { Image } from '../../protocol/images/image.ts'
import type { Actor, Principal } from '../contract/access.ts'

/** The members of an image that decide its rights. */
export type GuardedImage = Pick<Image, 'id' | 'owner' | 'grants' | 'hidden'>

const ALL: ReadonlySet<Right> = new Set(RIGHTS)
const NONE: ReadonlySet<Right> = new Set()
/** Rights of the roles below operator on an image without grants. */
const OPEN_TO_VIEWERS: ReadonlySet<Right> = new Set(['read', 'export'])
const OPEN_TO_UPLOADERS: ReadonlySet<Right> = new Set(['read', 'use', 'export'])
/** Most that a download link allows. */
const LINKED: readonly Right[] = ['read', 'export']
/** What a grant between stores allows. */
const GRANTED: ReadonlySet<Right> = new Set(['read'])

/**
 * Returns the rights of an actor on an image. Without `read`, the image must look to the actor as if it did not exist. Operators, administrators and
 * the owner have every right. Others have those that grants give to them; an image without grants is open to every viewer, unless its media group is
 * hidden. A link has the rights to read the one image that it is for, while its creator has the right `use`. A grant between stores may read its
 * images, while its creator has the right `manage`.
 */
export function imageRights(image: GuardedImage, actor: Principal & Pick<Actor, 'link' | 'grant'>): ReadonlySet<Right> {
  const { link, grant } = actor
  if (grant) return grant.images.has(image.id) && principalRights(image, grant.maker).has('manage') ? GRANTED : NONE
  if (!link) return principalRights(image, actor)
  if (link.image !== image.id) return NONE
  const rights = principalRights(image, link.maker)
  return rights.has('use') ? new Set(LINKED.filter((right) => rights.has(right))) : NONE
}

/** Returns the rights that a principal has as the owner of an image or by its grants, whatever its role. */
export function namedRights({ owner, grants }: GuardedImage, { subject, groups = [] }: Principal): ReadonlySet<Right> {
  if (subject !== undefined && subject === owner) return ALL
  if (grants.length === 0 || (subject === undefined && groups.length === 0)) return NONE
  const rights = new Set<Right>()
  for (const grant of grants) if (isNamed(grant.subject, subject, groups)) for (const right of grant.rights) rights.add(right)
  return rights
}

function principalRights(image: GuardedImage, principal: Principal): ReadonlySet<Right> {
  if (roleIncludes(principal.role, 'operator')) return ALL
  const named = namedRights(image, principal)
  if (named === ALL || image.grants.length > 0 || image.hidden) return named
  return principal.role === 'uploader' ? OPEN_TO_UPLOADERS : OPEN_TO_VIEWERS
}

function isNamed(grantee: string, subject: string | undefined, groups: readonly string[]): boolean {
  if (grantee.startsWith('user:')) return subject !== undefined && grantee.length === 'user:'.length + subject.length && grantee.endsWith(subject)
  return grantee.startsWith('group:') && groups.includes(grantee.slice('group:'.length))
}
