// How fast an upload is, since when its body waits, and when its last bytes came. The clock is moved by hand.

import { describe, expect, test } from 'bun:test'
import { createBodyActivities } from '../../../../agent/uploads/body/body-activity.ts'
import { createIngestSlots } from '../../../../agent/uploads/body/ingest-slots.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

const NOON = Date.parse('2026-03-01T12:00:00.000Z')
const never = new AbortController().signal

function createScene() {
  const clock = createManualClock(NOON)
  const slots = createIngestSlots(1, clock.monotonicMs)
  return { clock, slots, activities: createBodyActivities(clock) }
}

describe('the rate of a body', () => {
  test('is 0 until a second has passed, then the bytes per second since its start', () => {
    const { clock, slots, activities } = createScene()
    using body = activities.start('upl_a', slots)
    expect(activities.of('upl_a')).toEqual({ waitingSinceMs: null, activeAtMs: null, rate: 0 })
    clock.advance(999)
    body.note(5000)
    expect(activities.of('upl_a')).toEqual({ waitingSinceMs: null, activeAtMs: null, rate: 0 })
    clock.advance(1)
    body.note(6000)
    expect(activities.of('upl_a')).toEqual({ waitingSinceMs: null, activeAtMs: NOON + 1000, rate: 6000 })
    clock.advance(3000)
    body.note(10_001)
    expect(activities.of('upl_a')).toEqual({ waitingSinceMs: null, activeAtMs: NOON + 4000, rate: 2500 })
  })

  test('is that of the last ten seconds', () => {
    const { clock, slots, activities } = createScene()
    using body = activities.start('upl_a', slots)
    clock.advance(1000)
    body.note(50_000)
    clock.advance(9000)
    body.note(50_900)
    // Ten seconds after the start, the first sample still counts.
    expect(activities.of('upl_a')?.rate).toBe(5090)
    clock.advance(1000)
    body.note(51_000)
    expect(activities.of('upl_a')?.rate).toBe(100)
  })

  test('falls while no bytes come, and the time of the last bytes stays', () => {
    const { clock, slots, activities } = createScene()
    using body = activities.start('upl_a', slots)
    clock.advance(1000)
    body.note(1000)
    clock.advance(1000)
    body.note(1000)
    expect(activities.of('upl_a')).toEqual({ waitingSinceMs: null, activeAtMs: NOON + 1000, rate: 500 })
  })
})

test('a body waits from the moment it asks for a slot until it has one, or until its wait is ended', async () => {
  const { clock, slots, activities } = createScene()
  const held = await slots.acquire(never)
  using first = activities.start('upl_a', slots)
  const stop = new AbortController()
  clock.advance(5000)
  const waiting = first.slots.acquire(stop.signal)
  expect(activities.of('upl_a')?.waitingSinceMs).toBe(NOON + 5000)
  expect([first.slots.waiting, first.slots.held, first.slots.idleMs]).toEqual([1, 1, 0])
  stop.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  expect(activities.of('upl_a')?.waitingSinceMs).toBeNull()
  held[Symbol.dispose]()
  clock.advance(700)
  expect([first.slots.waiting, first.slots.held, first.slots.idleMs]).toEqual([0, 0, 700])
  const slot = await first.slots.acquire(never)
  expect(activities.of('upl_a')?.waitingSinceMs).toBeNull()
  slot[Symbol.dispose]()
})

test('the end of a body that was replaced does not hide the present body', () => {
  const { slots, activities } = createScene()
  const first = activities.start('upl_a', slots)
  const second = activities.start('upl_a', slots)
  first[Symbol.dispose]()
  expect(activities.of('upl_a')).toEqual({ waitingSinceMs: null, activeAtMs: null, rate: 0 })
  second[Symbol.dispose]()
  expect(activities.of('upl_a')).toBeUndefined()
})
