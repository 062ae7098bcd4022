// A probe of an image that is mostly zeros: only the bytes that a test writes take memory, so an image may have any length.

import type { ImageProbe } from '../../../agent/images/formats/format.ts'
import { createProbe } from '../../../agent/images/formats/probe.ts'
import { createManualClock } from '../memory/manual-clock.ts'

/** Bytes, or latin1 text, at an offset. */
export type Patch = readonly [offset: number, bytes: Uint8Array | string]

/** Returns the probe of an image of this length with these bytes; later patches cover earlier ones. */
export function probeOf(length: number, ...patches: readonly Patch[]): ImageProbe {
  const written = patches.map(([offset, bytes]) => [offset, typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes] as const)
  return createProbe(
    {
      length,
      async readInto(offset, buffer) {
        const count = Math.min(buffer.byteLength, length - offset)
        buffer.fill(0)
        for (const [at, bytes] of written) {
          const [start, end] = [Math.max(at, offset), Math.min(at + bytes.byteLength, offset + count)]
          if (start < end) buffer.set(bytes.subarray(start - at, end - at), start - offset)
        }
        return count
      },
    },
    { clock: createManualClock() },
  )
}

/** A probe that forgets the bytes of a read at the next one, and records the reads and pauses. `stopAt` is the pause that ends the walk. */
export function strictProbe(
  inner: ImageProbe,
  stopAt = -1,
): { readonly probe: ImageProbe; readonly reads: (readonly [offset: number, length: number])[]; pauses(): number } {
  const reads: (readonly [number, number])[] = []
  let last = new Uint8Array(0)
  let pauses = 0
  const probe: ImageProbe = {
    length: inner.length,
    async readAt(offset, length) {
      reads.push([offset, length])
      last.fill(0xee)
      last = new Uint8Array(await inner.readAt(offset, length))
      return last
    },
    spend: () => (++pauses === stopAt ? Promise.reject(new Error('stop')) : undefined),
  }
  return { probe, reads, pauses: () => pauses }
}
