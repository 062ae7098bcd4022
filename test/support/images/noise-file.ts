// Writes files that are nearly incompressible, like images of compressed content, so that almost every byte is transferred and stored.

import { open } from 'node:fs/promises'
import { createRandom } from '../properties.ts'

/** Bytes generated and written at a time. */
const PIECE_BYTES = 8 * 1024 * 1024
/** Zeros at the start of each piece. */
const ZEROS_BYTES = 96 * 1024

/** Writes a file of `length` bytes and returns its digest. The bytes depend only on the seed. */
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
