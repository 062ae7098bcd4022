// Encodes zstd frames by hand (RFC 8878 §3.1.1), including frames that no encoder produces.

export type ZstdBlock =
  | { readonly kind: 'raw'; readonly bytes: Uint8Array }
  /** `length` bytes of zeros, 4 bytes in the frame. */
  | { readonly kind: 'zeros'; readonly length: number }
  | { readonly kind: 'any'; readonly type: number; readonly size: number; readonly bytes: Uint8Array }

export interface ZstdFrameParts {
  /** Frame_Content_Size. Default: not included. */
  readonly contentSize?: number
  /** Length of the field Frame_Content_Size in bytes. */
  readonly sizeBytes?: 1 | 2 | 4 | 8
  /** Window_Descriptor. Default: the frame is a single segment. */
  readonly window?: number
  readonly dictionaryId?: number
  readonly isReservedBitSet?: boolean
  readonly hasChecksum?: boolean
  readonly blocks: readonly ZstdBlock[]
}

const SIZE_FLAGS = { 1: 0, 2: 1, 4: 2, 8: 3 } as const

/** Encodes a frame. Marks the last block as last. The checksum is wrong. */
export function zstdFrame({ contentSize, sizeBytes = 4, window, dictionaryId, isReservedBitSet, hasChecksum, blocks }: ZstdFrameParts): Uint8Array {
  const size = new DataView(new ArrayBuffer(8))
  if (sizeBytes === 1) size.setUint8(0, contentSize ?? 0)
  else if (sizeBytes === 2) size.setUint16(0, (contentSize ?? 0) - 256, true)
  else size.setBigUint64(0, BigInt(contentSize ?? 0), true)
  const flag = contentSize === undefined ? 0 : SIZE_FLAGS[sizeBytes]
  const descriptor = (flag << 6) | (window === undefined ? 0x20 : 0) | (isReservedBitSet ? 8 : 0) | (hasChecksum ? 4 : 0) | (dictionaryId === undefined ? 0 : 1)
  return Buffer.concat([
    Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, descriptor),
    window === undefined ? new Uint8Array(0) : Uint8Array.of(window),
    dictionaryId === undefined ? new Uint8Array(0) : Uint8Array.of(dictionaryId),
    contentSize === undefined ? new Uint8Array(0) : new Uint8Array(size.buffer).subarray(0, sizeBytes),
    ...blocks.map((block, i) => encodeBlock(block, i === blocks.length - 1)),
    hasChecksum ? new Uint8Array(4) : new Uint8Array(0),
  ])
}

/** Encodes a skippable frame (RFC 8878 §3.1.2) with `length` bytes of content. */
export function skippableFrame(length: number): Uint8Array {
  const header = Buffer.alloc(8)
  header.writeUInt32LE(0x184d_2a50, 0)
  header.writeUInt32LE(length, 4)
  return Buffer.concat([header, new Uint8Array(length)])
}

function encodeBlock(block: ZstdBlock, isLast: boolean): Uint8Array {
  const { type, size, bytes } =
    block.kind === 'raw'
      ? { type: 0, size: block.bytes.byteLength, bytes: block.bytes }
      : block.kind === 'zeros'
        ? { type: 1, size: block.length, bytes: new Uint8Array(1) }
        : block
  const header = (size << 3) | (type << 1) | (isLast ? 1 : 0)
  return Buffer.concat([Uint8Array.of(header & 255, (header >> 8) & 255, (header >> 16) & 255), bytes])
}
