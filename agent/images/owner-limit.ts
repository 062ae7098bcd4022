// Limit on the number of images per owner (`images.max-per-owner`). It is checked here for every way an owner gets an image: upload,
// concatenation, change of owner, restore from the recycle bin, and sync.

import type { Image } from '../../protocol/image.ts'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { OwnedImage } from '../contract/images.ts'

export interface OwnerLimitDeps {
  /** Maximum number of images per owner outside the recycle bin; 0 means no limit. */
  readonly imagesMax: number
  /** Every image of the store. */
  readonly images: () => Iterable<Image>
  /** Images that unfinished uploads will become. They count as soon as the upload exists, so that parallel uploads cannot exceed the limit. */
  readonly expected: () => Iterable<OwnedImage>
}

export interface OwnerLimit {
  /**
   * Counts an image towards the limit of its owner until disposed. Dispose the claim once the image or its upload exists, or has failed. An
   * image that already counts for this owner is not counted twice. Images without an owner count together as those of one owner. Throws
   * ProblemError `limit-reached`.
   */
  claim(image: OwnedImage): Disposable
}

/** Creates the limit of a store. Each claim scans all images and unfinished uploads once. */
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

/** Returns whether an image counts towards the limit of its owner: it is neither in the recycle bin nor being removed. */
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
