// What a pull finds out about an image before it copies anything: the bytes that are missing, and those that are zeros.

import { expect, test } from 'bun:test'
import { measureManifest } from '../../../agent/sync/pull.ts'
import { CODEC_RAW } from '../../../protocol/slices/frames.ts'
import { encodeManifest } from '../../../protocol/slices/manifest.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemorySlices } from '../../support/memory/memory-slices.ts'
import { until } from '../../support/until.ts'

const sliceOf = (n: number, length = 4096) => {
  const stored = Buffer.alloc(length)
  stored.writeUInt32BE(n + 1)
  return { digest: new Uint8Array(new Bun.CryptoHasher('sha256').update(stored).digest()), length, stored }
}
const signal = new AbortController().signal

test('counts each slice that is missing once, and every run of zeros', async () => {
  const slices = createMemorySlices()
  const [here, one, two] = [sliceOf(0, 100), sliceOf(1, 1000), sliceOf(2, 10_000)]
  await using receiver = slices.receive()
  await receiver.put({ ...here, codec: CODEC_RAW })
  const zeros = { length: 50_000, digest: null }
  const { manifest } = await encodeManifest([zeros, here, one, zeros, one, two, here])
  expect(await measureManifest({ clock: createManualClock(), slices }, manifest, signal)).toEqual({ missingBytes: 11_000, zeroBytes: 100_000 })
})

test('goes on over the blocks of a long manifest', async () => {
  const { manifest } = await encodeManifest(Array.from({ length: 2049 }, (_, n) => sliceOf(n, 4)))
  expect(await measureManifest({ clock: createManualClock(), slices: createMemorySlices() }, manifest, signal)).toEqual({ missingBytes: 8196, zeroBytes: 0 })
})

test('gives other work its turn after 8 ms, and ends when its task ends', async () => {
  const turns: (() => void)[] = []
  let nowMs = 0
  const clock = {
    ...createManualClock(),
    monotonicMs: () => (nowMs += 8),
    sleep: (): Promise<void> => new Promise((resolve) => void turns.push(resolve)),
  }
  const ended = new AbortController()
  // Two windows of 512 slices.
  const { manifest } = await encodeManifest(Array.from({ length: 513 }, (_, n) => sliceOf(n, 4)))
  let end: unknown
  const measuring = measureManifest({ clock, slices: createMemorySlices() }, manifest, ended.signal).catch((error: unknown) => (end = error))
  for (const window of [1, 2]) {
    await until('the loop waits for its turn', () => turns.length === window)
    await Bun.sleep(1)
    expect([turns.length, end]).toEqual([window, undefined])
    if (window === 2) ended.abort(new Error('cancelled'))
    turns.at(-1)?.()
  }
  await measuring
  expect(end).toEqual(new Error('cancelled'))
})
