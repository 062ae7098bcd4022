// Looks up the image of a request for its caller. Every route that takes an image finds it here, so that an image that the caller may not see is
// answered like one that does not exist.

import { roleIncludes } from '../../../protocol/access.ts'
import type { Role } from '../../../protocol/access.ts'
import type { Right } from '../../../protocol/images/grant.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { problem } from '../../../protocol/problems.ts'
import { imageRights, namedRights } from '../../access/image-rights.ts'
import { isVisible } from '../../access/readable.ts'
import type { Actor } from '../../contract/access.ts'
import { preferred } from '../../images/lists/preferred.ts'

/** Most ids that the problem for an ambiguous name lists. */
const IDS_SHOWN_MAX = 10

/** What a request needs to do with an image. Use it as the `access` of its route too, which lets callers with a lower role come this far. */
export interface ImageAccess {
  /** Callers with this role need no grant beyond seeing the image. */
  readonly role: Role
  /** Callers with a lower role need this right as the owner or by a grant. */
  readonly right: Right
}

/** The look-up that routes need from the catalogue. */
export interface NamedImages {
  /** Returns the image with this id; otherwise every image outside the recycle bin with this name, also those that are still uploaded. */
  named(idOrName: string): readonly Image[]
}

/**
 * Returns the image with this id, or the only one with this name that the actor may see. Throws ProblemError `not-found` also for an image that the
 * actor may not see, `conflict` if it sees several with the name, and `forbidden` if it sees the image without having the right.
 *
 * @example
 * const EDIT = { role: 'operator', right: 'manage' } as const
 * route({ method: 'PATCH', access: EDIT, run: ({ params, actor }) => images.patch(visibleImage(images, params.id, actor, EDIT).id, …) })
 */
export function visibleImage(images: NamedImages, idOrName: string, actor: Actor, needed: Right | ImageAccess): Image {
  // Decided among the visible images, so that a hidden one takes the name from none.
  const found = preferred(images.named(idOrName).filter((image) => isVisible(image, actor)))
  const [image] = found
  if (!image) throw problem('not-found', `There is no image ${idOrName}.`)
  if (found.length > 1)
    throw problem('conflict', `${found.length} images are named ${idOrName}.`, {
      action: 'Use the id of the image you mean.',
      ids: found.slice(0, IDS_SHOWN_MAX).map(({ id }) => id),
    })
  requireRight(image, actor, needed)
  return image
}

/** Throws ProblemError `forbidden` unless the actor has a right on an image that it may see. */
function requireRight(image: Image, actor: Actor, needed: Right | ImageAccess): void {
  if (typeof needed === 'string') {
    if (imageRights(image, actor).has(needed)) return
    throw problem('forbidden', `This request needs the right ${needed} on image ${image.name}.`, {
      action: 'Ask the owner of the image or an operator for a grant with this right.',
      requiredRight: needed,
    })
  }
  const { role, right } = needed
  if (roleIncludes(actor.role, role) ? imageRights(image, actor).has(right) : namedRights(image, actor).has(right)) return
  throw problem('forbidden', `This request needs the right ${right} on image ${image.name}, or the role ${role}.`, {
    action: 'Ask the owner of the image or an operator for a grant with this right.',
    requiredRight: right,
    requiredRole: role,
  })
}
