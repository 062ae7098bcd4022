// Groups the images of a fleet by their bytes: images with the same digest are copies of one image, whatever their ids and names are.

import type { CopyOfImage, FleetFacts, ImageFacts, ImageGroup } from './facts.ts'

/** Returns the groups of all images that are available or degraded, sorted by name and then by their bytes. */
export function groupImages({ stores }: FleetFacts): ImageGroup[] {
  const keyOf = createKeys(stores.flatMap(({ images }) => images ?? []))
  const groups = new Map<string, CopyOfImage[]>()
  for (const store of stores) {
    for (const image of store.images ?? []) {
      const key = image.status === 'available' || image.status === 'degraded' ? keyOf(image) : undefined
      if (key === undefined) continue
      const copies = groups.get(key) ?? []
      copies.push({ ...image, store: store.name })
      groups.set(key, copies)
    }
  }
  return [...groups].map(([key, copies]) => toGroup(key, copies)).toSorted((a, b) => compare(a.name, b.name) || compare(a.key, b.key))
}

function toGroup(key: string, copies: readonly CopyOfImage[]): ImageGroup {
  const sorted = copies.toSorted((a, b) => compare(a.store, b.store) || compare(a.id, b.id))
  return {
    key,
    name: sorted[0]?.name ?? '',
    copies: sorted,
    ids: new Set(sorted.map(({ id }) => id)),
    bytes: Math.max(0, ...sorted.flatMap(({ status, bytes }) => (status === 'available' ? [bytes] : []))),
    availableMs: Math.min(...sorted.map(({ availableMs }) => availableMs)),
  }
}

/**
 * Returns a function that names the bytes of an image: by its digest, else by the digest of an image with the same manifest, else by the manifest.
 * An image without both has no bytes yet.
 */
function createKeys(images: readonly ImageFacts[]): (image: ImageFacts) => string | undefined {
  const digests = new Map<string, string>()
  for (const { digest, manifestDigest } of images) if (digest !== null && manifestDigest !== null) digests.set(manifestDigest, digest)
  return ({ digest, manifestDigest }) => digest ?? (manifestDigest === null ? undefined : (digests.get(manifestDigest) ?? `manifest ${manifestDigest}`))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
