// Finds the slices of one image that this store lacks, in batches. sources/move-batches.ts copies them.

import type { Manifest } from '../../protocol/slices/manifest.ts'
import { createLoopBudget } from '../contract/loop-budget.ts'
import type { Clock } from '../contract/runtime.ts'
import type { SliceIngester } from '../contract/slices.ts'
import { columns, createBatcher, keyOf, sliceWindows } from './plan.ts'
import type { NamedSlice } from './plan.ts'

/** Counters of a pull. `bytesMoved` counts frames as sent over the wire. */
export interface PullCounts {
  slicesMoved: number
  slicesPresent: number
  bytesMoved: number
}

export interface TransferDeps {
  readonly clock: Clock
  readonly slices: Pick<SliceIngester, 'receive' | 'missing'>
}

export interface MissingOptions {
  readonly counts: Pick<PullCounts, 'slicesPresent'>
  /** Slices that were yielded and are not stored yet, by `keyOf`. The caller removes each when it is stored. */
  readonly inFlight: Set<string>
  /** Returns the uncompressed bytes of a batch that a limit of the rate allows now; a batch has at least one slice. */
  readonly bytesMax?: () => number
}

/**
 * Yields batches of missing slices in one pass over the manifest, and pins present slices briefly. A gc in progress may have listed the leases
 * before this lease was acquired, but it keeps all slices pinned since it started. A later gc finds the lease. A slice that occurs in several blocks is
 * yielded once, also while it is in flight.
 */
export async function* missingBatches(
  { clock, slices }: TransferDeps,
  manifest: Pick<Manifest, 'blocks'>,
  { counts, inFlight, bytesMax = () => Infinity }: MissingOptions,
): AsyncGenerator<NamedSlice[]> {
  const budget = createLoopBudget(clock)
  const batcher = createBatcher(bytesMax)
  for await (const block of manifest.blocks()) {
    for (const window of sliceWindows(block)) {
      const absent = (await pinned(slices, window)).filter((slice) => !inFlight.has(keyOf(slice)))
      counts.slicesPresent += window.length - absent.length
      for (const slice of absent) {
        inFlight.add(keyOf(slice))
        const full = batcher.add(slice)
        if (full) yield full
      }
      await budget.spend()
    }
  }
  const rest = batcher.rest()
  if (rest.length > 0) yield rest
}

/** Pins the present slices briefly and returns the missing ones. */
async function pinned(slices: TransferDeps['slices'], window: readonly NamedSlice[]): Promise<NamedSlice[]> {
  await using receiver = slices.receive()
  const absent = new Set(receiver.pin(...columns(window)))
  return window.filter((_slice, i) => absent.has(i))
}
