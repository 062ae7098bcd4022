// Limit on the images of one owner (`images.max-per-owner`): the one place that decides whether an owner may get another image, whichever
// way the image comes: upload, concatenation, change of owner, restore from the recycle bin, sync.

import type { Image } from '../../protocol/image.ts'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { OwnedImage } from '../contract/images.ts'

export interface OwnerLimitDeps {
  /** Images that one owner may have outside the recycle bin; 0 is no limit. */
  readonly imagesMax: number
  /** Every image of the store. */
  readonly images: () => Iterable<Image>
  /** Images that unfinished uploads will become. They count from the moment the upload exists, so that parallel uploads cannot pass the limit. */
  readonly expected: () => Iterable<OwnedImage>
}

export interface OwnerLimit {
  /**
   * Claims a place for an image under its owner until disposed: by then the image or its upload must exist, or it is not coming. An image
   * that counts for this owner already needs no place. Images without an owner count together, as those of one owner. Throws ProblemError
   * `limit-reached`.
   */
  claim(image: OwnedImage): Disposable
}

/** Creates the limit of a store. Each claim looks at every image and every unfinished upload once. */
export function createOwnerLimit({ imagesMax, images, expected }: OwnerLimitDeps): OwnerLimit {
  const claims = new Set<OwnedImage>()
  return {
    claim({ id, owner }) {
      const claim = { id, owner }
      const found = new Set<string>()
      if (imagesMax > 0) {
        for (const image of images()) if (countsForOwner(image) && isSameOwner(image.owner, owner)) found.add(image.id)
        if (!found.has(id)) {
          for (const list of [expected(), claims]) for (const image of list) if (isSameOwner(image.owner, owner)) found.add(image.id)
          found.delete(id)
          if (found.size >= imagesMax) throw limitReached(owner, found.size, imagesMax)
        }
      }
      claims.add(claim)
      return { [Symbol.dispose]: () => void claims.delete(claim) }
    },
  }
}

/** Returns whether an image takes one of the places of its owner: every image does that is neither in the recycle bin nor being removed. */
export function countsForOwner({ status }: Image): boolean {
  return status !== 'deleted' && status !== 'deleting'
}

function isSameOwner(a: string | null, b: string | null): boolean {
  return (a ?? '') === (b ?? '')
}

function limitReached(owner: string | null, count: number, limit: number): ProblemError {
  const who = owner ? `owner ${owner} has` : 'the store has'
  const what = `${count} ${count === 1 ? 'image' : 'images'}${owner ? '' : ' without an owner'}`
  return problem('limit-reached', `Maximum image limit reached: ${who} ${what}, unfinished uploads included; the limit is ${limit}.`, {
    action: `Delete an image ${owner ? 'of this owner' : 'without an owner, or name an owner'}, cancel an unfinished upload, or raise images.max-per-owner in the configuration of the store.`,
    limit,
    owner: owner || null,
  })
}
