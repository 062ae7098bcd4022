// The timer of all bodies: when it runs, and that every body is asked. The clock is moved by hand.

import { expect, test } from 'bun:test'
import { BodyReader } from '../../../../agent/uploads/body/body-reader.ts'
import { createBodyReaders } from '../../../../agent/uploads/body/body-readers.ts'
import { createByteBudget } from '../../../../agent/uploads/body/byte-budget.ts'
import { createIngestSlots } from '../../../../agent/uploads/body/ingest-slots.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

/** Readers of bodies that send nothing, and how often each was asked for the time. */
function createScene() {
  const clock = createManualClock()
  let timers = 0
  const readers = createBodyReaders({
    every(ms, run) {
      timers++
      const timer = clock.every(ms, run)
      return {
        [Symbol.dispose]() {
          timers--
          timer[Symbol.dispose]()
        },
      }
    },
  })
  const ticks: number[] = []
  const commits = {
    tailLength: 0,
    openIngest: () => Promise.reject(new Error('a body without bytes opens no ingest')),
    commitTail: async () => {},
    commit: async () => {},
    renewSpace: async () => {},
    closeFiles: async () => {},
  }
  const start = (): BodyReader => {
    const mine = ticks.push(0) - 1
    const deps = {
      clock,
      byteBudget: createByteBudget(clock),
      ingestSlots: createIngestSlots(1, clock.monotonicMs),
      provisionalSlots: createIngestSlots(1, clock.monotonicMs),
      idleLimitMs: 60_000,
      onTick: () => void (ticks[mine] = (ticks[mine] ?? 0) + 1),
    }
    return new BodyReader(deps, commits, { stream: new ReadableStream(), room: 10, completes: true, isMeasured: true, checksum: undefined })
  }
  return { clock, readers, ticks, start, timers: () => timers }
}

test('every body is asked four times a second, by one timer that runs only while there are bodies', () => {
  const { clock, readers, ticks, start, timers } = createScene()
  expect(timers()).toBe(0)
  const [first, second] = [start(), start()]
  readers.add(first)
  readers.add(second)
  expect([timers(), readers.size, [...readers]]).toEqual([1, 2, [first, second]])
  clock.advance(249)
  expect(ticks).toEqual([0, 0])
  clock.advance(1)
  expect(ticks).toEqual([1, 1])
  clock.advance(750)
  expect(ticks).toEqual([4, 4])
  readers.delete(first)
  expect([timers(), [...readers]]).toEqual([1, [second]])
  clock.advance(250)
  expect(ticks).toEqual([4, 5])
  readers.delete(second)
  expect([timers(), readers.size]).toEqual([0, 0])
  clock.advance(1000)
  expect(ticks).toEqual([4, 5])
  readers.add(first)
  expect(timers()).toBe(1)
  clock.advance(250)
  expect(ticks).toEqual([5, 5])
})
