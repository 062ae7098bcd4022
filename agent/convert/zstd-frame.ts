// Finds the end of a zstd frame (RFC 8878 §3.1.1): a compressed cluster of qcow2 is followed by other bytes, which a decompressor would take for
// another frame.

/** `0x28 B5 2F FD`, little endian. */
const MAGIC = 0xfd2f_b528
/** Longest window that a decompressor needs for a cluster of 2 MiB: QEMU compresses with at most this one. */
const WINDOW_BYTES_MAX = 8 * 1024 * 1024
const BLOCK_HEADER_BYTES = 3
const BLOCK_BYTES_MAX = 128 * 1024
const CHECKSUM_BYTES = 4
const BLOCK_RLE = 1
const BLOCK_RESERVED = 3
/** Bytes of the fields Dictionary_ID and Frame_Content_Size by their flags. */
const SIZE_BYTES = [0, 2, 4, 8] as const

/** Returns the length in bytes of the frame at the beginning; undefined when there is no complete frame, or one that takes too much memory. */
export function zstdFrameLength(bytes: Uint8Array): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < 6 || view.getUint32(0, true) !== MAGIC) return undefined
  const descriptor = view.getUint8(4)
  if ((descriptor & 0x0b) !== 0) return undefined
  const isSingleSegment = (descriptor & 0x20) !== 0
  const window = view.getUint8(5)
  if (!isSingleSegment && (1 + (window & 7) / 8) * 2 ** (10 + (window >> 3)) > WINDOW_BYTES_MAX) return undefined
  const sizeFlag = descriptor >> 6
  const sizeBytes = sizeFlag === 0 && isSingleSegment ? 1 : (SIZE_BYTES[sizeFlag] ?? 0)
  let at = (isSingleSegment ? 5 : 6) + sizeBytes
  while (at + BLOCK_HEADER_BYTES <= bytes.byteLength) {
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16)
    const kind = (header >> 1) & 3
    const size = header >> 3
    if (kind === BLOCK_RESERVED || size > BLOCK_BYTES_MAX) return undefined
    at += BLOCK_HEADER_BYTES + (kind === BLOCK_RLE ? 1 : size)
    if ((header & 1) === 0) continue
    const end = at + ((descriptor & 0x04) === 0 ? 0 : CHECKSUM_BYTES)
    return end <= bytes.byteLength ? end : undefined
  }
  return undefined
}
