// Slices that a search did not find: forgotten when they arrive, and bounded in number.

import { expect, test } from 'bun:test'
import { AbsentSlices } from '../../../../agent/slices/index/absent-slices.ts'

const digest = (n: number): Uint8Array => {
  const bytes = Buffer.alloc(32)
  bytes.writeUInt32BE(n)
  return bytes
}

test('a slice that arrives is not absent any more, also when it was the only one', () => {
  const absent = new AbsentSlices()
  absent.delete(digest(1))
  absent.add(digest(1))
  expect([absent.has(digest(1)), absent.has(digest(2))]).toEqual([true, false])
  absent.delete(digest(1))
  expect(absent.has(digest(1))).toBe(false)
  absent.add(digest(1))
  absent.add(digest(2))
  absent.delete(digest(1))
  expect([absent.has(digest(1)), absent.has(digest(2))]).toEqual([false, true])
})

test('65,536 slices are remembered; one more empties the set first', () => {
  const absent = new AbsentSlices()
  for (let n = 0; n < 65_536; n++) absent.add(digest(n))
  expect([absent.has(digest(0)), absent.has(digest(65_535))]).toEqual([true, true])
  absent.add(digest(65_536))
  expect([absent.has(digest(0)), absent.has(digest(65_535)), absent.has(digest(65_536))]).toEqual([false, false, true])
})
