// The windows in which an image is read through an origin, and fetches of slices that several readers share.

import { describe, expect, test } from 'bun:test'
import { createSharedFetch, fetchWindows } from '../../../../agent/sync/through/shared-fetch.ts'
import type { NamedSlice } from '../../../../agent/sync/plan.ts'
import { toHex } from '../../../../protocol/slices/digest.ts'
import { CODEC_RAW } from '../../../../protocol/slices/frames.ts'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import { createMemorySlices } from '../../../support/memory/memory-slices.ts'

const KIB = 1024
const MIB = 1024 * KIB

const digestOf = (i: number): Uint8Array => {
  const digest = new Uint8Array(32).fill(1)
  new DataView(digest.buffer).setUint32(0, i)
  return digest
}

/** The windows of [start, end) of an image whose entries have these lengths, as [number of slices, start, end]; negative lengths are zeros. */
async function windowsOf(lengths: readonly number[], start: number, end: number): Promise<[number, number, number][]> {
  const { manifest } = await encodeManifest(lengths.map((length, i) => ({ length: Math.abs(length), digest: length < 0 ? null : digestOf(i) })))
  const windows: [number, number, number][] = []
  for await (const window of fetchWindows(manifest, start, end)) windows.push([window.slices.length, window.start, window.end])
  return windows
}

const many = (count: number, length: number): number[] => Array<number>(count).fill(length)

describe('the windows of an image', () => {
  test('have 4 MiB of slices each', async () => {
    expect(await windowsOf(many(10, MIB), 0, 10 * MIB)).toEqual([
      [4, 0, 4 * MIB],
      [4, 4 * MIB, 8 * MIB],
      [2, 8 * MIB, 10 * MIB],
    ])
  })

  test('have 512 slices at most', async () => {
    expect(await windowsOf(many(513, 4 * KIB), 0, 513 * 4 * KIB)).toEqual([
      [512, 0, 512 * 4 * KIB],
      [1, 512 * 4 * KIB, 513 * 4 * KIB],
    ])
  })

  test('count zeros neither as slices nor as bytes', async () => {
    expect(await windowsOf([-64 * MIB, MIB, -64 * MIB, MIB], 0, 130 * MIB)).toEqual([[2, 0, 130 * MIB]])
    expect(await windowsOf([-64 * MIB], 0, 64 * MIB)).toEqual([[0, 0, 64 * MIB]])
  })

  test('begin and end at the bytes that are asked for, with the whole slices in which they are', async () => {
    expect(await windowsOf(many(10, MIB), 1, MIB)).toEqual([[1, 1, MIB]])
    expect(await windowsOf(many(10, MIB), MIB - 1, MIB + 1)).toEqual([[2, MIB - 1, MIB + 1]])
    expect(await windowsOf(many(10, MIB), MIB, 2 * MIB)).toEqual([[1, MIB, 2 * MIB]])
    expect(await windowsOf(many(10, MIB), MIB / 2, 6 * MIB + 5)).toEqual([
      [4, MIB / 2, 4 * MIB],
      [3, 4 * MIB, 6 * MIB + 5],
    ])
  })

  test('are none without a byte', async () => {
    expect(await windowsOf(many(2, MIB), MIB, MIB)).toEqual([])
    expect(await windowsOf(many(2, MIB), MIB + 1, MIB)).toEqual([])
  })

  test('go on over blocks of a long manifest', async () => {
    const windows = await windowsOf(many(5000, 4 * KIB), 0, 5000 * 4 * KIB)
    expect(windows.map(([slices]) => slices)).toEqual([...many(9, 512), 392])
    expect(windows.at(-1)).toEqual([392, 9 * 512 * 4 * KIB, 5000 * 4 * KIB])
  })
})

describe('a shared fetch', () => {
  const sliceOf = (byte: number) => {
    const stored = Buffer.alloc(4096, byte)
    return { digest: new Uint8Array(new Bun.CryptoHasher('sha256').update(stored).digest()), length: 4096, stored }
  }
  const [one, two, three] = [sliceOf(1), sliceOf(2), sliceOf(3)]

  /** A fetch that waits until the test lets it store its slices. */
  function setUp() {
    const slices = createMemorySlices()
    const asked: string[][] = []
    const waiting: PromiseWithResolvers<void>[] = []
    const store = async (wanted: readonly NamedSlice[]): Promise<void> => {
      await using receiver = slices.receive()
      for (const { digest, length } of wanted) {
        const known = [one, two, three].find((slice) => toHex(slice.digest) === toHex(digest))
        if (known) await receiver.put({ digest, length, codec: CODEC_RAW, stored: known.stored })
      }
    }
    const fetch = createSharedFetch({
      slices,
      async fetch(wanted) {
        asked.push(wanted.map(({ digest }) => toHex(digest)))
        const turn = Promise.withResolvers<void>()
        waiting.push(turn)
        await turn.promise
        await store(wanted)
      },
    })
    return { fetch, asked, waiting, slices }
  }
  const hex = (...all: readonly NamedSlice[]): string[] => all.map(({ digest }) => toHex(digest))

  test('asks once for a slice that two readers wait for, and both go on when it is there', async () => {
    const { fetch, asked, waiting } = setUp()
    const ended: string[] = []
    const first = fetch([one, two]).then(() => ended.push('first'))
    const second = fetch([two, three]).then(() => ended.push('second'))
    expect(asked).toEqual([hex(one, two), hex(three)])
    waiting[1]?.resolve()
    await Bun.sleep(1)
    // It has its own slice, and waits for the one of the other reader.
    expect(ended).toEqual([])
    waiting[0]?.resolve()
    await Promise.all([first, second])
    expect(ended.toSorted()).toEqual(['first', 'second'])
  })

  test('asks for nothing that is here', async () => {
    const { fetch, asked, waiting } = setUp()
    const first = fetch([one])
    waiting[0]?.resolve()
    await first
    await fetch([one])
    await fetch([])
    expect(asked).toEqual([hex(one)])
  })

  test('asks again after a failure, which every reader that waits for it gets', async () => {
    const { fetch, asked, waiting } = setUp()
    const both = [fetch([one]), fetch([one])].map((end) => end.catch((error: unknown) => error))
    waiting[0]?.reject(new Error('cut'))
    expect((await Promise.all(both)).map(String)).toEqual(['Error: cut', 'Error: cut'])
    const again = fetch([one])
    expect(asked).toEqual([hex(one), hex(one)])
    waiting[1]?.resolve()
    await again
  })

  test('asks for a slice of another length than the one with the same digest in progress', async () => {
    const { fetch, asked } = setUp()
    void fetch([one]).catch(() => {})
    void fetch([{ ...one, length: 4097 }]).catch(() => {})
    void fetch([{ ...one, length: 4096 + 65_536 }]).catch(() => {})
    expect(asked).toHaveLength(3)
  })
})
