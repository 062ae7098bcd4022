// The least rate at its bounds.

import { expect, test } from 'bun:test'
import { LeastRate } from '../../../agent/server/least-rate.ts'
import { SERVER_LIMITS } from '../../../agent/server/limits.ts'

const { bytesPerSecondMin, windowMs } = SERVER_LIMITS.rate
const ENOUGH = (bytesPerSecondMin * windowMs) / 1000

test('is judged at the end of the window, and exactly its bytes are enough', () => {
  const slow = new LeastRate(SERVER_LIMITS.rate)
  slow.wait(0)
  slow.moved(ENOUGH - 1)
  expect(slow.isTooSlow(windowMs - 1)).toBe(false)
  expect(slow.isTooSlow(windowMs)).toBe(true)
  const steady = new LeastRate(SERVER_LIMITS.rate)
  steady.wait(0)
  steady.moved(ENOUGH)
  expect(steady.isTooSlow(windowMs)).toBe(false)
})

test('each window is judged by its own bytes', () => {
  const rate = new LeastRate(SERVER_LIMITS.rate)
  rate.wait(0)
  rate.moved(1000 * ENOUGH)
  expect(rate.isTooSlow(windowMs)).toBe(false)
  expect(rate.isTooSlow(2 * windowMs - 1)).toBe(false)
  expect(rate.isTooSlow(2 * windowMs)).toBe(true)
})

test('time in which the server does not wait for the peer does not count', () => {
  const rate = new LeastRate(SERVER_LIMITS.rate)
  rate.wait(0)
  rate.rest(windowMs / 2)
  expect(rate.isTooSlow(100 * windowMs)).toBe(false)
  rate.wait(100 * windowMs)
  expect(rate.isTooSlow(100.5 * windowMs - 1)).toBe(false)
  expect(rate.isTooSlow(100.5 * windowMs)).toBe(true)
})
