// What a compressed file may unpack to: a few kilobytes can hold terabytes.

import { formatSize } from '../../../protocol/units.ts'
import type { Space } from '../../contract/space.ts'
import { UnpackFault } from './compression.ts'

/** Bytes that every file may unpack to, however short it is: an empty disk compresses to almost nothing. */
export const UNPACK_BYTES_FREE = 1024 ** 3
/** Unpacked bytes for each compressed byte, beyond those. Deflate reaches 1032; disks with little data in them reach a few hundred. */
export const UNPACK_RATIO_MAX = 1000
/** Unpacked bytes between two checkpoints. They must fit above the reserve before they are stored. */
export const UNPACK_STEP_BYTES = 64 * 1024 * 1024

/** There is no room for the image. Unpacking it again later may succeed. */
export class UnpackSpaceLacking extends Error {
  override readonly name = 'UnpackSpaceLacking'
}

export interface UnpackLimits {
  /** Longest image in bytes. */
  readonly lengthMax: number
  readonly space: Pick<Space, 'promise' | 'state'> | undefined
}

/** Throws UnpackFault if an image has become longer than its compressed file and the limits allow. All lengths in bytes. */
export function refuseExcess(length: number, compressedLength: number, { lengthMax }: UnpackLimits): void {
  if (length > lengthMax) throw new UnpackFault(`it unpacks to more than ${formatSize(lengthMax)}, the limit of this store (uploads.max-length)`)
  if (length <= Math.max(UNPACK_BYTES_FREE, compressedLength * UNPACK_RATIO_MAX)) return
  throw new UnpackFault(`it unpacks to more than ${UNPACK_RATIO_MAX} times its length, which is typical of a file made to fill disks`)
}

/** Promises space for the next step. Throws UnpackSpaceLacking. The caller promises 0 bytes in the end. */
export async function promiseStep({ space }: UnpackLimits, key: string): Promise<void> {
  if (!space || (await space.promise(key, UNPACK_STEP_BYTES))) return
  const { availableBytes } = await space.state()
  throw new UnpackSpaceLacking(`The store has ${formatSize(availableBytes)} above its reserve; unpacking needs ${formatSize(UNPACK_STEP_BYTES)} more.`)
}
