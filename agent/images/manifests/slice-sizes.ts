// Sizes of images in slices: the bytes of their slices, and of the slices that only they name, which deleting them would free. Counted in
// small steps, so that the event loop stays responsive for an image of millions of slices.

import type { Manifest } from '../../../protocol/manifest.ts'

/** Slices of the images of one count at most; the table takes up to 36 bytes for each. */
export const UNIQUE_SLICES_MAX = 2_000_000
/** Bytes of manifests that one count reads at most. */
export const UNIQUE_READ_BYTES_MAX = 128 * 1024 * 1024
/** Most slices of an image for which repeated slices count once; in a longer image they count each time. */
const DISTINCT_SLICES_MAX = 2_000_000

export interface SliceSizesDeps {
  /** Stored bytes of slices. */
  readonly sizes: (digests: readonly Uint8Array[]) => { readonly storedBytes: number }
  /** Lets other work on the event loop run. */
  readonly pause: () => Promise<void>
}

/** Returns the stored bytes of the distinct slices of an image. */
export async function countStoredSize(manifest: Manifest, deps: SliceSizesDeps): Promise<number> {
  const seen = createPrefixTable(Math.min(manifest.count, DISTINCT_SLICES_MAX))
  const canTell = manifest.count <= DISTINCT_SLICES_MAX
  return sumSizes(manifest, (digest) => !canTell || seen.add(digest), deps)
}

/** Counts the bytes that one count reads. */
export interface ReadBudget {
  /** Throws RangeError beyond UNIQUE_READ_BYTES_MAX. */
  spend(bytes: number): void
  readonly isSpent: boolean
}

/** Creates the budget of one count. */
export function createReadBudget(): ReadBudget {
  let left = UNIQUE_READ_BYTES_MAX
  return {
    spend(bytes) {
      left -= bytes
      if (left < 0) throw new RangeError(`a count reads at most ${UNIQUE_READ_BYTES_MAX} bytes of manifests`)
    },
    get isSpent() {
      return left < 0
    },
  }
}

/** Returns the stored bytes of the slices that only these manifests name; null when they have too many slices to count. */
export async function countUniqueSize(manifests: readonly Manifest[], others: AsyncIterable<Manifest>, deps: SliceSizesDeps): Promise<number | null> {
  const slices = manifests.reduce((sum, { count }) => sum + count, 0)
  if (slices > UNIQUE_SLICES_MAX) return null
  const mine = createPrefixTable(slices)
  for (const manifest of manifests) await eachDigest(manifest, deps, (digest) => void mine.add(digest))
  for await (const other of others) {
    await eachDigest(other, deps, (digest) => void mine.mark(digest))
    if (mine.unmarked() === 0) return 0
  }
  // Marking each counted slice keeps one that occurs twice from being counted twice.
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

/** Calls back with the digest of every slice of a manifest. */
async function eachDigest(manifest: Manifest, { pause }: SliceSizesDeps, take: (digest: Uint8Array) => void): Promise<void> {
  for await (const block of manifest.blocks()) {
    for (let i = block.first; i < block.first + block.count; i++) if (!block.isZeroAt(i)) take(block.digestAt(i))
    await pause()
  }
}

interface PrefixTable {
  /** Adds a digest and returns whether it is new. */
  add(digest: Uint8Array): boolean
  /** Marks a digest that was added; returns whether it was there and not yet marked. */
  mark(digest: Uint8Array): boolean
  /** Returns how many digests were added and not marked. */
  unmarked(): number
}

/**
 * A set of digests by their first 64 bits, open addressing. Two digests that share them count as one: with two
 * million slices against a billion that is one chance in ten thousand of one slice too few in a figure for people.
 */
function createPrefixTable(count: number): PrefixTable {
  const capacity = 2 ** Math.ceil(Math.log2(Math.max(16, count * 2)))
  const keys = new Uint32Array(capacity * 2)
  const states = new Uint8Array(capacity)
  let unmarked = 0

  /** Place of a digest, or the empty one where it would stand. */
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
