// The part of the catalogue that visibility uses.

import type { Image } from '../../protocol/images/image.ts'

export interface VisibleImages {
  /** Changes whenever an image is added, removed or changed. */
  version(): number
  /** Every image, whatever its status, in no particular order. */
  each(): Iterable<Image>
  find(id: string): Image | undefined
  /** Yields the entries of an image's manifest, as stored, in windows of whole entries; verified after the last one. Throws ManifestInvalid. */
  manifestWindows(image: Image): AsyncIterable<Uint8Array>
}
