// Lists of slices over HTTP: what a caller misses, and how stored slices are sent: in pieces, in turns, and complete or not at all.

import { describe, expect, test } from 'bun:test'
import { createTransferGate, IDLE_MS } from '../../../../agent/http/content/transfer-gate.ts'
import { sliceRoutes } from '../../../../agent/http/routes/slices.ts'
import { CODEC_RAW, decodeAnswerFrames, decodeFrames, FRAME_HEADER_BYTES } from '../../../../protocol/slices/frames.ts'
import type { SliceFrame } from '../../../../protocol/slices/frames.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryApp } from '../../../support/memory/memory-app.ts'

const KIB = 1024

/** Returns the digest with this number, as bytes and as text. */
function rawDigest(number: number): Uint8Array<ArrayBuffer> {
  const digest = new Uint8Array(32).fill(0xab)
  new DataView(digest.buffer).setUint32(28, number)
  return digest
}
const digest = (number: number): string => `sha256:${'ab'.repeat(28)}${number.toString(16).padStart(8, '0')}`
const numberOf = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(28)

interface Scene {
  /** Slices that no image names which the caller may read, those that it uploaded itself, and those that are not stored. */
  readonly hidden?: readonly number[]
  readonly own?: readonly number[]
  readonly absent?: readonly number[]
  /** Bytes of each stored slice. */
  readonly sliceBytes?: number
  /** The source breaks off after this many slices in all. */
  readonly endsAfter?: number
}

