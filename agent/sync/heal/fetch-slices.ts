// Fetches slices from one store by digest and puts them back. The store need not have the same image: any image in which it shows the slice will do.

import type { KnownOrigin } from '../../contract/origins.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { SliceIngester } from '../../contract/slices.ts'
import { fetchBatch } from '../sources/fetch-batch.ts'
import type { WantedSlice } from '../sources/fetch-batch.ts'

/** Slices of one request: at most 64 MiB with the longest slices of a default cutter, which arrive and are written one by one. */
export const HEAL_BATCH_SLICES = 512

export interface SliceFetch {
  readonly clock: Clock
  readonly slices: Pick<SliceIngester, 'receive'>
  /** Called when slices are stored and fsynced, before they are released. */
  readonly stored: () => void
  /** Counts the bytes of a slice on the wire, and resolves when the rate of the store allows the next ones. */
  readonly pace: (wireBytes: number) => Promise<void>
  readonly signal: AbortSignal
}

/**
 * Fetches those slices of a list that a store has. Each is verified by its SHA-256 before it is written, and all are durable when this resolves.
 * Throws ProblemError, FrameInvalid and SliceUnreadable when the store fails or lies; what was verified before is stored.
 */
export async function fetchSlices(origin: KnownOrigin, wanted: readonly WantedSlice[], { clock, slices, stored, pace, signal }: SliceFetch): Promise<void> {
  await using receiver = slices.receive()
  let count = 0
  // A pass asks one store after the other, so the rate of one need not be compared with others.
  const use = { source: origin, stored: () => {}, measured: () => {} }
  try {
    await fetchBatch({ clock, use, receiver, image: undefined, onStored: () => void count++, pace, isTooSlow: () => false, signal }, wanted)
  } finally {
    // Slices that arrived before a failure are verified, so they are kept.
    if (count > 0) await receiver.sync()
    if (count > 0) stored()
  }
}
