// Plans a sync: what to do with each image, and which slices to copy in which batches. Pure functions.

import type { Image } from '../../protocol/images/image.ts'
import type { ManifestBlock } from '../../protocol/slices/manifest.ts'

/** Maximum slices and uncompressed bytes of one request to the source. */
export const BATCH_SLICES_MAX = 512
export const BATCH_BYTES_MAX = 32 * 1024 * 1024
/** Number of slices that are looked up before other work runs. */
export const WINDOW_SLICES = 512

/** What a sync does with an image. */
export type SyncDecision =
  | { readonly kind: 'already-there' }
  /** `repair`: this store has the image, but it is damaged. */
  | { readonly kind: 'copy'; readonly why: 'new' | 'repair' | 'restore' }
  | { readonly kind: 'refused'; readonly reason: 'busy' | 'unreadable' | 'other-bytes' }

/** Decides what to do with an image of the source. `here` is the image with the same id in this store. */
export function planSync(source: Pick<Image, 'manifestDigest'>, here: Pick<Image, 'status' | 'manifestDigest'> | undefined): SyncDecision {
  if (!here) return { kind: 'copy', why: 'new' }
  if (here.status === 'deleting') return { kind: 'refused', reason: 'busy' }
  if (here.status === 'fileUnavailable') return { kind: 'refused', reason: 'unreadable' }
  if (here.status === 'error') return { kind: 'copy', why: 'repair' }
  if (here.manifestDigest !== source.manifestDigest) return { kind: 'refused', reason: 'other-bytes' }
  if (here.status === 'deleted') return { kind: 'copy', why: 'restore' }
  if (here.status === 'degraded') return { kind: 'copy', why: 'repair' }
  return { kind: 'already-there' }
}

/** A slice in a manifest. */
export interface NamedSlice {
  readonly digest: Uint8Array
  /** Uncompressed bytes. */
  readonly length: number
}

/** Returns the digests and lengths of slices as two lists. */
export function columns(slices: readonly NamedSlice[]): [Uint8Array[], number[]] {
  return [slices.map(({ digest }) => digest), slices.map(({ length }) => length)]
}

/** Yields the slices of a block in windows of at most WINDOW_SLICES. Yields each slice once and omits runs of zeros. */
export function* sliceWindows(block: ManifestBlock): Generator<NamedSlice[]> {
  const seen = new Set<string>()
  let window: NamedSlice[] = []
  for (let i = block.first; i < block.first + block.count; i++) {
    if (block.isZeroAt(i)) continue
    const slice = { digest: block.digestAt(i), length: block.lengthAt(i) }
    if (seen.has(keyOf(slice))) continue
    seen.add(keyOf(slice))
    window.push(slice)
    if (window.length < WINDOW_SLICES) continue
    yield window
    window = []
  }
  if (window.length > 0) yield window
}

/** Collects slices into batches of bounded number and length. */
export interface Batcher {
  /** Adds a slice. If it does not fit into the current batch, returns that batch and starts a new one. */
  add(slice: NamedSlice): NamedSlice[] | undefined
  /** Returns the current batch and starts a new one. */
  rest(): NamedSlice[]
}

/** Creates a batcher. `bytesMax` returns the uncompressed bytes of the next batch at most, if that is less than BATCH_BYTES_MAX. */
export function createBatcher(bytesMax: () => number = () => Infinity): Batcher {
  let batch = new Map<string, NamedSlice>()
  let bytes = 0
  const rest = (): NamedSlice[] => {
    const full = [...batch.values()]
    batch = new Map()
    bytes = 0
    return full
  }
  return {
    add(slice) {
      const isFull = batch.size > 0 && (batch.size === BATCH_SLICES_MAX || bytes + slice.length > Math.min(BATCH_BYTES_MAX, bytesMax()))
      const full = isFull ? rest() : undefined
      if (!batch.has(keyOf(slice))) bytes += slice.length
      batch.set(keyOf(slice), slice)
      return full
    },
    rest,
  }
}

/** Returns the key of a slice. The same digest with two lengths counts as two slices; at most one of them exists. */
export function keyOf({ digest, length }: NamedSlice): string {
  return String.fromCharCode(...digest, length & 0xffff, length >>> 16)
}

/** Returns the maximum bytes on disk that the missing slices may use: at most the stored size of the image at the source. */
export function spaceNeeded(missingBytes: number, image: Pick<Image, 'storedSize'>): number {
  return image.storedSize === null ? missingBytes : Math.min(missingBytes, image.storedSize)
}
