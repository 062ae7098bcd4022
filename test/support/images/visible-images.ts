// A catalogue of images in memory that have nothing but a status and slices, for tests of visibility.

import type { Image } from '../../../protocol/image.ts'
import { encodeManifest, MANIFEST_HEADER_BYTES, MANIFEST_TRAILER_BYTES, ManifestInvalid } from '../../../protocol/manifest.ts'
import type { VisibleImages } from '../../../agent/visibility/visible-images.ts'

export interface MemoryImages extends VisibleImages {
  /** Publishes an image of these slices, available at once. */
  add(id: string, digests: readonly Uint8Array[]): Promise<Image>
  setStatus(id: string, status: Image['status']): void
  remove(id: string): void
  /** While it is set, manifests are not given before it resolves. */
  gate: Promise<void> | undefined
  /** While it is set, no manifest can be read. */
  failure: Error | undefined
  /** Manifests read until now. */
  readonly reads: number
}

/** Entries of one window. */
const WINDOW_ENTRIES = 1000

/** Makes an empty one; `changed` is called after every change. */
export function createMemoryImages(changed: () => void = () => {}): MemoryImages {
  const images = new Map<string, { readonly image: Image; readonly bytes: Uint8Array }>()
  let version = 0
  let reads = 0
  const note = (): void => {
    version++
    changed()
  }
  return {
    gate: undefined,
    failure: undefined,
    get reads() {
      return reads
    },
    version: () => version,
    *each() {
      for (const { image } of images.values()) yield image
    },
    find: (id) => images.get(id)?.image,
    async *manifestWindows({ id }) {
      reads++
      await this.gate
      if (this.failure) throw this.failure
      const bytes = images.get(id)?.bytes
      if (!bytes) throw new ManifestInvalid('its file is missing')
      const entries = bytes.subarray(MANIFEST_HEADER_BYTES, bytes.byteLength - MANIFEST_TRAILER_BYTES)
      for (let at = 0; at < entries.byteLength; at += WINDOW_ENTRIES * 40) yield entries.slice(at, at + WINDOW_ENTRIES * 40)
    },
    async add(id, digests) {
      const { manifest, digest } = await encodeManifest(digests.map((digest) => ({ length: 4096, digest })))
      const image = { id, name: id, status: 'available', manifestDigest: digest, createdAt: new Date(1.7e12 + version).toISOString() } as unknown as Image
      images.set(id, { image, bytes: manifest.bytes })
      note()
      return image
    },
    setStatus(id, status) {
      const found = images.get(id)
      if (!found) return
      images.set(id, { ...found, image: { ...found.image, status } })
      note()
    },
    remove(id) {
      images.delete(id)
      note()
    },
  }
}
