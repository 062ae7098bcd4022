// How long an answer waits for a mount path that may hang. The clock is moved by hand.

import { expect, test } from 'bun:test'
import { withinDeadline } from '../../../agent/http/deadline.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'

const never = new Promise<never>(() => {})

test.each([
  ['5 s', undefined, 5000],
  ['the time that the caller gives', 20, 20],
])('work that does not end in %s is refused', async (_name, given, endMs) => {
  const clock = createManualClock()
  let outcome = 'waits'
  const ended = withinDeadline(clock, never, given).catch((error: unknown) => (outcome = String(error)))
  clock.advance(endMs - 1)
  await Bun.sleep(0)
  expect(outcome).toBe('waits')
  clock.advance(1)
  await ended
  expect(outcome).toContain('The file system of the store does not answer.')
})

test('work that ends earlier returns its result or its failure, and leaves no timer behind', async () => {
  const clock = createManualClock()
  const signals: (AbortSignal | undefined)[] = []
  const watched = { ...clock, sleep: (ms: number, signal?: AbortSignal) => (signals.push(signal), clock.sleep(ms, signal)) }
  expect(await withinDeadline(watched, Promise.resolve('read'))).toBe('read')
  await expect(withinDeadline(watched, Promise.reject(new Error('EIO')))).rejects.toThrow('EIO')
  expect(signals.map((signal) => signal?.aborted)).toEqual([true, true])
})
