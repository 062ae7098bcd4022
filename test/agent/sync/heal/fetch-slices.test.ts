// Slices that an origin sends are durable before they are reported, also those that arrive before a failure.

import { expect, test } from 'bun:test'
import type { KnownOrigin } from '../../../../agent/contract/origins.ts'
import { fetchSlices } from '../../../../agent/sync/heal/fetch-slices.ts'
import { createAgentClient } from '../../../../protocol/client/client.ts'
import { CODEC_RAW, encodeEndFrame, encodeFrameHeader, FrameInvalid } from '../../../../protocol/slices/frames.ts'
import type { SliceFrame } from '../../../../protocol/slices/frames.ts'
import { holdSyncs } from '../../../support/memory/held-syncs.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemorySlices } from '../../../support/memory/memory-slices.ts'
import { until } from '../../../support/until.ts'

const frameOf = (byte: number): SliceFrame => {
  const stored = Buffer.alloc(4096, byte)
  return { digest: new Uint8Array(new Bun.CryptoHasher('sha256').update(stored).digest()), length: 4096, codec: CODEC_RAW, stored }
}

/** An origin that answers every request for slices with these bytes. */
function originOf(frames: readonly SliceFrame[]): KnownOrigin {
  const body = Buffer.concat([...frames.flatMap((frame) => [encodeFrameHeader(frame), frame.stored]), encodeEndFrame()])
  const client = createAgentClient({ baseUrl: 'http://origin.test', token: 't', fetch: async () => new Response(body) })
  return { kind: 'origin', name: 'origin', url: 'http://origin.test', state: 'reachable', storeId: 'a', version: 1, client }
}

function fetchFrom(origin: KnownOrigin, wanted: readonly SliceFrame[]) {
  const events: string[] = []
  const paced: number[] = []
  const slices = createMemorySlices()
  const held = holdSyncs(slices, (event) => void events.push(event))
  const end = fetchSlices(
    origin,
    wanted.map(({ digest }) => ({ digest })),
    {
      clock: createManualClock(),
      slices: held,
      stored: () => void events.push('stored'),
      pace: async (bytes) => void paced.push(bytes),
      signal: new AbortController().signal,
    },
  ).then(
    () => void events.push('resolved'),
    (error: unknown) => error,
  )
  return { events, paced, slices, held, end }
}

test.each([1, 2])('%i slices are reported, and the call resolves, only when they are durable', async (count) => {
  const frames = [frameOf(1), frameOf(2)].slice(0, count)
  const { events, paced, slices, held, end } = fetchFrom(originOf(frames), frames)
  await until('an fsync is asked for', () => held.waiting.length === 1)
  await Bun.sleep(5)
  expect(events).toEqual([])
  expect(slices.pinned().size).toBe(count)
  held.waiting[0]?.()
  expect(await end).toBeUndefined()
  expect(events).toEqual(['synced', 'stored', 'released', 'resolved'])
  // A header of 48 bytes and the bytes of the slice.
  expect(paced).toEqual(Array.from({ length: count }, () => 4144))
  expect(slices.missing(frames.map(({ digest }) => digest))).toEqual([])
})

test('what arrived before a failure is made durable', async () => {
  const frames = [frameOf(1), frameOf(2)]
  const { events, held, end } = fetchFrom(originOf([frameOf(1), frameOf(3)]), frames)
  await until('an fsync is asked for', () => held.waiting.length === 1)
  held.waiting[0]?.()
  expect(await end).toBeInstanceOf(FrameInvalid)
  expect(events).toEqual(['synced', 'stored', 'released'])
})

test('without a slice nothing is synced and nothing is reported', async () => {
  const { events, held, end } = fetchFrom(originOf([frameOf(3)]), [frameOf(1)])
  expect(await end).toBeInstanceOf(FrameInvalid)
  expect(held.waiting).toHaveLength(0)
  expect(events).toEqual(['released'])
})
