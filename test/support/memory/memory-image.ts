// An image as an agent describes it, for agents and applications in memory.

import { imageSchema } from '../../../protocol/image.ts'
import type { Image } from '../../../protocol/image.ts'

/** Id of the image. */
export const MEMORY_IMAGE = 'img_0123456789abcdefghjkmnpqrs'

/** Returns an available image, with some members changed. */
export function memoryImage(changes: Partial<Image> = {}): Image {
  return imageSchema.parse({
    id: MEMORY_IMAGE,
    name: 'debian',
    description: '',
    kind: 'system',
    format: 'raw',
    status: 'available',
    statusReason: null,
    digest: null,
    manifestDigest: null,
    length: 600,
    virtualSize: 600,
    storedSize: 200,
    uniqueSize: null,
    os: null,
    cloudInit: null,
    requirements: null,
    mediaGroup: null,
    owner: null,
    labels: {},
    sourceInstance: null,
    source: { kind: 'upload' },
    protected: false,
    bindings: [],
    grants: [],
    createdAt: '2026-01-01T00:00:00.000Z',
    availableAt: null,
    deletedAt: null,
    expiresAt: null,
    ...changes,
  })
}
