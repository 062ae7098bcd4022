// The set of slices that a gc has marked: 64-bit fingerprints in a hash table with open addressing. A collision of two fingerprints keeps garbage
// until the next gc; it never loses a slice.

/** Keeps the table at most half full, so that look-ups stay short. */
const SLOTS_PER_SLICE = 2

export interface LiveSet {
  add(digest: Uint8Array): void
  has(digest: Uint8Array): boolean
  readonly size: number
}

/** Creates a set with room for this many slices; it grows when more are added. */
export function createLiveSet(expected: number): LiveSet {
  let slots = 2 ** Math.ceil(Math.log2(Math.max(1024, expected * SLOTS_PER_SLICE)))
  let words = new Uint32Array(slots * 2)
  let size = 0

  const word = (digest: Uint8Array, at: number): number =>
    ((digest[at] ?? 0) | ((digest[at + 1] ?? 0) << 8) | ((digest[at + 2] ?? 0) << 16) | ((digest[at + 3] ?? 0) << 24)) >>> 0

  /** Returns the slot of a fingerprint, or the free slot where it would be stored. The high word of a fingerprint is odd; 0 marks a free slot. */
  const slotOf = (low: number, high: number): number => {
    let slot = low & (slots - 1)
    while (words[2 * slot + 1] !== 0 && (words[2 * slot] !== low || words[2 * slot + 1] !== high)) slot = (slot + 1) & (slots - 1)
    return slot
  }

  const put = (low: number, high: number): void => {
    const slot = slotOf(low, high)
    if (words[2 * slot + 1] !== 0) return
    words[2 * slot] = low
    words[2 * slot + 1] = high
    size++
  }

  const grow = (): void => {
    const old = words
    slots *= 2
    words = new Uint32Array(slots * 2)
    size = 0
    for (let i = 0; i < old.length; i += 2) if (old[i + 1] !== 0) put(old[i] ?? 0, old[i + 1] ?? 0)
  }

  return {
    add(digest) {
      if (size * SLOTS_PER_SLICE >= slots) grow()
      put(word(digest, 0), (word(digest, 4) | 1) >>> 0)
    },
    has(digest) {
      const slot = slotOf(word(digest, 0), (word(digest, 4) | 1) >>> 0)
      return words[2 * slot + 1] !== 0
    },
    get size() {
      return size
    },
  }
}
