// What a format's detector is given and gives. A detector is pure on `readAt` and believes no name, no extension and
// no header of a request.

import type { ImageFormat } from '../../../../protocol/image.ts'

/** The bytes of an image, read here and there. */
export interface ImageProbe {
  readonly length: number
  /** Bytes at an offset; fewer than asked for only at the end of the image. */
  readAt(offset: number, length: number): Promise<Uint8Array>
}

/** A format that was recognised. */
export interface Detection {
  readonly format: ImageFormat
  /** Bytes a guest sees; null where the header does not say. */
  readonly virtualSize: number | null
  /** Why an image of this format must not be used: parts of sentences, empty when it may. */
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

/** A 64-bit size as a number, or null when it is too large to be one. */
export function safeSize(size: bigint): number | null {
  return size <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(size) : null
}
