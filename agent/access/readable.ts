// Decides who may read the content of an image. The routes of content, manifests and slices all use these rules.

import { roleIncludes } from '../../protocol/access.ts'
import type { Image } from '../../protocol/images/image.ts'
import type { Actor } from '../contract/access.ts'
import type { Audience } from '../contract/images.ts'
import { imageRights } from './image-rights.ts'
import type { GuardedImage } from './image-rights.ts'

/** Whether the agent serves the content of an image: not while the image is being created or deleted, is in the recycle bin, or is in error. */
export function isServed(image: Pick<Image, 'status'>): boolean {
  return image.status === 'available' || image.status === 'degraded'
}

/** Whether an actor may see an image. An image that it may not see must look as if it did not exist. */
export function isVisible(image: GuardedImage, actor: Actor): boolean {
  return imageRights(image, actor).has('read')
}

/** Returns for whom a list or a count is made; undefined for an actor who may see every image. */
export function audienceOf(actor: Actor): Audience | undefined {
  if (!actor.link && !actor.grant && roleIncludes(actor.role, 'operator')) return undefined
  const { subject, groups, link, grant } = actor
  return { key: JSON.stringify([subject, groups, link?.id ?? grant?.id]), isSeen: (image) => isVisible(image, actor) }
}

/** Whether an actor may read the content of an image now. */
export function isReadable(image: GuardedImage & Pick<Image, 'status'>, actor: Actor): boolean {
  return isServed(image) && isVisible(image, actor)
}
