// Decides who may read an image. The routes of content, manifests and slices all use these rules.

import type { Image } from '../../protocol/image.ts'
import type { Actor } from '../contract/access.ts'

/** Whether the agent serves the content of an image: not while the image is being created or deleted, is in the recycle bin, or is in error. */
export function isServed(image: Pick<Image, 'status'>): boolean {
  return image.status === 'available' || image.status === 'degraded'
}

/** Whether a credential allows access to an image: a token to every image, a link to the image that it was created for. */
export function isOpenTo(image: Pick<Image, 'id'>, actor: Pick<Actor, 'link'>): boolean {
  return !actor.link || actor.link.image === image.id
}

/** Whether an actor may read the content of an image now. */
export function isReadable(image: Pick<Image, 'id' | 'status'>, actor: Pick<Actor, 'link'>): boolean {
  return isServed(image) && isOpenTo(image, actor)
}
