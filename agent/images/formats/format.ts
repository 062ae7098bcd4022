// Input and output of format detectors. A detector decides only by the bytes of the image, never by file names, extensions or request headers.

import type { ImageFormat } from '../../../protocol/image.ts'

/** Random access to the bytes of an image. */
export interface ImageProbe {
  readonly length: number
  /** Reads bytes at an offset. Returns fewer than `length` only at the end of the image. */
  readAt(offset: number, length: number): Promise<Uint8Array>
}

/** A recognised format. */
export interface Detection {
  readonly format: ImageFormat
  /** Size that a guest sees, in bytes; null if the header does not contain it. */
  readonly virtualSize: number | null
  /** Why the image must not be used, as clauses; empty if it is safe. */
  readonly refusals: readonly string[]
}

export type Detector = (probe: ImageProbe) => Promise<Detection | undefined>

export function startsWith(bytes: Uint8Array, text: string, at = 0): boolean {
  if (bytes.byteLength < at + text.length) return false
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false
  return true
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Returns a 64-bit size as a number, or null if it is not a safe integer. */
export function safeSize(size: bigint): number | null {
  return size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : null
}
