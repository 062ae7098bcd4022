// Buffers of an ingest: at most eight are in use, their lengths fit the worst segment, and who waits is woken.

import { expect, test } from 'bun:test'
import { SegmentBuffers } from '../../../../agent/slices/write/segment-buffers.ts'
import type { Buffers } from '../../../../agent/slices/write/segment-buffers.ts'

test('eight buffers are in use at most, and one that is put back is used again', () => {
  const buffers = new SegmentBuffers(100 * 4096, 4096)
  const taken = Array.from({ length: 8 }, () => buffers.take())
  expect(new Set(taken).size).toBe(8)
  // 2 MiB and the headroom; a record header of 64 bytes for each block of 4 KiB, and one more.
  expect(taken.map((one) => [one?.input.byteLength, one?.output.byteLength])).toEqual(Array.from({ length: 8 }, () => [2_506_752, 2_545_984]))
  expect(buffers.take()).toBeUndefined()
  const [first] = taken as [Buffers]
  buffers.put(first)
  expect(buffers.take()).toBe(first)
  expect(buffers.take()).toBeUndefined()
})

test('who waits is woken by buffers that are put back, and by a failure', async () => {
  const buffers = new SegmentBuffers(4096, 4096)
  const taken = buffers.take()
  if (!taken) throw new Error('there are buffers')
  let woken = 0
  const wait = (): Promise<unknown> => buffers.released().then(() => woken++)
  const both = [wait(), wait()]
  await Promise.resolve()
  expect(woken).toBe(0)
  buffers.put(taken)
  await Promise.all(both)
  const again = wait()
  await Promise.resolve()
  expect(woken).toBe(2)
  buffers.wake()
  await again
  expect(woken).toBe(3)
})
