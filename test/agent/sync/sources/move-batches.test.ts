// The order of batches: what is reported as copied is durable, and a lane holds no more than the batch it fetches and the one it makes durable.

import { expect, test } from 'bun:test'
import { isGivenUp, moveBatches } from '../../../../agent/sync/sources/move-batches.ts'
import { createSourcePool } from '../../../../agent/sync/sources/source-pool.ts'
import { CODEC_RAW } from '../../../../protocol/slices/frames.ts'
import type { NamedSlice } from '../../../../agent/sync/plan.ts'
import { holdSyncs } from '../../../support/memory/held-syncs.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { createMemorySlices } from '../../../support/memory/memory-slices.ts'
import { until } from '../../../support/until.ts'

/** Moves batches that the store has already, so that only pinning, fsync and release happen; each fsync waits until it is let through. */
async function setUp(count: number, durable: () => Promise<void> = async () => {}) {
  const slices = createMemorySlices()
  const named: NamedSlice[] = []
  {
    await using receiver = slices.receive()
    for (let i = 0; i < count; i++) {
      const stored = Buffer.alloc(4096, i + 1)
      const digest = new Uint8Array(new Bun.CryptoHasher('sha256').update(stored).digest())
      await receiver.put({ digest, length: 4096, codec: CODEC_RAW, stored })
      named.push({ digest, length: 4096 })
    }
    await receiver.sync()
  }
  const events: string[] = []
  async function* batches(): AsyncGenerator<readonly NamedSlice[]> {
    for (const [i, slice] of named.entries()) {
      events.push(`batch ${i}`)
      yield [slice]
    }
  }
  const { receive, waiting } = holdSyncs(slices, (event) => void events.push(event))
  const clock = createManualClock()
  const ended = new AbortController()
  const moving = moveBatches({ clock, slices: { receive }, crashPoint: (name) => void events.push(name) }, batches(), {
    pool: createSourcePool({ clock, log: createMemoryLog() }),
    image: undefined,
    batchesMax: 1,
    signal: ended.signal,
    onStored: (_slice, wireBytes) => void events.push(`stored ${wireBytes}`),
    beforeBatch: async () => {},
    async onDurable() {
      await durable()
      events.push('durable')
    },
  })
  let isOver = false
  const over = moving.finally(() => (isOver = true))
  over.catch(() => {})
  return { events, waiting, over, ended, isOver: () => isOver, pinned: () => slices.pinned().size }
}

test('resolves only when the last batch is durable', async () => {
  const { events, waiting, over, isOver, pinned } = await setUp(1)
  await until('the batch is being made durable', () => waiting.length === 1)
  await Bun.sleep(5)
  expect(isOver()).toBe(false)
  expect(pinned()).toBe(1)
  waiting[0]?.()
  await over
  expect(events).toEqual(['batch 0', 'stored 0', 'synced', 'sync:batch-synced', 'durable', 'released'])
  expect(pinned()).toBe(0)
})

test('a batch is fetched while the one before it is made durable, and the next one only afterwards', async () => {
  const { events, waiting, over } = await setUp(3)
  await until('the first batch is being made durable', () => waiting.length === 1)
  await until('the second one is fetched', () => events.includes('batch 1'))
  await Bun.sleep(5)
  expect(waiting).toHaveLength(1)
  expect(events).not.toContain('batch 2')
  waiting[0]?.()
  await until('the second one follows', () => waiting.length === 2)
  waiting[1]?.()
  await until('the third one follows', () => waiting.length === 3)
  waiting[2]?.()
  await over
  expect(events.filter((event) => event === 'durable')).toHaveLength(3)
})

test('what fails after the last batch fails the whole, and releases what was pinned', async () => {
  const { waiting, over, pinned } = await setUp(1, async () => {
    throw new Error('no row')
  })
  await until('the batch is being made durable', () => waiting.length === 1)
  waiting[0]?.()
  expect(await over.catch((error: unknown) => error)).toEqual(new Error('no row'))
  expect(pinned()).toBe(0)
})

test('asks for a source with the bytes of what the batch lacks, and fails if there is none', async () => {
  const slices = createMemorySlices()
  const clock = createManualClock()
  const asked: number[] = []
  const named = [4096, 100, 8192].map((length, i): NamedSlice => ({ digest: new Uint8Array(32).fill(i + 1), length }))
  async function* batches(): AsyncGenerator<readonly NamedSlice[]> {
    yield named
  }
  const pool = createSourcePool({ clock, log: createMemoryLog() })
  const moving = moveBatches({ clock, slices, crashPoint: () => {} }, batches(), {
    pool: {
      ...pool,
      choose(bytes, lacking) {
        asked.push(bytes)
        return pool.choose(bytes, lacking)
      },
    },
    image: undefined,
    batchesMax: 1,
    signal: new AbortController().signal,
    onStored: () => {},
    beforeBatch: async () => {},
    onDurable: async () => {},
  })
  expect(await moving.catch((error: unknown) => error)).toMatchObject({
    code: 'not-found',
    message: 'No source of the sync has 3 of the slices that are missing here.',
  })
  expect(asked).toEqual([12_388])
})

test.each([
  ['has had less than two seconds', { waitedMs: 1999, wireBytes: 0, bytes: 1000, rateElsewhere: Infinity }, false],
  ['has sent nothing in two seconds', { waitedMs: 2000, wireBytes: 0, bytes: 1000, rateElsewhere: 1 }, true],
  ['has sent nothing, as every other one may', { waitedMs: 2000, wireBytes: 0, bytes: 1000, rateElsewhere: 0 }, false],
  ['needs two seconds more', { waitedMs: 2000, wireBytes: 1000, bytes: 2000, rateElsewhere: Infinity }, false],
  ['needs longer, and another one is three times as fast', { waitedMs: 2000, wireBytes: 1000, bytes: 2001, rateElsewhere: 1500 }, false],
  ['needs longer, and another one is faster than that', { waitedMs: 2000, wireBytes: 1000, bytes: 2001, rateElsewhere: 1501 }, true],
])('a batch of a source that %s is given up: %#', (_what, delivery, expected) => {
  expect(isGivenUp(delivery)).toBe(expected)
})
