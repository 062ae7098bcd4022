// Cells of a row of images that are the same for an image of a store that answers and for one that only the catalogue knows.

import type { HeldImage } from '../../../fleet/catalogue/held-image.ts'
import { formatBytes, formatWireTime, UNKNOWN } from '../../../../protocol/views/phrases.ts'

/** What the cells of an image say. */
export type ImageFacts = Pick<HeldImage, 'id' | 'name' | 'kind' | 'format' | 'length' | 'storedSize' | 'owner' | 'createdAt' | 'expiresAt' | 'deletedAt'>

/** Returns all cells but store and status. */
export function imageCells(image: ImageFacts) {
  return {
    name: image.name,
    kind: image.kind,
    format: image.format ?? UNKNOWN,
    length: formatBytes(image.length),
    stored: formatBytes(image.storedSize),
    owner: image.owner ?? UNKNOWN,
    created: formatWireTime(image.createdAt),
    expires: image.expiresAt === null ? 'never' : formatWireTime(image.expiresAt),
    deleted: formatWireTime(image.deletedAt),
    id: image.id,
  }
}
