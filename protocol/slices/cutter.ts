// Sector-aligned content-defined cutting (docs/format.md, "Slices and cutting"), used by the store and by a client that sends only the slices
// that a store lacks. Pure: bytes in, cuts out. Every aligned block is hashed by itself, so the end of a slice depends on its own blocks only,
// and cutting can resume at the start of any slice.

const KIB = 1024
const MIB = 1024 * KIB

/** How images are cut; part of store.json, and never changed. Lengths in bytes. */
export interface CutterParameters {
  readonly block: number
  readonly minimum: number
  readonly average: number
  readonly maximum: number
}

/** Whether parameters are valid: increasing powers of two within the bounds of the formats. */
export function isCutterValid(cutter: CutterParameters): boolean {
  const lengths = [cutter.block, cutter.minimum, cutter.average, cutter.maximum]
  const arePowers = lengths.every((length) => Number.isInteger(Math.log2(length)))
  return (
    arePowers &&
    cutter.block >= 512 &&
    cutter.block <= 64 * KIB &&
    cutter.minimum >= cutter.block &&
    cutter.average > cutter.minimum &&
    cutter.maximum > cutter.average &&
    cutter.maximum <= 4 * MIB
  )
}

/** What a cutter needs of the runtime, because no Web API is fast enough for it. */
export interface BlockPrimitives {
  /** xxHash3, 64 bits, seed 0. With any other hash, the same bytes would be cut at other offsets and not deduplicate. */
  hash(block: Uint8Array): bigint
  /** Whether the bytes [start, end) are all zero; at most ZERO_STRETCH_BYTES of them. */
  isZero(bytes: Uint8Array, start: number, end: number): boolean
}

/** Bytes are compared with zeros in stretches of this length first. */
export const ZERO_STRETCH_BYTES = 64 * KIB

/** Cuts in image order. `ends[i]` is the end of piece i, which begins where the one before ends. */
export interface Cuts {
  readonly ends: number[]
  readonly zeros: boolean[]
  /** Bytes covered by the pieces; the rest cannot be cut without more bytes. */
  readonly consumed: number
}

export interface Cutter {
  /** Cuts bytes that begin at the start of a slice; with `last`, the image ends with them. */
  cut(bytes: Uint8Array, last: boolean): Cuts
}

/** Creates a cutter. */
export function createCutter(parameters: CutterParameters, { hash, isZero }: BlockPrimitives): Cutter {
  const { block, minimum, average, maximum } = parameters
  const bits = Math.log2(average / block)
  // Normalised cutting: one bit more below the average and one bit less above it move lengths towards the average.
  const maskBefore = BigInt(2 ** (bits + 1) - 1)
  const maskAfter = BigInt(2 ** (bits - 1) - 1)

  const zeroRunEnd = (bytes: Uint8Array, start: number, end: number): number => {
    let at = start
    while (at + ZERO_STRETCH_BYTES <= end && isZero(bytes, at, at + ZERO_STRETCH_BYTES)) at += ZERO_STRETCH_BYTES
    while (at + block <= end && isZero(bytes, at, at + block)) at += block
    return at
  }

  const sliceEnd = (bytes: Uint8Array, start: number, end: number): number | undefined => {
    let at = start
    while (at + block <= end) {
      if (isZero(bytes, at, at + block)) return at
      at += block
      const length = at - start
      if (length >= maximum) return at
      if (length < minimum) continue
      if ((hash(bytes.subarray(at - block, at)) & (length < average ? maskBefore : maskAfter)) === 0n) return at
    }
    return undefined
  }

  return {
    cut(bytes, last) {
      const ends: number[] = []
      const zeros: boolean[] = []
      let start = 0
      while (start < bytes.length) {
        const zeroEnd = zeroRunEnd(bytes, start, bytes.length)
        if (zeroEnd > start) {
          ends.push(zeroEnd)
          zeros.push(true)
          start = zeroEnd
          continue
        }
        const end = sliceEnd(bytes, start, bytes.length) ?? (last ? bytes.length : undefined)
        if (end === undefined) break
        ends.push(end)
        zeros.push(end - start < block && isZero(bytes, start, end))
        start = end
      }
      return { ends, zeros, consumed: start }
    },
  }
}
