// Hashes runs of zeros from a constant buffer.

const ZEROS = new Uint8Array(0x1_0000)

/** Adds this many zeros to a hash. */
export function updateWithZeros(hash: Bun.CryptoHasher, length: number): void {
  for (let left = length; left > 0; left -= ZEROS.byteLength) hash.update(left < ZEROS.byteLength ? ZEROS.subarray(0, left) : ZEROS)
}
