// Upload-Checksum (tus 1.0.0, "Checksum"): the digest of one request's body.

import { crc32 } from 'node:zlib'
import { problem } from '../../../protocol/problems.ts'

/** Algorithms of Tus-Checksum-Algorithm, with the length of their digests in bytes. */
const ALGORITHMS = { sha1: 20, sha256: 32, md5: 16, crc32: 4 } as const

type TusAlgorithm = keyof typeof ALGORITHMS

export type ChecksumAlgorithm = TusAlgorithm | 'sha512'

export const CHECKSUM_ALGORITHMS = Object.keys(ALGORITHMS) as TusAlgorithm[]

/** The digest that a client expects of its body. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm
  readonly expected: Uint8Array
  /** The header it came in. */
  readonly field: 'Upload-Checksum' | 'Content-Digest'
}

/** A running hash over the pieces of a body. */
export interface RunningChecksum {
  update(piece: Uint8Array): void
  digest(): Uint8Array
}

/** Parses an Upload-Checksum header. Throws `invalid-input` for an algorithm that is not supported and for a malformed digest. */
export function parseChecksum(header: string): Checksum {
  const [name = '', value = '', ...rest] = header.trim().split(' ')
  const algorithm = name.toLowerCase()
  if (!isAlgorithm(algorithm)) {
    throw problem('invalid-input', `Upload-Checksum: the algorithm ${JSON.stringify(name)} is not supported; use one of ${CHECKSUM_ALGORITHMS.join(', ')}.`)
  }
  const expected = rest.length === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(value) ? decodeBase64(value) : undefined
  if (expected?.byteLength !== ALGORITHMS[algorithm]) {
    throw problem('invalid-input', `Upload-Checksum: the value is not valid Base64 of a ${algorithm} digest (${ALGORITHMS[algorithm]} bytes).`)
  }
  return { algorithm, expected, field: 'Upload-Checksum' }
}

/** Starts a hash. The digest of CRC-32 is four bytes, most significant first. */
export function startChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  if (algorithm === 'crc32') {
    let value = 0
    return {
      update: (piece) => void (value = crc32(piece, value)),
      digest: () => {
        const bytes = new Uint8Array(4)
        new DataView(bytes.buffer).setUint32(0, value)
        return bytes
      },
    }
  }
  const hasher = new Bun.CryptoHasher(algorithm)
  return { update: (piece) => void hasher.update(piece), digest: () => new Uint8Array(hasher.digest()) }
}

/** Whether two digests are the same bytes. */
export function isSameDigest(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
}

function isAlgorithm(name: string): name is TusAlgorithm {
  return Object.hasOwn(ALGORITHMS, name)
}

/** Returns the bytes of Base64 text; undefined when it is not valid. */
export function decodeBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}
