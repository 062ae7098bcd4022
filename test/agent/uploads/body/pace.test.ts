// When a slot goes on, and what watching for it costs. The clock is moved by hand.

import { describe, expect, test } from 'bun:test'
import { Pace } from '../../../../agent/uploads/body/pace.ts'
import { createIngestSlots } from '../../../../agent/uploads/body/ingest-slots.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { until } from '../../../support/until.ts'

const MIB = 1024 * 1024

/** A body that has the only slot, with somebody who waits for it. */
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
  const steps: string[] = []
  const step = (name: string) => async (): Promise<void> => void steps.push(name)
  const options = {
    flowingBytesMin: MIB,
    quietMs: () => (readingSinceMs === undefined ? 0 : manual.monotonicMs() - readingSinceMs),
    signal: new AbortController().signal,
    onFailure: (error: unknown) => void steps.push(String(error)),
  }
  const pace = new Pace({ clock, ingestSlots: slots }, options, { isNews: () => pace.fresh > 0, checkpoint: step('checkpoint'), park: step('park') })
  await pace.acquireSlot()
  const next = slots.acquire(new AbortController().signal)
  return {
    clock: manual,
    pace,
    slots,
    steps,
    next,
    get sleeps() {
      return sleeps
    },
    /** A piece is waited for from now on. */
    wait: () => {
      readingSinceMs = manual.monotonicMs()
      pace.startPiece()
    },
    /** It came and was taken. */
    take: (bytes: number) => {
      readingSinceMs = undefined
      pace.add(bytes)
      pace.endPiece()
    },
  }
}

const settle = () => Bun.sleep(0)

describe('a slot', () => {
  test('is watched by one wait after the other, however many pieces come', async () => {
    const scene = await createScene()
    for (let at = 0; at < 1000; at++) {
      scene.wait()
      scene.take(64 * 1024)
    }
    expect(scene.sleeps).toBe(1)
    for (let ms = 0; ms < 1000; ms++) {
      scene.wait()
      scene.clock.advance(1)
      await settle()
      scene.take(64 * 1024)
    }
    expect(scene.sleeps).toBeLessThanOrEqual(30)
    expect(scene.steps).toEqual([])
  })

  test.each([
    [0, 5],
    [2 * MIB, 50],
  ])('goes on when a body that brought %i bytes is silent for %i ms', async (bytes, patienceMs) => {
    const scene = await createScene()
    scene.take(bytes)
    scene.wait()
    scene.clock.advance(patienceMs - 1)
    await settle()
    expect(scene.steps).toEqual([])
    scene.clock.advance(1)
    await scene.next
    expect(scene.steps).toEqual(['park'])
    expect(scene.pace.hasSlot).toBe(false)
  })

  test('counts silence from the last byte, not from the wait before', async () => {
    const scene = await createScene()
    scene.take(2 * MIB)
    scene.wait()
    scene.clock.advance(40)
    scene.take(1)
    scene.wait()
    scene.clock.advance(49)
    await settle()
    expect(scene.steps).toEqual([])
    scene.clock.advance(1)
    await scene.next
  })

  test('stays with a body whose piece is being taken, for five seconds', async () => {
    const scene = await createScene()
    scene.wait()
    scene.take(2 * MIB)
    for (let ms = 0; ms < 4900; ms += 100) {
      scene.clock.advance(100)
      scene.pace.tick()
      await until('checkpoints have ended', () => scene.pace.settled().then(() => true))
    }
    expect(scene.steps).not.toContain('park')
    scene.clock.advance(200)
    scene.pace.tick()
    scene.take(1)
    await scene.next
    expect(scene.steps).toContain('park')
  })
})
