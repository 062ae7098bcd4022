// A set of slices in bounded memory: the first 96 bits of their digests, in open addressing.

const WORDS = 3

export interface FingerprintSet {
  /** Adds a slice. Returns false, and adds nothing, when the set is full. */
  add(digest: Uint8Array): boolean
  has(digest: Uint8Array): boolean
  readonly size: number
  /** Memory that the set uses, in bytes. */
  readonly bytes: number
}

/** Creates a set that grows up to this many slices. Uses 16 to 64 bytes for each. */
export function createFingerprintSet(sizeMax: number): FingerprintSet {
  let slots = 1024
  let words = new Uint32Array(slots * WORDS)
  let size = 0

  /** Returns the position of a slice, or the free position where it would go. Three zero words mark a free one. */
  const positionOf = (first: number, second: number, third: number): number => {
    let at = (third & (slots - 1)) * WORDS
    while (!isFree(at) && (words[at] !== first || words[at + 1] !== second || words[at + 2] !== third)) at = (at + WORDS) % words.length
    return at
  }
  const isFree = (at: number): boolean => words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0
  const put = (first: number, second: number, third: number): void => {
    const at = positionOf(first, second, third)
    if (!isFree(at)) return
    words[at] = first
    words[at + 1] = second
    words[at + 2] = third
    size++
  }
  const grow = (): void => {
    const old = words
    slots *= 2
    words = new Uint32Array(slots * WORDS)
    size = 0
    for (let at = 0; at < old.length; at += WORDS) if (old[at] !== 0 || old[at + 1] !== 0 || old[at + 2] !== 0) put(old[at]!, old[at + 1]!, old[at + 2]!)
  }
  const word = (digest: Uint8Array, at: number): number =>
    (((digest[at] ?? 0) << 24) | ((digest[at + 1] ?? 0) << 16) | ((digest[at + 2] ?? 0) << 8) | (digest[at + 3] ?? 0)) >>> 0

  return {
    add(digest) {
      if (size >= sizeMax) return false
      // At most three quarters full, so that look-ups stay short.
      if (size * 4 >= slots * 3) grow()
      put(word(digest, 0), word(digest, 4), word(digest, 8))
      return true
    },
    has: (digest) => !isFree(positionOf(word(digest, 0), word(digest, 4), word(digest, 8))),
    get size() {
      return size
    },
    get bytes() {
      return words.byteLength
    },
  }
}
