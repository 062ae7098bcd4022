// Follows the structure of a zstd file while it is decompressed (RFC 8878 §3.1): a decompressor that reads a stream does not report a truncated file or
// bytes after the last frame, and allocates the window that a frame asks for.

import { UnpackFault } from './compression.ts'

/**
 * Longest window in bytes. `zstd -19` needs 8 MiB, and `--long=26` needs 64 MiB. A decoder keeps the whole window in memory.
 */
export const ZSTD_WINDOW_BYTES_MAX = 64 * 1024 * 1024
const MAGIC = 0xfd2f_b528
/** Magic numbers of skippable frames, without their lowest 4 bits. */
const MAGIC_SKIPPABLE = 0x184d_2a50
const HEADER_BYTES_MAX = 14
const BLOCK_HEADER_BYTES = 3
const BLOCK_RLE = 1
const BLOCK_RESERVED = 3
const CHECKSUM_BYTES = 4
/** Flags of the first byte of a frame header (RFC 8878 §3.1.1.1.1). */
const FLAG_SINGLE_SEGMENT = 0x20
const FLAG_RESERVED = 0x08
const FLAG_CHECKSUM = 0x04
const FLAGS_DICTIONARY = 0x03

/** What the next bytes are. Exactly one member of a frame is read at a time. */
type Part = 'magic' | 'header' | 'block' | 'skippable'

export interface ZstdFrames {
  /** Takes the next bytes. Throws UnpackFault. */
  push(bytes: Uint8Array): void
  /** Checks that the bytes end with a whole frame. Throws UnpackFault. */
  end(): void
}

/** Creates the check of one file. */
export function createZstdFrames(): ZstdFrames {
  /** Bytes that the current part needs and that came so far; never more than a frame header. */
  const held = new Uint8Array(HEADER_BYTES_MAX)
  const view = new DataView(held.buffer)
  let filled = 0
  let part: Part = 'magic'
  let needed = 4
  /** Bytes of contents to skip before the next part. */
  let skip = 0
  let hasChecksum = false

  const expect = (next: Part, bytes: number): void => {
    part = next
    needed = bytes
    filled = 0
  }
  const takeMagic = (): void => {
    const magic = view.getUint32(0, true)
    // The shortest header has its flags, and one byte of a window or of a size.
    if (magic === MAGIC) expect('header', 2)
    else if ((magic & 0xffff_fff0) >>> 0 === MAGIC_SKIPPABLE) expect('skippable', 4)
    else throw new UnpackFault('bytes follow its last zstd frame')
  }
  const takeHeader = (): void => {
    const length = frameHeaderBytes(held[0] ?? 0)
    if (filled < length) {
      needed = length
      return
    }
    const window = windowBytes(view)
    if (window > ZSTD_WINDOW_BYTES_MAX) {
      throw new UnpackFault(`it needs a window of ${window} bytes; the limit is ${ZSTD_WINDOW_BYTES_MAX} (compress it with zstd -19, or --long=26)`)
    }
    hasChecksum = ((held[0] ?? 0) & FLAG_CHECKSUM) !== 0
    expect('block', BLOCK_HEADER_BYTES)
  }
  const takeBlock = (): void => {
    const header = view.getUint16(0, true) | (view.getUint8(2) << 16)
    const kind = (header >> 1) & 3
    if (kind === BLOCK_RESERVED) throw new UnpackFault('it has a zstd block of a reserved kind')
    skip = kind === BLOCK_RLE ? 1 : header >> 3
    if ((header & 1) === 0) return expect('block', BLOCK_HEADER_BYTES)
    if (hasChecksum) skip += CHECKSUM_BYTES
    expect('magic', 4)
  }
  const take = (): void => {
    if (part === 'magic') takeMagic()
    else if (part === 'header') takeHeader()
    else if (part === 'block') takeBlock()
    else {
      skip = view.getUint32(0, true)
      expect('magic', 4)
    }
  }
  return {
    push(bytes) {
      for (let at = 0; at < bytes.byteLength;) {
        const skipped = Math.min(skip, bytes.byteLength - at)
        skip -= skipped
        at += skipped
        const part = bytes.subarray(at, at + needed - filled)
        held.set(part, filled)
        filled += part.byteLength
        at += part.byteLength
        if (filled === needed && skip === 0) take()
      }
    },
    end() {
      if (part === 'magic' && filled === 0 && skip === 0) return
      throw new UnpackFault(part === 'magic' && filled > 0 ? 'bytes follow its last zstd frame' : 'it is cut off')
    },
  }
}

/** Returns the length of a frame header without its magic number, by its first byte (RFC 8878 §3.1.1.1.1). */
function frameHeaderBytes(descriptor: number): number {
  if ((descriptor & FLAG_RESERVED) !== 0) throw new UnpackFault('its zstd frame sets a reserved bit')
  if ((descriptor & FLAGS_DICTIONARY) !== 0) throw new UnpackFault('its zstd frame needs a dictionary')
  const isSingleSegment = (descriptor & FLAG_SINGLE_SEGMENT) !== 0
  const sizeFlag = descriptor >> 6
  const sizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 2 ** sizeFlag
  return 1 + (isSingleSegment ? 0 : 1) + sizeBytes
}

/** Returns the window of a frame in bytes. A frame of a single segment needs as much as it contains (RFC 8878 §3.1.1.1.2). */
function windowBytes(header: DataView): number {
  const descriptor = header.getUint8(0)
  if ((descriptor & FLAG_SINGLE_SEGMENT) === 0) {
    const window = header.getUint8(1)
    const base = 2 ** (10 + (window >> 3))
    return base + (base / 8) * (window & 7)
  }
  const sizeFlag = descriptor >> 6
  if (sizeFlag === 2) return header.getUint32(1, true)
  // Sizes of one and of two bytes are far below the limit.
  return sizeFlag === 3 ? Number(header.getBigUint64(1, true)) : 0
}
