// Images as the snapshot has them: only what differs from an image as most are. A store of 100,000 images reads half as much then, and makes a third
// of the objects; members that are as usual are shared by all images.

import type { FormatDetails, Image } from '../../../protocol/images/image.ts'

/** An image with the state that clients do not see. */
interface Unpacked<Life extends object> {
  readonly image: Image
  readonly life: Life
}

/** Details of a raw image without partitions. */
export const COMMON_DETAILS: FormatDetails = {
  detected: 'raw',
  variant: null,
  clusterSize: null,
  compression: null,
  bootable: null,
  partitionTable: null,
  allocatedSize: null,
  refusal: null,
}

/** Returns the value of an image for its line. What is packed with one common image cannot be unpacked with another one. */
export function packImage<Life extends object>({ image, life }: Unpacked<Life>, common: Unpacked<Life>): unknown {
  return [difference(image, common.image), difference(life, common.life)]
}

/** Returns the image of a value that `packImage` returned. Members that are as in the common image are those of the common image. */
export function unpackImage<Life extends object>(value: unknown, common: Unpacked<Life>): Unpacked<Life> {
  const [image, life] = value as [Partial<Image>, Partial<Life>]
  const { source, formatDetails } = image
  return {
    image: {
      ...common.image,
      ...image,
      source: source ? { ...common.image.source, ...source } : common.image.source,
      // Null is a value of its own.
      formatDetails: formatDetails ? { ...COMMON_DETAILS, ...formatDetails } : formatDetails === undefined ? common.image.formatDetails : formatDetails,
    },
    life: { ...common.life, ...life },
  }
}

/** Members that `unpackImage` completes member by member. */
const NESTED = new Set(['source', 'formatDetails'])

/** Returns the members of a value that another one has differently. */
function difference(value: object, common: object): object {
  const members: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(value) as [string, unknown][]) {
    const usual: unknown = Reflect.get(common, name)
    if (Bun.deepEquals(member, usual)) continue
    members[name] = NESTED.has(name) && isObject(member) && isObject(usual) ? difference(member, usual) : member
  }
  return members
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
