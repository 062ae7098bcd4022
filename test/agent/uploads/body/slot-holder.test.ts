// When a body yields its ingest slot, and what watching for it costs. The clock is moved by hand.

import { describe, expect, test } from 'bun:test'
import { createBodySteps } from '../../../../agent/uploads/body/body-steps.ts'
import { createIngestSlots } from '../../../../agent/uploads/body/ingest-slots.ts'
import { SlotHolder } from '../../../../agent/uploads/body/slot-holder.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

const MIB = 1024 * 1024

/** A body that holds the only slot while another body waits for it. */
async function createScene() {
  const manual = createManualClock()
  let sleeps = 0
  const clock = {
    ...manual,
    sleep: (ms: number, signal?: AbortSignal) => {
      sleeps++
      return manual.sleep(ms, signal)
    },
  }
  const slots = createIngestSlots(1, manual.monotonicMs)
  let readingSinceMs: number | undefined
  let received = 0
  const log: string[] = []
  let parked: PromiseWithResolvers<void> | undefined
  const holder = new SlotHolder({
    clock,
    ingestSlots: slots,
    steps: createBodySteps((error) => log.push(String(error))),
    park: async () => {
      log.push('park')
      await parked?.promise
    },
    received: () => received,
    flowingBytesMin: MIB,
    quietMs: () => (readingSinceMs === undefined ? 0 : manual.monotonicMs() - readingSinceMs),
    signal: new AbortController().signal,
  })
  await holder.acquire()
  const next = slots.acquire(new AbortController().signal)
  return {
    clock: manual,
    holder,
    slots,
    log,
    next,
    get sleeps() {
      return sleeps
    },
    /** Parks take until the returned promise is resolved. */
    holdParks: () => (parked = Promise.withResolvers<void>()),
    /** The body waits for a piece from now on. */
    wait: () => {
      readingSinceMs = manual.monotonicMs()
      holder.startPiece()
    },
    /** The piece arrived and was processed. */
    write: (bytes: number) => {
      readingSinceMs = undefined
      received += bytes
      holder.endPiece()
    },
  }
}

const settle = () => Bun.sleep(0)

describe('an ingest slot', () => {
  test('is watched with one wait after the other, however many pieces arrive', async () => {
    const scene = await createScene()
    for (let at = 0; at < 1000; at++) {
      scene.wait()
      scene.write(64 * 1024)
    }
    expect(scene.sleeps).toBe(1)
    for (let ms = 0; ms < 1000; ms++) {
      scene.wait()
      scene.clock.advance(1)
      await settle()
      scene.write(64 * 1024)
    }
    expect(scene.sleeps).toBeLessThanOrEqual(30)
    expect(scene.log).toEqual([])
  })

  test.each([
    [0, 5],
    [2 * MIB, 50],
  ])('passes on when a body that brought %i bytes is silent for %i ms', async (bytes, patienceMs) => {
    const scene = await createScene()
    scene.write(bytes)
    scene.wait()
    scene.clock.advance(patienceMs - 1)
    await settle()
    expect(scene.log).toEqual([])
    scene.clock.advance(1)
    await scene.next
    expect(scene.log).toEqual(['park'])
    expect(scene.holder.hasSlot).toBe(false)
  })

  test('counts silence from the last byte, not from the wait before', async () => {
    const scene = await createScene()
    scene.write(2 * MIB)
    scene.wait()
    scene.clock.advance(40)
    scene.write(1)
    scene.wait()
    scene.clock.advance(49)
    await settle()
    expect(scene.log).toEqual([])
    scene.clock.advance(1)
    await scene.next
  })

  test('stays with a body whose piece is being processed, for five seconds', async () => {
    const scene = await createScene()
    scene.wait()
    scene.write(2 * MIB)
    for (let ms = 0; ms < 4900; ms += 100) {
      scene.clock.advance(100)
      expect(scene.holder.tick()).toBe(false)
    }
    expect(scene.log).not.toContain('park')
    scene.clock.advance(200)
    expect(scene.holder.tick()).toBe(true)
    expect(scene.log).toEqual([])
    scene.write(1)
    await scene.next
    expect(scene.log).toContain('park')
  })

  test('is released once everything that needs it was committed and closed, for which the body waits', async () => {
    const scene = await createScene()
    const parking = scene.holdParks()
    expect(scene.holder.parking).toBeUndefined()
    scene.wait()
    scene.clock.advance(5)
    await settle()
    expect([scene.log, scene.slots.waiting, scene.holder.hasSlot]).toEqual([['park'], 1, true])
    // Neither ticks nor further pieces park it twice, however long it takes.
    scene.clock.advance(6000)
    expect(scene.holder.tick()).toBe(true)
    scene.holder.startPiece()
    let isSettled = false
    const settled = scene.holder.parking?.then(() => (isSettled = true))
    await settle()
    expect([isSettled, scene.log, scene.slots.waiting]).toEqual([false, ['park'], 1])
    parking.resolve()
    await settled
    expect([scene.holder.parking, scene.holder.hasSlot, scene.slots.waiting, scene.log]).toEqual([undefined, false, 0, ['park']])
  })

  test('that was held for five seconds passes on in the first millisecond of silence', async () => {
    const scene = await createScene()
    scene.wait()
    scene.write(2 * MIB)
    for (let ms = 0; ms < 5000; ms += 100) scene.clock.advance(100)
    scene.wait()
    scene.clock.advance(1)
    expect(scene.holder.tick()).toBe(true)
    await scene.next
    expect(scene.log).toEqual(['park'])
  })

  test('is watched again after the body got it back', async () => {
    const scene = await createScene()
    scene.wait()
    scene.clock.advance(5)
    const other = await scene.next
    const again = scene.holder.acquire()
    other[Symbol.dispose]()
    await again
    const next = scene.slots.acquire(new AbortController().signal)
    scene.wait()
    scene.clock.advance(5)
    await next
    expect(scene.log).toEqual(['park', 'park'])
  })

  test('that nobody waits for stays with a silent body', async () => {
    const scene = await createScene()
    const other = await Promise.race([scene.next, Promise.resolve(undefined)])
    expect(other).toBeUndefined()
    scene.holder.release()
    ;(await scene.next)[Symbol.dispose]()
    await scene.holder.acquire()
    scene.wait()
    scene.clock.advance(1000)
    await settle()
    expect([scene.sleeps, scene.log, scene.holder.hasSlot]).toEqual([0, [], true])
  })
})
