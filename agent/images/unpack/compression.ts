// Recognises the compressed files that `decompress=true` unpacks, and says why a compressed file is refused.

export type Compression = 'gzip' | 'xz' | 'zstd'

/** Bytes at the start of a file from which its compression is recognised. */
export const COMPRESSION_BYTES = 6

/** First bytes by compression: RFC 1952 §2.3.1, the .xz file format §2.1.1.1, RFC 8878 §3.1.1 and for skippable frames §3.1.2. */
const SIGNATURES: readonly (readonly [Compression, (head: Uint8Array) => boolean])[] = [
  ['gzip', (head) => head[0] === 0x1f && head[1] === 0x8b && head[2] === 8],
  ['xz', (head) => [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0].every((byte, i) => head[i] === byte)],
  ['zstd', (head) => head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd],
  ['zstd', (head) => ((head[0] ?? 0) & 0xf0) === 0x50 && head[1] === 0x2a && head[2] === 0x4d && head[3] === 0x18],
]

/** Returns the compression of a file, or undefined if it has none of these. */
export function compressionOf(head: Uint8Array): Compression | undefined {
  return SIGNATURES.find(([, matches]) => matches(head))?.[0]
}

/** A compressed file is damaged, truncated or hostile. `message` is a clause such as `it is cut off`. */
export class UnpackFault extends Error {
  override readonly name = 'UnpackFault'
}
