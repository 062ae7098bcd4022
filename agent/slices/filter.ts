// A blocked Bloom filter in shared memory: tells workers which slices are certainly new, without a database read.
// Only the main thread adds; a false "perhaps" costs one look-up, a false "no" cannot happen.

/** One block is a cache line of 512 bits; a key sets this many bits in one block. */
const BLOCK_WORDS = 16
const BITS_PER_KEY = 8
/** Bits of filter for each slice it is made for: about 0.3 % false answers when full. */
const FILTER_BITS_PER_SLICE = 16

export interface Filter {
  readonly buffer: SharedArrayBuffer
  /** Slices it was made for; beyond that it answers "perhaps" more often. */
  readonly capacity: number
  add(digest: Uint8Array): void
  mayHave(digest: Uint8Array): boolean
}

/** A new, empty filter for this many slices. */
export function createFilter(capacity: number): Filter {
  const blocks = 2 ** Math.ceil(Math.log2(Math.max(1, (capacity * FILTER_BITS_PER_SLICE) / (BLOCK_WORDS * 32))))
  return viewFilter(new SharedArrayBuffer(blocks * BLOCK_WORDS * 4), capacity)
}

/** The filter that lies in a shared buffer. Digests are uniformly random, so their own bytes serve as hashes. */
export function viewFilter(buffer: SharedArrayBuffer, capacity: number): Filter {
  const words = new Uint32Array(buffer)
  const blockMask = words.length / BLOCK_WORDS - 1
  const byteOf = (digest: Uint8Array, i: number): number => digest[i] ?? 0
  const blockStart = (digest: Uint8Array): number => {
    const hash = (byteOf(digest, 0) | (byteOf(digest, 1) << 8) | (byteOf(digest, 2) << 16) | (byteOf(digest, 3) << 24)) >>> 0
    return (hash & blockMask) * BLOCK_WORDS
  }
  return {
    buffer,
    capacity,
    add(digest) {
      const start = blockStart(digest)
      for (let i = 0; i < BITS_PER_KEY; i++) {
        const word = start + (byteOf(digest, 4 + 2 * i) & 15)
        words[word] = (words[word] ?? 0) | (1 << (byteOf(digest, 5 + 2 * i) & 31))
      }
    },
    mayHave(digest) {
      const start = blockStart(digest)
      for (let i = 0; i < BITS_PER_KEY; i++) {
        const word = words[start + (byteOf(digest, 4 + 2 * i) & 15)] ?? 0
        if ((word & (1 << (byteOf(digest, 5 + 2 * i) & 31))) === 0) return false
      }
      return true
    },
  }
}
