// Images as the snapshot has them: only what differs from an image as most are. A store of 100,000 images reads half as much then, and makes a third
// of the objects; members that are as usual are shared by all images.

import type { Image } from '../../../protocol/images/image.ts'
import { blankImage, newLife } from '../image-file.ts'
import type { ImageLife, StoredImage } from '../image-file.ts'

const DETAILS = {
  detected: 'raw',
  variant: null,
  clusterSize: null,
  compression: null,
  bootable: null,
  partitionTable: null,
  allocatedSize: null,
  refusal: null,
} as const

/** An image as most are. What is packed with another one cannot be unpacked. Its parts belong to many images, so nothing may change them. */
export const COMMON_IMAGE: StoredImage = {
  image: blankImage({ id: '', format: 'raw', status: 'available', formatDetails: DETAILS }, 0),
  life: newLife(),
}

type Packed = Readonly<Record<string, unknown>>

/** Returns the value of an image for its line. */
export function packImage({ image, life }: StoredImage): unknown {
  return [difference(image as unknown as Packed, COMMON_IMAGE.image as unknown as Packed), difference(life, COMMON_IMAGE.life)]
}

/** Returns the image of a value that `packImage` returned. */
export function unpackImage(value: unknown): StoredImage {
  const [image, life] = value as [Partial<Image>, Partial<ImageLife>]
  const { source, formatDetails } = image
  return {
    image: {
      ...COMMON_IMAGE.image,
      ...image,
      source: source ? { ...COMMON_IMAGE.image.source, ...source } : COMMON_IMAGE.image.source,
      // Null is a value of its own.
      formatDetails: formatDetails ? { ...DETAILS, ...formatDetails } : formatDetails === undefined ? DETAILS : formatDetails,
    },
    life: { ...COMMON_IMAGE.life, ...life },
  }
}

/** Members that `unpackImage` completes member by member. */
const NESTED = new Set(['source', 'formatDetails'])

/** Returns the members of a value that another one has differently. */
function difference(value: Packed, common: Packed): Packed {
  const members: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(value)) {
    const usual = common[name]
    if (Bun.deepEquals(member, usual)) continue
    members[name] = NESTED.has(name) && isObject(member) && isObject(usual) ? difference(member, usual) : member
  }
  return members
}

function isObject(value: unknown): value is Packed {
  return typeof value === 'object' && value !== null
}
