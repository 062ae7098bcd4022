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
  return { length: bytes.byteLength, readAt: async (offset, length) => bytes.slice(offset, offset + length) }
}

/** Inspects bytes in memory. */
export function inspectBytes(bytes: Uint8Array, declared: ImageFormat | null = null): Promise<Inspection> {
  return inspectImage(imageOfBytes(bytes), declared, { clock: systemClock })
}

/** Inspects a file, which may be sparse and larger than the memory. */
export async function inspectFile(path: string, declared: ImageFormat | null = null): Promise<Inspection> {
  await using file = await open(path)
  const { size } = await file.stat()
  const image: ImageBytes = {
    length: size,
    async readAt(offset, length) {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)))
      let filled = 0
      while (filled < bytes.byteLength) {
        const { bytesRead } = await file.read(bytes, filled, bytes.byteLength - filled, offset + filled)
        if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`)
        filled += bytesRead
      }
      return bytes
    },
  }
  return await inspectImage(image, declared, { clock: systemClock })
}
