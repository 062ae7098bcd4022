// Images that tasks, events and health checks mention. What mentions an image that the caller may not see is hidden from it as well, also when the
// image no longer exists: nobody can tell then who might have seen it.

import type { Image } from '../../../protocol/images/image.ts'
import { audienceOf } from '../../access/readable.ts'
import type { Actor } from '../../contract/access.ts'

/** Looks up an image in any status by its id. */
export type FindImage = (id: string) => Image | undefined

/** Ids of images within text (protocol/ids.ts). */
const IMAGE_ID = /img_[0-9a-hjkmnp-tv-z]{26}/g

/** The images that one caller may see, by id. Use it for one request only: rights can change. */
export interface SeenImages {
  /** Whether the caller may see every image. */
  readonly isComplete: boolean
  /** Whether the caller may see the image with this id. False for an unknown image, unless the caller may see every image. */
  has(id: string): boolean
  /** Whether the caller may see every image that a JSON value mentions. */
  hasAllOf(value: unknown): boolean
  /** Whether a JSON value mentions an image that exists and that the caller may not see. */
  isHiddenFrom(value: unknown): boolean
  /** Returns text in which the ids of other images are replaced. */
  redact(text: string): string
}

/** Returns the images that an actor may see. */
export function seenImages(find: FindImage, actor: Actor): SeenImages {
  const audience = audienceOf(actor)
  const known = new Map<string, boolean>()
  const has = (id: string): boolean => {
    if (!audience) return true
    let isSeen = known.get(id)
    if (isSeen === undefined) {
      const image = find(id)
      isSeen = image !== undefined && audience.isSeen(image)
      known.set(id, isSeen)
    }
    return isSeen
  }
  return {
    isComplete: audience === undefined,
    has,
    hasAllOf: (value) => audience === undefined || mentionedImages(value).every(has),
    isHiddenFrom: (value) => mentionedImages(value).some((id) => !has(id) && find(id) !== undefined),
    redact: (text) => (audience === undefined ? text : text.replaceAll(IMAGE_ID, (id) => (has(id) ? id : '(hidden)'))),
  }
}

/** Returns the ids of the images that a JSON value mentions. */
export function mentionedImages(value: unknown): string[] {
  return JSON.stringify(value).match(IMAGE_ID) ?? []
}
