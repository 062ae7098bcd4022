// A blocked Bloom filter: says which slices are certainly not stored, without reading the disk. The filter of all slices is in shared memory,
// where workers query it and the main thread adds to it; each run of the index database has a smaller one. A false "maybe" costs one look-up; a
// false "no" cannot happen.

/** One block is a cache line of 512 bits; a key sets this many bits in one block. */
const BLOCK_WORDS = 16
const BLOCK_BITS = BLOCK_WORDS * 32
const BITS_PER_KEY = 8
/** Bits of filter per slice of its capacity: about 0.3 % false positives when full. */
const FILTER_BITS_PER_SLICE = 16

export interface Filter<Memory extends ArrayBufferLike = SharedArrayBuffer> {
  readonly buffer: Memory
  /** Slices that it has room for; beyond that, false positives become more frequent. */
  readonly capacity: number
  /** Adds the digest that begins at `at`. */
  add(digest: Uint8Array, at?: number): void
  /** Whether the digest may have been added; false is certain. */
  mayHave(digest: Uint8Array): boolean
}

/** Creates an empty filter for this many slices, in shared memory. */
export function createFilter(capacity: number): Filter {
  return viewFilter(new SharedArrayBuffer(filterBytes(capacity, FILTER_BITS_PER_SLICE)), capacity)
}

/** Returns the bytes of a filter for this many slices at `bitsPerSlice`. */
export function filterBytes(capacity: number, bitsPerSlice: number): number {
  return Math.max(1, Math.ceil((capacity * bitsPerSlice) / BLOCK_BITS)) * BLOCK_WORDS * 4
}

/** Returns the filter in a buffer. Digests are uniformly random, so their own bytes serve as hashes. */
export function viewFilter<Memory extends ArrayBufferLike>(buffer: Memory, capacity: number): Filter<Memory> {
  const words = new Uint32Array(buffer)
  /** Blocks per value of the hash that selects one. */
  const scale = words.length / BLOCK_WORDS / 2 ** 32
  const byteOf = (digest: Uint8Array, i: number): number => digest[i] ?? 0
  const blockStart = (digest: Uint8Array, at: number): number => {
    const hash = (byteOf(digest, at) | (byteOf(digest, at + 1) << 8) | (byteOf(digest, at + 2) << 16) | (byteOf(digest, at + 3) << 24)) >>> 0
    return Math.floor(hash * scale) * BLOCK_WORDS
  }
  return {
    buffer,
    capacity,
    add(digest, at = 0) {
      const start = blockStart(digest, at)
      for (let i = at + 4; i < at + 4 + 2 * BITS_PER_KEY; i += 2) {
        const word = start + (byteOf(digest, i) & 15)
        words[word] = (words[word] ?? 0) | (1 << (byteOf(digest, i + 1) & 31))
      }
    },
    mayHave(digest) {
      const start = blockStart(digest, 0)
      for (let i = 4; i < 4 + 2 * BITS_PER_KEY; i += 2) {
        const word = words[start + (byteOf(digest, i) & 15)] ?? 0
        if ((word & (1 << (byteOf(digest, i + 1) & 31))) === 0) return false
      }
      return true
    },
  }
}
