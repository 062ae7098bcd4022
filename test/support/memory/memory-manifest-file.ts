// The file of a manifest in memory, and the hashes that go with it.

import type { ManifestFile, ManifestHashes } from '../../../protocol/slices/manifest-file.ts'

export const HASHES: ManifestHashes = { sha256: () => new Bun.CryptoHasher('sha256'), checksum: (bytes) => Bun.hash.xxHash64(bytes) }

/** A file whose bytes a test may change; the longest read is recorded. */
export interface MemoryManifestFile extends ManifestFile {
  bytes: Uint8Array
  readLengthMax: number
}

export function memoryManifestFile(bytes: Uint8Array): MemoryManifestFile {
  return {
    bytes,
    readLengthMax: 0,
    async length() {
      return this.bytes.byteLength
    },
    async read(into, position) {
      this.readLengthMax = Math.max(this.readLengthMax, into.byteLength)
      const part = this.bytes.subarray(position, position + into.byteLength)
      into.set(part)
      return part.byteLength
    },
  }
}
