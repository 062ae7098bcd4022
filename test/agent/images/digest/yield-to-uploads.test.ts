// Work that nobody waits for stands aside while bodies arrive: it stops with the first one, goes on after the last, and is never held up
// for longer than its bound.

import { describe, expect, test } from 'bun:test'
import { YIELD_MS_MAX, createYieldToUploads } from '../../../../agent/images/digest/yield-to-uploads.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'

const never = new AbortController().signal

describe('standing aside', () => {
  test('goes on at once where nothing arrives, and a little after the last body elsewhere', async () => {
    const clock = createManualClock()
    let lastMs = Number.NEGATIVE_INFINITY
    const yieldToUploads = createYieldToUploads({ clock, quietMs: () => clock.monotonicMs() - lastMs })
    await yieldToUploads(never)
    lastMs = clock.monotonicMs()
    let isOver = false
    const waiting = yieldToUploads(never).then(() => (isOver = true))
    await clock.untilSleeping(1)
    clock.advance(200)
    lastMs = clock.monotonicMs()
    // What was quiet long enough a moment ago is not any more.
    clock.advance(50)
    await clock.untilSleeping(1)
    expect(isOver).toBe(false)
    clock.advance(200)
    await waiting
  })

  test('lasts five minutes at most, counted from the order', async () => {
    const clock = createManualClock()
    const yieldToUploads = createYieldToUploads({ clock, quietMs: () => 0 })
    clock.advance(YIELD_MS_MAX - 300)
    const waiting = yieldToUploads(never)
    await clock.untilSleeping(1)
    clock.advance(250)
    await clock.untilSleeping(1)
    clock.advance(50)
    await waiting
    await yieldToUploads(never)
  })

  test('ends with its signal', async () => {
    const clock = createManualClock()
    const stop = new AbortController()
    const waiting = createYieldToUploads({ clock, quietMs: () => 0 })(stop.signal)
    stop.abort(new Error('stopped'))
    await expect(waiting).rejects.toThrow('stopped')
  })
})

test('an image becomes available while bodies arrive, and its digest follows when they have ended', async () => {
  await using folder = await createTemporaryFolder()
  let isQuiet = false
  let looks = 0
  const quietMs = (): number => (looks++, isQuiet ? Number.POSITIVE_INFINITY : 0)
  await using store = await openImageStore(folder, { quietMs })
  const { id } = await store.publish(seededBytes(20_000_000, 1))
  await until('the image is available', () => store.catalogue.need(id).status === 'available')
  await until('the digest was held up twice', () => looks > 2)
  expect(store.catalogue.need(id).digest).toBeNull()
  isQuiet = true
  await until('the digest is there', () => store.catalogue.need(id).digest !== null)
}, 60_000)
