// Cells of a row of images: what lists of the bot and of the agent's page say of an image in the same words.

import type { Image } from '../images/image.ts'
import { formatBytes, formatWireTime, UNKNOWN } from './phrases.ts'

/** What the cells of an image say. */
export type ImageFacts = Pick<Image, 'id' | 'name' | 'kind' | 'format' | 'length' | 'storedSize' | 'owner' | 'createdAt' | 'expiresAt' | 'deletedAt'>

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
