// Counts the stored bytes of the slices of an image, and of the slices that no other image uses. Counts in small steps, so that the event loop
// stays responsive for an image of millions of slices.

import type { Manifest } from '../../../protocol/slices/manifest.ts'

/** Maximum number of slices of the images in one count. The table uses up to 36 bytes per slice. */
export const UNIQUE_SLICES_MAX = 2_000_000
/** Maximum bytes of manifests that one count reads. */
export const UNIQUE_READ_BYTES_MAX = 128 * 1024 * 1024
/** Maximum number of slices of an image for which repeated slices are counted once. In larger images they are counted each time. */
const DISTINCT_SLICES_MAX = 2_000_000

export interface SliceSizesDeps {
  /** Returns the stored bytes of slices. */
  readonly sizes: (digests: readonly Uint8Array[]) => { readonly storedBytes: number }
  /** Lets other work on the event loop run. */
  readonly pause: () => Promise<void>
}

/** Returns the stored bytes of the distinct slices of an image. */
export async function countStoredSize(manifest: Manifest, deps: SliceSizesDeps): Promise<number> {
  const canTell = manifest.count <= DISTINCT_SLICES_MAX
  const seen = createPrefixTable(canTell ? manifest.count : 0)
  return sumSizes(manifest, (digest) => !canTell || seen.add(digest), deps)
}

/** Limits the bytes that one count reads. */
export interface ReadBudget {
  /** Throws RangeError once more than UNIQUE_READ_BYTES_MAX bytes are spent. */
  spend(bytes: number): void
  readonly isSpent: boolean
}

/** Creates the budget of one count. */
export function createReadBudget(): ReadBudget {
  let left = UNIQUE_READ_BYTES_MAX
  return {
    spend(bytes) {
      left -= bytes
      if (left < 0) throw new RangeError(`a count must not read more than ${UNIQUE_READ_BYTES_MAX} bytes of manifests`)
    },
    get isSpent() {
      return left < 0
    },
  }
}

/** Returns the stored bytes of the slices that occur only in these manifests, or null if they have too many slices to count. */
export async function countUniqueSize(manifests: readonly Manifest[], others: AsyncIterable<Manifest>, deps: SliceSizesDeps): Promise<number | null> {
  const slices = manifests.reduce((sum, { count }) => sum + count, 0)
  if (slices > UNIQUE_SLICES_MAX) return null
  const mine = createPrefixTable(slices)
  for (const manifest of manifests) await eachDigest(manifest, deps, (digest) => void mine.add(digest))
  for await (const other of others) {
    await eachDigest(other, deps, (digest) => void mine.mark(digest))
    if (mine.unmarked() === 0) return 0
  }
  // Each counted slice is marked, so that a repeated slice is counted once.
  let sum = 0
  for (const manifest of manifests) sum += await sumSizes(manifest, (digest) => mine.mark(digest), deps)
  return sum
}

/** Returns the stored bytes of the slices for which `counts` returns true. */
async function sumSizes(manifest: Manifest, counts: (digest: Uint8Array) => boolean, { sizes, pause }: SliceSizesDeps): Promise<number> {
  let sum = 0
  for await (const block of manifest.blocks()) {
    const admitted: Uint8Array[] = []
    for (let i = block.first; i < block.first + block.count; i++) {
      if (block.isZeroAt(i)) continue
      const digest = block.digestAt(i)
      if (counts(digest)) admitted.push(digest)
    }
    sum += sizes(admitted).storedBytes
    await pause()
  }
  return sum
}

/** Calls `take` with the digest of every slice of a manifest. */
async function eachDigest(manifest: Manifest, { pause }: SliceSizesDeps, take: (digest: Uint8Array) => void): Promise<void> {
  for await (const block of manifest.blocks()) {
    for (let i = block.first; i < block.first + block.count; i++) if (!block.isZeroAt(i)) take(block.digestAt(i))
    await pause()
  }
}

interface PrefixTable {
  /** Adds a digest and returns whether it is new. */
  add(digest: Uint8Array): boolean
  /** Marks a digest. Returns whether it is in the table and was not marked before. */
  mark(digest: Uint8Array): boolean
  /** Returns the number of digests that are not marked. */
  unmarked(): number
}

/**
 * A set of digests with open addressing, keyed by their first 64 bits. Digests with equal keys count as one: with two million slices against
 * a billion, the chance of one missing slice is one in ten thousand, which is acceptable for an informative number.
 */
function createPrefixTable(count: number): PrefixTable {
  const capacity = 2 ** Math.ceil(Math.log2(Math.max(16, count * 2)))
  const keys = new Uint32Array(capacity * 2)
  const states = new Uint8Array(capacity)
  let unmarked = 0

  /** Returns the position of a digest, or the empty position where it belongs. */
  const place = (digest: Uint8Array): { at: number; low: number; high: number } => {
    const low = word(digest, 0)
    const high = word(digest, 4)
    let at = low & (capacity - 1)
    while (states[at] !== 0 && (keys[2 * at] !== low || keys[2 * at + 1] !== high)) at = (at + 1) & (capacity - 1)
    return { at, low, high }
  }
  return {
    add(digest) {
      const { at, low, high } = place(digest)
      if (states[at] !== 0) return false
      keys[2 * at] = low
      keys[2 * at + 1] = high
      states[at] = 1
      unmarked++
      return true
    },
    mark(digest) {
      const { at } = place(digest)
      if (states[at] !== 1) return false
      states[at] = 2
      unmarked--
      return true
    },
    unmarked: () => unmarked,
  }
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0
}
