// In-memory catalogue for tests of visibility. Its images have only a status and slices.

import type { Image } from '../../../protocol/images/image.ts'
import { encodeManifest, MANIFEST_HEADER_BYTES, MANIFEST_TRAILER_BYTES, ManifestInvalid } from '../../../protocol/slices/manifest.ts'
import type { VisibleImages } from '../../../agent/visibility/visible-images.ts'

export interface MemoryImages extends VisibleImages {
  /** Adds an available image of these slices. */
  add(id: string, digests: readonly Uint8Array[]): Promise<Image>
  setStatus(id: string, status: Image['status']): void
  remove(id: string): void
  /** If set, reading a manifest waits until it resolves. */
  gate: Promise<void> | undefined
  /** If set, reading a manifest throws it. */
  failure: Error | undefined
  /** Number of manifest reads so far. */
  readonly reads: number
}

/** Number of entries in a window. */
const WINDOW_ENTRIES = 1000

/** Creates an empty catalogue. Calls `changed` after every change. */
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
      const createdAt = new Date(1.7e12 + version).toISOString()
      const image = { id, name: id, status: 'available', manifestDigest: digest, owner: null, grants: [], createdAt } as unknown as Image
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
