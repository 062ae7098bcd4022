// Windows of an image that is read through: how many readers fetch at the same time, and how much space stays promised.

import { describe, expect, test } from 'bun:test'
import type { Space } from '../../../../agent/contract/space.ts'
import type { NamedSlice } from '../../../../agent/sync/plan.ts'
import type { SliceSource } from '../../../../agent/sync/sources/connect.ts'
import { createSourcePool } from '../../../../agent/sync/sources/source-pool.ts'
import { createWindowFetch, promiseSpace } from '../../../../agent/sync/through/window-fetch.ts'
import type { AgentClient } from '../../../../protocol/client/agent-client.ts'
import { CODEC_RAW } from '../../../../protocol/slices/frames.ts'
import type { AnswerFrame } from '../../../../protocol/slices/frames.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { createMemorySlices } from '../../../support/memory/memory-slices.ts'
import { until } from '../../../support/until.ts'

/** Space that notes what is promised, and has room for so many bytes. */
function createNotedSpace(room = Infinity) {
  const promises: [string, number][] = []
  const state = { isBelowReserve: false }
  const space: Pick<Space, 'promise' | 'isBelowReserve'> = {
    async promise(key, bytes) {
      promises.push([key, bytes])
      return bytes <= room
    },
    isBelowReserve: async () => state.isBelowReserve,
  }
  return { space: space as Space, promises, state }
}

const IMAGE = memoryImage({ id: 'img_1', name: 'one', storedSize: null })

describe('the space of a pull', () => {
  test.each([
    [0, 1050],
    [999, 51],
    [1000, 50],
    // More may be written than was counted: a slice that gc removed meanwhile is copied again.
    [1001, 50],
  ])('with %i of 1000 bytes written is %i bytes', async (done, promised) => {
    const { space, promises } = createNotedSpace()
    await promiseSpace(space, IMAGE, { bytes: 1000, others: 50, done })
    expect(promises).toEqual([['sync img_1', promised]])
  })

  test('is refused with the bytes that it takes', async () => {
    const { space } = createNotedSpace(1049)
    const refused = await promiseSpace(space, IMAGE, { bytes: 1000, others: 50, done: 0 }).catch((error: unknown) => error)
    expect(refused).toMatchObject({
      code: 'insufficient-storage',
      message: 'Image one cannot be kept: it needs up to 1050 bytes, which exceeds the space above the reserve.',
    })
  })
})

/** An image of which a source sends each slice when the test lets it. */
function openScene() {
  const slices = createMemorySlices()
  const clock = createManualClock()
  const waiting: (() => void)[] = []
  const asked: string[] = []
  const contents = new Map<string, Uint8Array>()
  const source = {
    url: 'http://hub:8420',
    storeId: 'hub',
    name: 'hub',
    version: 2,
    client: {
      slices: {
        async *fetchPresent(digests: readonly string[]): AsyncGenerator<AnswerFrame> {
          asked.push(...digests)
          await new Promise<void>((resolve) => void waiting.push(resolve))
          for (const name of digests) {
            const stored = contents.get(name) ?? new Uint8Array(0)
            const digest = Uint8Array.fromHex(name.slice('sha256:'.length))
            yield { kind: 'slice', frame: { digest, length: stored.byteLength, codec: CODEC_RAW, stored } }
          }
        },
      },
    } as unknown as AgentClient,
  } satisfies SliceSource
  const pool = createSourcePool({ clock, log: createMemoryLog() })
  pool.add(source, 0)
  const noted = createNotedSpace()
  const promised = { bytes: 40_960, others: 0, done: 0 }
  const stored: number[] = []
  const share = { take: async () => {}, inFlightMax: () => Infinity, [Symbol.dispose]: () => {} }
  const windows = createWindowFetch(
    { clock, slices: { ...slices, read: () => Promise.reject(new Error('nothing is read')) as never }, space: noted.space, crashPoint: () => {} },
    {
      image: IMAGE,
      signal: new AbortController().signal,
      pool,
      share,
      promised,
      stored(slice, wireBytes) {
        promised.done += slice.length
        stored.push(wireBytes)
      },
    },
  )
  /** Returns a window of one slice, with 4096 times the byte `n`. */
  const windowOf = (n: number): { slices: NamedSlice[]; start: number; end: number } => {
    const bytes = new Uint8Array(4096).fill(n)
    const digest = new Uint8Array(Bun.SHA256.hash(bytes) as Uint8Array)
    contents.set(`sha256:${digest.toHex()}`, bytes)
    return { slices: [{ digest, length: 4096 }], start: 0, end: 4096 }
  }
  return { windows, windowOf, waiting, asked, noted, stored }
}

describe('fetching', () => {
  test('takes four windows of readers at the same time, and the next one when one of them ends', async () => {
    const { windows, windowOf, waiting, asked } = openScene()
    const fetches = [1, 2, 3, 4, 5, 6].map((n) => windows.forReader(windowOf(n)))
    await until('four windows are asked for', () => waiting.length === 4)
    await Bun.sleep(3)
    expect(asked).toHaveLength(4)
    waiting[0]?.()
    await until('the fifth one follows', () => waiting.length === 5)
    await Bun.sleep(3)
    expect(asked).toHaveLength(5)
    for (let n = 1; n < 5; n++) waiting[n]?.()
    await until('the last one follows', () => waiting.length === 6)
    waiting[5]?.()
    await Promise.all(fetches)
    expect(new Set(asked).size).toBe(6)
  })

  test('of what is here needs no turn, and the copy of the whole image waits for no reader', async () => {
    const { windows, windowOf, waiting, asked, noted, stored } = openScene()
    const first = windows.forReader(windowOf(1))
    await until('it is asked for', () => waiting.length === 1)
    waiting[0]?.()
    await first
    expect([noted.promises, stored]).toEqual([[['sync img_1', 36_864]], [4144]])
    const readers = [2, 3, 4, 5].map((n) => windows.forReader(windowOf(n)))
    await until('all turns are taken', () => waiting.length === 5)
    await windows.forReader(windowOf(1))
    expect(asked).toHaveLength(5)
    const whole = windows.fetch(windowOf(6))
    await until('the copy goes on', () => waiting.length === 6)
    for (const go of waiting) go()
    await Promise.all([...readers, whole])
  })

  test('ends when the free space falls below the reserve, before anything is asked for', async () => {
    const { windows, windowOf, noted, asked } = openScene()
    noted.state.isBelowReserve = true
    expect(await windows.fetch(windowOf(1)).catch((error: unknown) => error)).toMatchObject({
      code: 'insufficient-storage',
      message: 'The free space fell below the reserve while image one was being read.',
    })
    expect(asked).toEqual([])
    // A failure gives its turn back.
    for (let n = 1; n <= 5; n++) expect(await windows.forReader(windowOf(n)).catch((error: unknown) => error)).toMatchObject({ code: 'insufficient-storage' })
  })
})