/** An application whose store has the slices of all numbers, but for those named. */
async function openApp({ hidden = [], own = [], absent = [], sliceBytes = 1, endsAfter = Number.POSITIVE_INFINITY }: Scene) {
  const isHidden = async (digests: readonly Uint8Array[]): Promise<number[]> =>
    [...digests.keys()].filter((i) => hidden.includes(numberOf(digests[i] ?? rawDigest(0))))
  const lookups: number[] = []
  /** Turns of the event loop that each look-up saw before it. */
  const turns: number[] = []
  let turn = 0
  const reads: number[][] = []
  let ownAsked = 0
  let read = 0
  const clock = createManualClock()
  const downloads = createTransferGate({ clock, limit: 1 })
  const memory = await createMemoryApp({
    routes: sliceRoutes({
      clock,
      downloads,
      visibility: { view: () => ({ has: () => true, hidden: isHidden, hiddenExactly: isHidden }) },
      async ownSlices() {
        ownAsked++
        return { has: (found) => own.includes(numberOf(found)) }
      },
      slices: {
        missing(digests) {
          lookups.push(digests.length)
          turns.push(turn)
          setImmediate(() => turn++)
          return [...digests.keys()].filter((i) => absent.includes(numberOf(digests[i] ?? rawDigest(0))))
        },
        async *readStored(digests): AsyncGenerator<SliceFrame> {
          reads.push(digests.map((one) => numberOf(one)))
          for (const one of digests) {
            if (read++ >= endsAfter) return
            yield { digest: one, length: sliceBytes, codec: CODEC_RAW, stored: new Uint8Array(sliceBytes).fill(numberOf(one)) }
          }
        },
      },
    }),
  })
  const post = (path: string, body: object) => memory.ask(path, { method: 'POST', role: 'viewer', body: JSON.stringify(body) })
  return {
    ask: memory.ask,
    granted: memory.routes.filter(({ granted }) => granted).map(({ path }) => path),
    lookups,
    turns,
    reads,
    clock,
    downloads,
    log: memory.log,
    ownAsked: () => ownAsked,
    missing: (numbers: readonly number[]) => post('/v1/slices/missing', { digests: numbers.map(digest) }),
    fetch: (numbers: readonly number[], more = {}) => post('/v1/slices/fetch', { digests: numbers.map(digest), ...more }),
    [Symbol.asyncDispose]: () => memory[Symbol.asyncDispose](),
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1)

async function numbersOf(answer: Response): Promise<number[]> {
  const numbers: number[] = []
  for await (const frame of decodeFrames(answer.body as AsyncIterable<Uint8Array>)) numbers.push(numberOf(frame.digest))
  return numbers
}

describe('the missing slices', () => {
  test('are those that are hidden and not the own ones of the caller, and those that are not stored, in the order of the list', async () => {
    await using app = await openApp({ hidden: [2, 4, 6], own: [4], absent: [1, 4, 5] })
    expect(await (await app.missing([6, 5, 4, 3, 2, 1])).json()).toEqual({ missing: [6, 5, 4, 2, 1].map(digest) })
    // Whether a hidden slice is stored is never looked up.
    expect([app.lookups, app.ownAsked()]).toEqual([[4], 1])
  })

  test('are none if the only hidden one is the own slice of the caller', async () => {
    await using app = await openApp({ hidden: [1], own: [1] })
    expect(await (await app.missing([1])).json()).toEqual({ missing: [] })
  })

  test('are of a list of at most 512 KiB', async () => {
    await using app = await openApp({})
    const sent = async (length: number) => {
      const list = JSON.stringify({ digests: [digest(1)] })
      const answer = await app.ask('/v1/slices/missing', { method: 'POST', role: 'viewer', body: list.padEnd(length) })
      return answer.status
    }
    expect([await sent(512 * KIB), await sent(512 * KIB + 1)]).toEqual([200, 413])
  })

  test('are looked up without the own slices of the caller when none is hidden', async () => {
    await using app = await openApp({ absent: [2] })
    expect(await (await app.missing([1, 2, 3])).json()).toEqual({ missing: [digest(2)] })
    expect(app.ownAsked()).toBe(0)
  })

  test('are looked up 256 at a time', async () => {
    await using app = await openApp({ absent: [256, 257, 600] })
    expect(await (await app.missing(upTo(600))).json()).toEqual({ missing: [256, 257, 600].map(digest) })
    expect(app.lookups).toEqual([256, 256, 88])
    expect(app.turns).toEqual([0, 1, 2])
  })

  test('refuse a fetch, which names ten of them', async () => {
    await using app = await openApp({ absent: upTo(11) })
    const refused = await app.fetch(upTo(12))
    expect([refused.status, await refused.json()]).toEqual([
      404,
      expect.objectContaining({ detail: '11 of the 12 slices are not in this store.', missing: upTo(10).map(digest) }),
    ])
    expect(app.reads).toEqual([])
  })
})

describe('a fetch', () => {
  test('is open to a grant between stores, and a list of missing slices is not', async () => {
    await using app = await openApp({})
    expect(app.granted.filter((path) => path.startsWith('/v1/slices'))).toEqual(['/v1/slices/fetch'])
  })

  test('is sent in pieces of at least 512 KiB, and the last one with what is left', async () => {
    await using app = await openApp({ sliceBytes: 256 * KIB })
    const answer = await app.fetch(upTo(5))
    expect(Object.fromEntries(['content-type', 'cache-control'].map((name) => [name, answer.headers.get(name)]))).toEqual({
      'content-type': 'application/vnd.slipway.slices',
      'cache-control': 'no-store',
    })
    const lengths: number[] = []
    for await (const piece of answer.body ?? []) lengths.push(piece.byteLength)
    const two = 2 * (256 * KIB + FRAME_HEADER_BYTES)
    expect(lengths).toEqual([two, two, 256 * KIB + 2 * FRAME_HEADER_BYTES])
    expect(app.reads).toEqual([upTo(5)])
  })

  test('goes on with the slices that were not sent when its turn ended', async () => {
    await using app = await openApp({ sliceBytes: 600 * KIB, absent: [1, 3, 5] })
    const answer = await app.fetch(upTo(5), { absent: true })
    const frames: string[] = []
    for await (const frame of decodeAnswerFrames(answer.body as AsyncIterable<Uint8Array>)) {
      frames.push(frame.kind === 'slice' ? String(numberOf(frame.frame.digest)) : `absent ${numberOf(frame.digest)}`)
      if (frames.length !== 2) continue
      // Another transfer waits, and the client reads nothing for as long as a turn may be idle.
      const other = app.downloads.enter('other')
      app.clock.advance(IDLE_MS)
      ;(await other)[Symbol.dispose]()
    }
    expect(frames).toEqual(['absent 1', '2', 'absent 3', '4', 'absent 5'])
    expect(app.reads).toEqual([[2, 4], [4]])
  })

  test('breaks off when the store has fewer slices than it said, so that the client does not take it for complete', async () => {
    await using app = await openApp({ sliceBytes: 600 * KIB, endsAfter: 2 })
    const answer = await app.fetch(upTo(3))
    await expect(numbersOf(answer)).rejects.toThrow('read 2 of 3 slices')
    expect(app.log.lines.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual(['failed to send slices'])
  })
})
