// The batches of missing slices of a manifest.

import { expect, test } from 'bun:test'
import { missingBatches } from '../../../agent/sync/missing-batches.ts'
import { keyOf } from '../../../agent/sync/plan.ts'
import type { NamedSlice } from '../../../agent/sync/plan.ts'
import type { ManifestBlock } from '../../../protocol/slices/manifest.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemorySlices } from '../../support/memory/memory-slices.ts'
import { until } from '../../support/until.ts'

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

test('other work has its turn after 8 ms of looking for slices', async () => {
  const turns: (() => void)[] = []
  // Every look at the clock takes 8 ms.
  let nowMs = 0
  const clock = {
    ...createManualClock(),
    monotonicMs: () => (nowMs += 8),
    sleep: (): Promise<void> => new Promise((resolve) => void turns.push(resolve)),
  }
  const options = { counts: { slicesPresent: 0 }, inFlight: new Set<string>() }
  const batches = missingBatches({ clock, slices: createMemorySlices() }, { blocks: () => blocksOf([[A], [B]]) }, options)
  let isDone = false
  const first = batches.next().then(({ value }) => {
    isDone = true
    return value
  })
  for (const block of [1, 2]) {
    await until('the loop waits for its turn', () => turns.length === block)
    await Bun.sleep(1)
    expect([turns.length, isDone]).toEqual([block, false])
    turns.at(-1)?.()
  }
  expect(await first).toEqual([A, B])
})

test('without a missing slice there is no batch', async () => {
  const options = { counts: { slicesPresent: 0 }, inFlight: new Set<string>() }
  const slices = { receive: createMemorySlices().receive, missing: () => [] }
  const batches = missingBatches({ clock: createManualClock(), slices }, { blocks: () => blocksOf([]) }, options)
  expect(await Array.fromAsync(batches)).toEqual([])
})
