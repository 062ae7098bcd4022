// Limits per owner: the number of images (`images.max-per-owner`) and their total length (`images.max-bytes-per-owner`). They are checked here for
// every way an owner gets an image: upload, import, concatenation, change of owner, restore from the recycle bin, and sync.

import type { Image } from '../../protocol/images/image.ts'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import { formatSize } from '../../protocol/units.ts'
import type { OwnedImage } from '../contract/images.ts'

export interface OwnerLimitDeps {
  /** Maximum number of images per owner outside the recycle bin; 0 means no limit. */
  readonly imagesMax: number
  /** Maximum total length of these images in bytes; 0 means no limit. The length of the file counts, not what its slices take on disk. */
  readonly bytesMax: number
  /** Every image of the store. */
  readonly images: () => Iterable<Image>
  /** Images that unfinished uploads will become. They count as soon as the upload exists, so that parallel uploads cannot exceed the limits. */
  readonly expected: () => Iterable<OwnedImage>
}

export interface OwnerLimit {
  /**
   * Counts an image towards the limits of its owner until disposed. Dispose the claim once the image or its upload exists, or has failed. An
   * image that already counts for this owner is not counted twice. Images without an owner count together as those of one owner. Throws
   * ProblemError `limit-reached`.
   */
  claim(image: OwnedImage): Disposable
}

/** Creates the limits of a store. Each claim scans all images and unfinished uploads once. */
export function createOwnerLimit(deps: OwnerLimitDeps): OwnerLimit {
  const claims = new Set<OwnedImage>()
  return {
    claim({ id, owner, length }) {
      const claim = { id, owner, length }
      if (deps.imagesMax > 0 || deps.bytesMax > 0) refuseExcess(deps, claims, claim)
      claims.add(claim)
      return { [Symbol.dispose]: () => void claims.delete(claim) }
    },
  }
}

function refuseExcess({ imagesMax, bytesMax, images, expected }: OwnerLimitDeps, claims: ReadonlySet<OwnedImage>, claim: OwnedImage): void {
  const { id, owner, length } = claim
  // An image may be in several lists at once, while an upload becomes an image. It then counts once, with its greatest length.
  const lengths = new Map<string, number>()
  const count = (image: OwnedImage, bytes: number): void => {
    if (isSameOwner(image.owner, owner)) lengths.set(image.id, Math.max(lengths.get(image.id) ?? 0, bytes))
  }
  for (const image of images()) if (countsForOwner(image)) count(image, bytesOf(image))
  for (const list of [expected(), claims]) for (const image of list) count(image, image.length)
  // What counts already was admitted before: only the bytes by which it grows are new.
  const before = lengths.get(id)
  lengths.delete(id)
  if (imagesMax > 0 && before === undefined && lengths.size >= imagesMax) throw countReached(owner, lengths.size, imagesMax)
  if (bytesMax === 0 || length <= (before ?? 0)) return
  let bytes = 0
  for (const each of lengths.values()) bytes += each
  if (bytes + length > bytesMax) throw bytesReached(owner, { bytes, length, bytesMax })
}

/** Returns whether an image counts towards the limits of its owner: it is neither in the recycle bin nor being removed. */
export function countsForOwner({ status }: Image): boolean {
  return status !== 'deleted' && status !== 'deleting'
}

/** Returns the bytes of an image in the catalogue that count. An image that was refused before it was stored has none. */
function bytesOf({ manifestDigest, length }: Image): number {
  return manifestDigest === null ? 0 : length
}

function isSameOwner(a: string | null, b: string | null): boolean {
  return (a ?? '') === (b ?? '')
}

function countReached(owner: string | null, count: number, limit: number): ProblemError {
  const who = owner ? `owner ${owner} has` : 'the store has'
  const what = `${count} ${count === 1 ? 'image' : 'images'}${owner ? '' : ' without an owner'}`
  return problem('limit-reached', `Maximum image limit reached: ${who} ${what}, unfinished uploads included; the limit is ${limit}.`, {
    action: actionFor(owner, 'images.max-per-owner'),
    limit,
    owner: owner || null,
  })
}

function bytesReached(
  owner: string | null,
  { bytes, length, bytesMax }: { readonly bytes: number; readonly length: number; readonly bytesMax: number },
): ProblemError {
  const who = owner ? `the images of owner ${owner} have` : 'the images without an owner have'
  const detail = `Maximum image limit reached: ${who} ${formatSize(bytes)}, unfinished uploads included, and this image has ${formatSize(length)}; the limit is ${formatSize(bytesMax)}.`
  return problem('limit-reached', detail, {
    action: actionFor(owner, 'images.max-bytes-per-owner'),
    limitBytes: bytesMax,
    usedBytes: bytes,
    lengthBytes: length,
    owner: owner || null,
  })
}

function actionFor(owner: string | null, key: string): string {
  return `Delete an image ${owner ? 'of this owner' : 'without an owner, or name an owner'}, cancel an unfinished upload, or raise ${key} in the configuration of the store.`
}
