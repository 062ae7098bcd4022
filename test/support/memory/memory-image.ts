// An image as an agent describes it, for agents and applications in memory.

import { blankImage } from '../../../agent/images/records/image-file.ts'
import type { Image } from '../../../protocol/images/image.ts'

/** Id of the image. */
export const MEMORY_IMAGE = 'img_0123456789abcdefghjkmnpqrs'

/** Returns an available image, with some members changed. */
export function memoryImage(changes: Partial<Image> = {}): Image {
  const source = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const
  const sizes = { length: 600, virtualSize: 600, storedSize: 200 }
  const known = { id: MEMORY_IMAGE, name: 'debian', kind: 'system', format: 'raw', status: 'available', source, ...sizes } as const
  return blankImage({ ...known, ...changes }, Date.UTC(2026, 0, 1))
}
