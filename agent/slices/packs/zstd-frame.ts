// Checks the structure of a zstd frame (RFC 8878 §3.1.1) before it is decompressed: a decompressor also accepts frames that follow the first one,
// and allocates as much memory as they declare.

/** `0x28 B5 2F FD`, little endian (RFC 8878 §3.1.1). Skippable frames (§3.1.2) begin with other numbers. */
const MAGIC = 0xfd2f_b528
/** A decoder should support windows up to 8 MiB (RFC 8878 §3.1.1.1.2); no slice is longer than 4 MiB, so none needs a larger one. */
const WINDOW_LENGTH_MAX = 8 * 1024 * 1024
/** Longest block in bytes, compressed and decompressed (RFC 8878 §3.1.1.2.4). */
const BLOCK_LENGTH_MAX = 128 * 1024
const BLOCK_HEADER_BYTES = 3
const CHECKSUM_BYTES = 4
const BLOCK_RAW = 0
const BLOCK_RLE = 1
const BLOCK_COMPRESSED = 2

/**
 * Returns why bytes are not exactly one zstd frame of `length` decompressed bytes, or undefined. Such a frame declares its length, needs no
 * dictionary, and nothing follows it, so decompressing it takes a buffer of `length` bytes and no more.
 */
export function zstdFrameFault(bytes: Uint8Array, length: number): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < 6 || view.getUint32(0, true) !== MAGIC) return 'it is not a zstd frame'
  const descriptor = view.getUint8(4)
  if ((descriptor & 0x08) !== 0) return 'it sets a reserved bit'
  if ((descriptor & 0x03) !== 0) return 'it needs a dictionary'
  const isSingleSegment = (descriptor & 0x20) !== 0
  const sizeFlag = descriptor >> 6
  const sizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 2 ** sizeFlag
  const sizeAt = isSingleSegment ? 5 : 6
  const blocksAt = sizeAt + sizeBytes
  if (sizeBytes === 0) return 'it does not announce its length'
  if (blocksAt > bytes.byteLength) return 'it is cut off'
  if (!isSingleSegment && windowLength(view.getUint8(5)) > WINDOW_LENGTH_MAX) return `it needs a window of more than ${WINDOW_LENGTH_MAX} bytes`
  const announced = contentLength(view, sizeAt, sizeBytes)
  if (announced !== length) return `it announces ${announced} bytes for a slice of ${length}`
  const end = blocksEnd(view, blocksAt, length)
  if (typeof end === 'string') return end
  const after = bytes.byteLength - end - ((descriptor & 0x04) !== 0 ? CHECKSUM_BYTES : 0)
  if (after === 0) return undefined
  return after > 0 ? `${after} bytes follow the frame` : 'it is cut off'
}

/** Returns the Window_Size of a Window_Descriptor (RFC 8878 §3.1.1.1.2). */
function windowLength(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 7)
}

/** Returns the Frame_Content_Size (RFC 8878 §3.1.1.1.4). */
function contentLength(view: DataView, at: number, bytes: number): number {
  switch (bytes) {
    case 1:
      return view.getUint8(at)
    case 2:
      return view.getUint16(at, true) + 256
    case 4:
      return view.getUint32(at, true)
    default:
      return Number(view.getBigUint64(at, true))
  }
}

/** Returns the offset after the last block (RFC 8878 §3.1.1.2), or why these cannot be the blocks of a frame of this length. */
function blocksEnd(view: DataView, start: number, length: number): number | string {
  let known = 0
  for (let at = start; at + BLOCK_HEADER_BYTES <= view.byteLength;) {
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16)
    const isLast = (header & 1) !== 0
    const kind = (header >> 1) & 3
    const size = header >> 3
    if (kind !== BLOCK_RAW && kind !== BLOCK_RLE && kind !== BLOCK_COMPRESSED) return 'it has a block of a reserved kind'
    if (size > BLOCK_LENGTH_MAX) return `it has a block of ${size} bytes`
    // Only the last block may be empty: a frame of a few megabytes could have a million empty blocks, each of which costs time.
    if (size === 0 && !isLast) return 'it has an empty block before the last one'
    if (kind !== BLOCK_COMPRESSED) known += size
    if (known > length) return `its blocks hold more than ${length} bytes`
    at += BLOCK_HEADER_BYTES + (kind === BLOCK_RLE ? 1 : size)
    if (isLast) return at > view.byteLength ? 'it is cut off' : at
  }
  return 'it is cut off'
}
