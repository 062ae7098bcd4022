// Who may read an image: content, manifest and slices all ask here.

import type { Image } from '../../protocol/image.ts'
import type { Actor } from '../contract/access.ts'

/** Whether the content of an image is served at all: not while it is created, in the recycle bin, in error or being removed. */
export function isServed(image: Pick<Image, 'status'>): boolean {
  return image.status === 'available' || image.status === 'degraded'
}

/** Whether a credential opens an image: a token opens every one, a link the one that it was made for. */
export function isOpenTo(image: Pick<Image, 'id'>, actor: Pick<Actor, 'link'>): boolean {
  return !actor.link || actor.link.image === image.id
}

/** Whether an actor may read the content of an image now. */
export function isReadable(image: Pick<Image, 'id' | 'status'>, actor: Pick<Actor, 'link'>): boolean {
  return isServed(image) && isOpenTo(image, actor)
}
