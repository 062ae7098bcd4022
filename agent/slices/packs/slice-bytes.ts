// Decompresses slices. Everything that decompresses goes through here: uploads, sync, reads, scrub and recovery.

import { CODEC_RAW, CODEC_ZSTD } from '../../../protocol/slices/frames.ts'
import type { SliceFrame } from '../../../protocol/slices/frames.ts'
import { SLICE_LENGTH_MAX } from '../../../protocol/slices/manifest.ts'
import { zstdFrameFault } from './zstd-frame.ts'

/** Stored bytes that are not those of a slice. */
export class SliceBytesInvalid extends Error {
  override readonly name = 'SliceBytesInvalid'
}

/**
 * Returns the uncompressed bytes of a slice, exactly `length` of them; for an uncompressed slice, `stored` itself. Allocates nothing before it is
 * known that the stored bytes contain exactly that many, and at most SLICE_LENGTH_MAX. Throws SliceBytesInvalid. Does not verify the digest.
 */
export async function sliceBytes({ codec, length, stored }: Omit<SliceFrame, 'digest'>): Promise<Uint8Array> {
  if (length === 0 || length > SLICE_LENGTH_MAX) throw new SliceBytesInvalid(`a slice has 1 to ${SLICE_LENGTH_MAX} bytes, not ${length}`)
  switch (codec) {
    case CODEC_RAW:
      if (stored.byteLength !== length) throw new SliceBytesInvalid(`${stored.byteLength} bytes are stored for a slice of ${length}`)
      return stored
    case CODEC_ZSTD:
      return decompress(stored, length)
    default:
      throw new SliceBytesInvalid(`codec ${codec} is not known`)
  }
}

/** Decompresses one frame on a thread of the runtime. */
async function decompress(stored: Uint8Array, length: number): Promise<Uint8Array> {
  if (stored.byteLength > length) throw new SliceBytesInvalid(`${stored.byteLength} bytes are stored for a slice of ${length}`)
  const fault = zstdFrameFault(stored, length)
  if (fault !== undefined) throw new SliceBytesInvalid(`its zstd frame is invalid: ${fault}`)
  let bytes: Uint8Array
  try {
    // The frame declares `length`, so the runtime allocates a buffer of that size, and the decompressor never writes more.
    bytes = await Bun.zstdDecompress(stored)
  } catch (cause) {
    throw new SliceBytesInvalid('its zstd frame does not decompress', { cause })
  }
  if (bytes.byteLength !== length) throw new SliceBytesInvalid(`it decompresses to ${bytes.byteLength} bytes, not ${length}`)
  return bytes
}
