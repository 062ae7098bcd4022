// Fingerprint of the images of a store: equal for equal images, in whatever order they were added. A bot compares it with that of the images that it knows, so
// that it reads the list again only when something changed. It is no protection against an agent that wants to deceive.

import type { Image } from './image.ts'

/** Members that count. Images without content yet, and those that are being removed, do not count. */
export type FingerprintedImage = Pick<
  Image,
  'id' | 'name' | 'status' | 'kind' | 'format' | 'length' | 'storedSize' | 'digest' | 'manifestDigest' | 'owner' | 'createdAt' | 'deletedAt' | 'expiresAt'
> & { readonly isOpen: boolean }

/** A sum of marks, each half modulo 2^32. */
export interface Fingerprint {
  readonly high: number
  readonly low: number
  readonly images: number
}

export const NO_IMAGES: Fingerprint = { high: 0, low: 0, images: 0 }

/** Returns whether an image has, or had, content, and therefore counts. */
export function isFingerprinted({ status }: Pick<Image, 'status'>): boolean {
  return status !== 'creating' && status !== 'uploading' && status !== 'pending' && status !== 'deleting'
}

/** Returns whether people without rights of their own see an image. */
export function isOpenImage({ grants, hidden }: Pick<Image, 'grants' | 'hidden'>): boolean {
  return grants.length === 0 && !hidden
}

/** Returns the fingerprint with (`sign` 1) or without (-1) an image. An image that does not count changes nothing. */
export function withImage({ high, low, images }: Fingerprint, image: FingerprintedImage, sign: 1 | -1): Fingerprint {
  if (!isFingerprinted(image)) return { high, low, images }
  const mark = markOf(image)
  return { high: (high + sign * mark.high) >>> 0, low: (low + sign * mark.low) >>> 0, images: images + sign }
}

/** `12-0123456789abcdef`: the number of images and the sum. */
export function fingerprintText({ high, low, images }: Fingerprint): string {
  return `${images}-${high.toString(16).padStart(8, '0')}${low.toString(16).padStart(8, '0')}`
}

/** Two independent multiplicative hashes of the members. Text is hashed by UTF-16 code units. */
function markOf(image: FingerprintedImage): { high: number; low: number } {
  const text = [
    ...[image.id, image.name, image.status, image.kind, image.format ?? '', image.length, image.storedSize ?? '', image.digest ?? ''],
    ...[image.manifestDigest ?? '', image.owner ?? '', image.createdAt, image.deletedAt ?? '', image.expiresAt ?? '', image.isOpen],
  ].join('\n')
  let high = 0x811c9dc5
  let low = 0x9747b28c
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    high = Math.imul(high ^ unit, 0x01000193)
    low = (Math.imul(low ^ unit, 0x5bd1e995) + 0x1e3779b9) | 0
  }
  return { high: mixed(high), low: mixed(low) }
}

/** Spreads every bit over the result: sums of hashes that differ in few bits would cancel out. */
function mixed(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35)
  return (twice ^ (twice >>> 16)) >>> 0
}
