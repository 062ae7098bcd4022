// What a flush writes: the rows of sealed packs and removals, in batches, and a pack counts as sealed with its last row only.

import { expect, test } from 'bun:test'
import { IndexTrust } from '../../../../agent/slices/index/index-trust.ts'
import { IndexUnusable } from '../../../../agent/slices/index/index-unusable.ts'
import { KnownPacks } from '../../../../agent/slices/index/known-packs.ts'
import { PendingRows } from '../../../../agent/slices/index/pending-rows.ts'
import { RowFlush } from '../../../../agent/slices/index/row-flush.ts'
import type { RowFlushDeps } from '../../../../agent/slices/index/row-flush.ts'
import type { BatchChange } from '../../../../agent/slices/index/stored-rows.ts'
import { until } from '../../../support/until.ts'

const digestOf = (n: number): Uint8Array => {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, n)
  return digest
}

/** Packs 1 (sealed) and 2 (open), and a disk that notes what it is given. */
function openScene() {
  const packs = new KnownPacks([
    { id: 1, name: 'a'.repeat(32), length: 1000, sealed: true },
    { id: 2, name: 'b'.repeat(32), length: 0, sealed: false },
  ])
  const pending = new PendingRows()
  const trust = new IndexTrust()
  const happened: string[] = []
  trust.watch({ distrusted: (reason) => void happened.push(`distrusted: ${reason}`), untidy: () => void happened.push('untidy') })
  const disk = { runs: 1, isCurrent: true, failure: undefined as Error | undefined, tidy: async () => {} }
  const stored = {
    get runs() {
      return Array.from({ length: disk.runs })
    },
    async append(batch: { rows: number }, position: string, changeOf: () => BatchChange) {
      if (disk.failure) throw disk.failure
      if (!disk.isCurrent) return false
      const { rows, bytes, sealed, onWritten } = changeOf()
      happened.push(`${position}: ${batch.rows} rows, ${rows} more and ${bytes} bytes, sealed ${sealed.map(({ id }) => id).join()}`)
      onWritten?.()
      return true
    },
    sealPacks: (sealed: readonly { id: number }[]) => void happened.push(`sealed ${sealed.map(({ id }) => id).join()}`),
    tidy() {
      happened.push('tidy')
      return disk.tidy()
    },
  } as unknown as RowFlushDeps['stored']
  let pauses = 0
  const flush = new RowFlush({ pending, packs, stored, trust, pause: async () => void pauses++ })
  const add = (pack: number, count: number, from = 0): void => {
    for (let n = from; n < from + count; n++) pending.set({ digest: digestOf(n), pack, offset: 16, length: 10, storedLength: 10 }, () => undefined)
  }
  return { flush, pending, trust, happened, disk, add, pauses: () => pauses, [Symbol.dispose]: () => {} }
}

test('rows of an open pack wait, and those of a sealed one are written with its seal', async () => {
  const { flush, pending, happened, add } = openScene()
  add(1, 3)
  add(2, 2, 100)
  flush.seal(1)
  await flush.run()
  expect(happened).toEqual(['newest: 3 rows, 3 more and 30 bytes, sealed 1', 'tidy'])
  expect(pending.size).toBe(2)
  await flush.run()
  expect(happened.slice(2)).toEqual(['sealed '])
})

test('a sealed pack without rows is sealed on disk, unless it was removed', async () => {
  const { flush, happened } = openScene()
  flush.seal(1)
  await flush.run()
  flush.seal(1)
  flush.forget(1)
  await flush.run()
  flush.seal(1)
  flush.forget()
  await flush.run()
  flush.seal(7)
  await flush.run()
  expect(happened).toEqual(['sealed 1', 'sealed ', 'sealed ', 'sealed '])
})

test('more than 16,384 rows are written in several batches, and the seal comes with the last one', async () => {
  const { flush, happened, add, pauses } = openScene()
  add(1, 16_385)
  flush.seal(1)
  await flush.run()
  expect(happened).toEqual(['newest: 16384 rows, 16384 more and 163840 bytes, sealed ', 'tidy', 'newest: 1 rows, 1 more and 10 bytes, sealed 1', 'tidy'])
  expect(pauses()).toBe(4)
})

test('a flush that a rebuild has overtaken writes nothing more, and its packs stay to be sealed', async () => {
  const { flush, happened, disk, add, pending } = openScene()
  add(1, 1)
  flush.seal(1)
  disk.isCurrent = false
  await flush.run()
  expect([happened, pending.size]).toEqual([[], 1])
  disk.isCurrent = true
  pending.failed()
  await flush.run()
  expect(happened).toEqual(['newest: 1 rows, 1 more and 10 bytes, sealed 1', 'tidy'])
})

test('a failure keeps the rows and the seal for the next flush; damage is reported', async () => {
  const { flush, happened, disk, add, pending, trust } = openScene()
  add(1, 1)
  flush.seal(1)
  disk.failure = new Error('ENOSPC')
  await expect(flush.run()).rejects.toThrow('ENOSPC')
  expect([happened, pending.size, pending.addedRows, trust.damage]).toEqual([[], 1, 1, undefined])
  disk.failure = new IndexUnusable('a block is damaged')
  await expect(flush.run()).rejects.toThrow('a block is damaged')
  expect([happened, pending.size]).toEqual([['distrusted: a block is damaged'], 1])
  disk.failure = undefined
  await flush.run()
  expect(happened.slice(1)).toEqual(['newest: 1 rows, 1 more and 10 bytes, sealed 1', 'tidy'])
})

test.each([
  [128, false],
  [129, true],
])('with %i runs, whether a flush waits for a merge: %j', async (runs, waits) => {
  const { flush, disk, add } = openScene()
  const merged = Promise.withResolvers<void>()
  disk.runs = runs
  disk.tidy = () => merged.promise
  add(1, 1)
  let isOver = false
  const flushing = flush.run().finally(() => (isOver = true))
  if (!waits) await until('the flush is over', () => isOver)
  await Bun.sleep(5)
  expect(isOver).toBe(!waits)
  merged.resolve()
  await flushing
})

test('a merge that fails is reported, and does not fail the flush', async () => {
  const { flush, disk, happened, add } = openScene()
  disk.runs = 200
  disk.tidy = () => Promise.reject(new Error('ENOSPC'))
  add(1, 1)
  await flush.run()
  expect(happened.slice(1)).toEqual(['tidy', 'untidy'])
})
