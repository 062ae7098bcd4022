// Files whose bytes nobody can compress much, as images of compressed content are: every byte of them has to be moved and kept.

import { open } from 'node:fs/promises'
import { createRandom } from '../properties.ts'

/** Bytes made and written at a time. */
const PIECE_BYTES = 8 * 1024 * 1024
/** At the beginning of each piece there are so many zeros. */
const ZEROS_BYTES = 96 * 1024

/** Writes a file of so many bytes, the same for the same seed; gives its digest. */
export async function makeNoiseFile(path: string, length: number, seed: number): Promise<string> {
  const hasher = new Bun.CryptoHasher('sha256')
  await using file = await open(path, 'w')
  for (let at = 0; at < length; at += PIECE_BYTES) {
    const piece = createRandom(seed + at / PIECE_BYTES).bytes(Math.min(PIECE_BYTES, length - at))
    piece.fill(0, 0, ZEROS_BYTES)
    hasher.update(piece)
    await file.write(piece)
  }
  return `sha256:${hasher.digest('hex')}`
}
