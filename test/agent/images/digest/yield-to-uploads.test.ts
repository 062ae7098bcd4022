// Background work yields to uploads: it pauses while bodies arrive, resumes after the last one, and never pauses longer than its limit.

import { describe, expect, test } from 'bun:test'
import { createYieldToUploads } from '../../../../agent/images/digest/yield-to-uploads.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'

const never = new AbortController().signal

describe('yielding to uploads', () => {
  test('does not wait if no body arrives, and waits briefly after the last body', async () => {
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
    // A body arrived again, so the wait starts over.
    clock.advance(50)
    await clock.untilSleeping(1)
    expect(isOver).toBe(false)
    clock.advance(200)
    await waiting
  })

  test('waits at most five minutes after the work was queued', async () => {
    const clock = createManualClock()
    const yieldToUploads = createYieldToUploads({ clock, quietMs: () => 0 })
    clock.advance(300_000 - 300)
    const waiting = yieldToUploads(never)
    await clock.untilSleeping(1)
    clock.advance(250)
    await clock.untilSleeping(1)
    clock.advance(49)
    await clock.untilSleeping(1)
    // One millisecond is left, and after it nothing is.
    clock.advance(1)
    await waiting
    await yieldToUploads(never)
  })

  test('waits for the last millisecond of a quarter of a second', async () => {
    const clock = createManualClock()
    let quietMs = 249
    const waiting = createYieldToUploads({ clock, quietMs: () => quietMs })(never)
    await clock.untilSleeping(1)
    quietMs = 250
    clock.advance(1)
    await waiting
  })

  test('stops when its signal aborts', async () => {
    const clock = createManualClock()
    const stop = new AbortController()
    const waiting = createYieldToUploads({ clock, quietMs: () => 0 })(stop.signal)
    stop.abort(new Error('stopped'))
    await expect(waiting).rejects.toThrow('stopped')
  })
})

test('an image becomes available while bodies arrive, and its digest is computed after the last body', async () => {
  await using folder = await createTemporaryFolder()
  let isQuiet = false
  let looks = 0
  const quietMs = (): number => (looks++, isQuiet ? Number.POSITIVE_INFINITY : 0)
  await using store = await openImageStore(folder, { quietMs })
  const { id } = await store.publish(seededBytes(20_000_000, 1))
  await until('the image is available', () => store.catalogue.need(id).status === 'available')
  await until('the digest has waited twice', () => looks > 2)
  expect(store.catalogue.need(id).digest).toBeNull()
  isQuiet = true
  await until('the digest is computed', () => store.catalogue.need(id).digest !== null)
}, 60_000)

test('a digest that is being computed pauses while a body arrives', async () => {
  await using folder = await createTemporaryFolder()
  const bytes = seededBytes(6 * 1024 * 1024, 1)
  const state = { looks: 0, isQuiet: true }
  const quietMs = (): number => {
    // The body arrives after the digest has begun.
    if (++state.looks === 2) state.isQuiet = false
    return state.isQuiet ? Number.POSITIVE_INFINITY : 0
  }
  await using store = await openImageStore(folder, { quietMs })
  const { id } = await store.publish(bytes)
  await until('the digest waits', () => state.looks > 3)
  expect(store.catalogue.need(id).digest).toBeNull()
  state.isQuiet = true
  await store.catalogue.settled()
  expect(store.catalogue.need(id).digest).toBe(`sha256:${Bun.SHA256.hash(bytes, 'hex')}`)
})
