// Inspects bytes and files as the agent inspects images, for tests of formats.

import { open } from 'node:fs/promises'
import { inspectImage } from '../../../agent/images/formats/inspection.ts'
import type { Inspection } from '../../../agent/images/formats/inspection.ts'
import type { ImageBytes } from '../../../agent/images/formats/probe.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import type { ImageFormat } from '../../../protocol/images/image.ts'

/** What an inspection says about raw bytes. */
export const RAW_DETAILS = {
  detected: 'raw',
  variant: null,
  clusterSize: null,
  compression: null,
  bootable: null,
  partitionTable: null,
  allocatedSize: null,
  refusal: null,
} as const

/** Returns bytes in memory as an image. */
export function imageOfBytes(bytes: Uint8Array): ImageBytes {
  return { length: bytes.byteLength, readInto: async (offset, buffer) => copied(bytes.subarray(offset), buffer) }
}

/** Copies as many bytes as a buffer has room for. Returns how many these are. */
export function copied(bytes: Uint8Array, buffer: Uint8Array): number {
  const count = Math.min(bytes.byteLength, buffer.byteLength)
  buffer.set(bytes.subarray(0, count))
  return count
}

/** Inspects bytes in memory. */
export async function inspectBytes(bytes: Uint8Array, declared: ImageFormat | null = null): Promise<Inspection> {
  return await inspectTwice(imageOfBytes(bytes), declared)
}

/** Inspects an image, and again with a single block: bytes that a detector uses after its next read are then those of another block. */
async function inspectTwice(image: ImageBytes, declared: ImageFormat | null): Promise<Inspection> {
  const found = await inspectImage(image, declared, { clock: systemClock })
  const again = await inspectImage(image, declared, { clock: systemClock, blocksMax: 1 })
  if (!Bun.deepEquals(found, again)) throw new Error(`with a single block, ${JSON.stringify(found)} becomes ${JSON.stringify(again)}`)
  return found
}

/** Inspects a file, which may be sparse and larger than the memory. */
export async function inspectFile(path: string, declared: ImageFormat | null = null): Promise<Inspection> {
  await using file = await open(path)
  const { size } = await file.stat()
  const image: ImageBytes = {
    length: size,
    async readInto(offset, buffer) {
      const length = Math.max(0, Math.min(buffer.byteLength, size - offset))
      let filled = 0
      while (filled < length) {
        const { bytesRead } = await file.read(buffer, filled, length - filled, offset + filled)
        if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`)
        filled += bytesRead
      }
      return filled
    },
  }
  return await inspectTwice(image, declared)
}
