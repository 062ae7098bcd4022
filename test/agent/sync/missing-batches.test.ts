// The batches of missing slices of a manifest.

import { expect, test } from 'bun:test'
import { missingBatches } from '../../../agent/sync/missing-batches.ts'
import { keyOf } from '../../../agent/sync/plan.ts'
import type { NamedSlice } from '../../../agent/sync/plan.ts'
import type { ManifestBlock } from '../../../protocol/slices/manifest.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemorySlices } from '../../support/memory/memory-slices.ts'

const sliceOf = (text: string): NamedSlice => ({ digest: new Uint8Array(new Bun.CryptoHasher('sha256').update(text).digest()), length: 4096 })
const A = sliceOf('a')
const B = sliceOf('b')
const C = sliceOf('c')

/** Yields each list of slices as a block of a manifest. */
async function* blocksOf(lists: readonly (readonly NamedSlice[])[]): AsyncGenerator<ManifestBlock> {
  for (const list of lists) {
    const slice = (i: number): NamedSlice => list[i] ?? A
    yield { first: 0, count: list.length, digestAt: (i) => slice(i).digest, lengthAt: (i) => slice(i).length, isZeroAt: () => false, offsetAt: (i) => 4096 * i }
  }
}

test('a slice of several blocks is asked for once, also while the batch that has it is in flight', async () => {
  const counts = { slicesPresent: 0 }
  const inFlight = new Set<string>()
  const manifest = { blocks: () => blocksOf([[A, B], [B, C], [A]]) }
  // One slice a batch: the first is in flight when the next is made.
  const batches = missingBatches({ clock: createManualClock(), slices: createMemorySlices() }, manifest, { counts, inFlight, bytesMax: () => 1 })
  const asked: NamedSlice[] = []
  for await (const batch of batches) asked.push(...batch)
  expect(asked).toEqual([A, B, C])
  expect(counts.slicesPresent).toBe(2)
  expect([...inFlight]).toEqual([A, B, C].map(keyOf))
})

test('a slice that was in flight and did not arrive is asked for again', async () => {
  const inFlight = new Set<string>()
  const manifest = { blocks: () => blocksOf([[A], [B], [A]]) }
  const options = { counts: { slicesPresent: 0 }, inFlight, bytesMax: () => 1 }
  const asked: NamedSlice[] = []
  for await (const batch of missingBatches({ clock: createManualClock(), slices: createMemorySlices() }, manifest, options)) {
    asked.push(...batch)
    inFlight.clear()
  }
  expect(asked).toEqual([A, B, A])
})
