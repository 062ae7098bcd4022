// One batch from one source: which answers are taken, what is kept of an answer that breaks off, and when a slow source is given up.

import { describe, expect, test } from 'bun:test'
import { FrameInvalid, CODEC_RAW, encodeAbsentFrame, encodeEndFrame, encodeFrameHeader } from '../../../../protocol/slices/frames.ts'
import { fetchBatch } from '../../../../agent/sync/sources/fetch-batch.ts'
import type { WantedSlice } from '../../../../agent/sync/sources/fetch-batch.ts'
import type { SliceReceiver } from '../../../../agent/contract/slices.ts'
import { createAgentClient } from '../../../../protocol/client/client.ts'
import type { Fetch } from '../../../../protocol/client/exchange.ts'
import { formatDigest } from '../../../../protocol/slices/digest.ts'
import type { SliceFrame } from '../../../../protocol/slices/frames.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemorySlices } from '../../../support/memory/memory-slices.ts'
import { until } from '../../../support/until.ts'

const LENGTH = 4096

const frameOf = (byte: number, length = LENGTH): SliceFrame => {
  const stored = Buffer.alloc(length, byte)
  return { digest: new Uint8Array(new Bun.CryptoHasher('sha256').update(stored).digest()), length, codec: CODEC_RAW, stored }
}
const bytesOf = (frame: SliceFrame): Uint8Array => Buffer.concat([encodeFrameHeader(frame), frame.stored])
const [one, two, three] = [frameOf(1), frameOf(2), frameOf(3)]
const wantedOf = (frames: readonly SliceFrame[]): WantedSlice[] => frames.map(({ digest, length }) => ({ digest, length }))

interface Setting {
  readonly version?: 1 | 2
  readonly answer: Fetch
  readonly wanted?: readonly WantedSlice[]
  readonly isTooSlow?: (wireBytes: number, waitedMs: number) => boolean
  readonly pace?: (wireBytes: number) => Promise<void>
  readonly receiver?: (own: SliceReceiver) => SliceReceiver
}

/** Starts a batch. */
function start({ version = 2, answer, wanted = wantedOf([one, two, three]), isTooSlow = () => false, pace, receiver = (own) => own }: Setting) {
  const clock = createManualClock()
  /** How often the time was read: at the beginning and at the end of each wait for the source, and at each comparison while one lasts. */
  let reads = 0
  const watched = {
    ...clock,
    monotonicMs() {
      reads++
      return clock.monotonicMs()
    },
  }
  const slices = createMemorySlices()
  const stored: number[] = []
  const onStored: string[] = []
  const measured: (readonly [wireBytes: number, waitedMs: number])[] = []
  const ended = new AbortController()
  const source = { name: 's', url: 'http://s.test', storeId: 's', version, client: createAgentClient({ baseUrl: 'http://s.test', token: 't', fetch: answer }) }
  const end = fetchBatch(
    {
      clock: watched,
      use: { source, stored: (bytes) => void stored.push(bytes), measured: (bytes, ms) => void measured.push([bytes, ms]) },
      receiver: receiver(slices.receive()),
      image: undefined,
      onStored: ({ digest }, bytes) => void onStored.push(`${formatDigest(digest)} ${bytes}`),
      pace,
      isTooSlow,
      signal: ended.signal,
    },
    wanted,
  ).catch((error: unknown) => error)
  const missing = (): number => slices.missing(wanted.map(({ digest }) => digest)).length
  return { clock, reads: () => reads, stored, onStored, measured, ended, end, missing }
}

const answerOf = (...parts: readonly Uint8Array[]): Fetch => {
  return async () => new Response(Buffer.concat(parts))
}

describe('an answer', () => {
  test('with all slices is stored, counted with 48 bytes for each header, and measured once', async () => {
    const { end, stored, onStored, measured, missing } = start({ answer: answerOf(bytesOf(one), bytesOf(two), bytesOf(three), encodeEndFrame()) })
    expect(await end).toEqual({ kind: 'whole', absent: [] })
    expect(missing()).toBe(0)
    expect(stored).toEqual([4144, 4144, 4144])
    expect(onStored.toSorted()).toEqual([one, two, three].map(({ digest }) => `${formatDigest(digest)} 4144`).toSorted())
    expect(measured).toEqual([[3 * 4144, 0]])
  })

  test('may say that slices are absent, which are returned', async () => {
    const { end, missing } = start({ answer: answerOf(encodeAbsentFrame(one.digest), bytesOf(two), encodeAbsentFrame(three.digest), encodeEndFrame()) })
    expect(await end).toEqual({ kind: 'whole', absent: wantedOf([one, three]) })
    expect(missing()).toBe(2)
  })

  test('of absent slices only is measured too: the source has answered', async () => {
    const { end, measured } = start({ wanted: wantedOf([one]), answer: answerOf(encodeAbsentFrame(one.digest), encodeEndFrame()) })
    expect(await end).toEqual({ kind: 'whole', absent: wantedOf([one]) })
    expect(measured).toEqual([[0, 0]])
  })

  test.each([
    ['in another order', [bytesOf(two), bytesOf(one)]],
    ['with a slice twice', [bytesOf(one), bytesOf(one)]],
    ['that says of another slice that it is absent', [bytesOf(one), encodeAbsentFrame(three.digest)]],
    ['with one slice too many', [bytesOf(one), bytesOf(two), bytesOf(three), bytesOf(three)]],
  ])('%s is refused, and what came before it is kept', async (_title, parts) => {
    const { end, missing } = start({ answer: answerOf(...parts, encodeEndFrame()) })
    const error = await end
    expect(error).toBeInstanceOf(FrameInvalid)
    expect(error).toMatchObject({ fault: 'unasked-slice' })
    expect(missing()).toBeLessThanOrEqual(3)
  })

  test('with the right digest and another length than the manifest says is refused', async () => {
    const short = frameOf(1, LENGTH - 1)
    const { end } = start({ wanted: [{ digest: short.digest, length: LENGTH }], answer: answerOf(bytesOf(short), encodeEndFrame()) })
    expect(await end).toMatchObject({ fault: 'unasked-slice' })
  })

  test('with any length is taken for a slice that no manifest names', async () => {
    const short = frameOf(1, LENGTH - 1)
    const { end, missing } = start({ wanted: [{ digest: short.digest }], answer: answerOf(bytesOf(short), encodeEndFrame()) })
    expect(await end).toEqual({ kind: 'whole', absent: [] })
    expect(missing()).toBe(0)
  })

  test('that ends too early is refused with the number that is missing, and what came is kept and measured', async () => {
    const { end, missing, measured } = start({ answer: answerOf(bytesOf(one), encodeEndFrame()) })
    expect(String(await end)).toContain('2 slices are missing in the answer')
    expect(missing()).toBe(2)
    expect(measured).toEqual([[4144, 0]])
  })

  test('without a slice that could be taken is not measured', async () => {
    const { end, measured } = start({ answer: answerOf(encodeEndFrame()) })
    expect(await end).toMatchObject({ fault: 'truncated' })
    expect(measured).toEqual([])
  })
})

test('a slice that cannot be stored fails the batch, and the others are kept', async () => {
  const full = new Error('EIO')
  const { end, missing } = start({
    answer: answerOf(bytesOf(one), bytesOf(two), bytesOf(three), encodeEndFrame()),
    // The last one: nothing is read after it that could notice.
    receiver: (own) => ({
      pin: (...list) => own.pin(...list),
      put: (frame) => (Buffer.from(frame.digest).equals(three.digest) ? Promise.reject(full) : own.put(frame)),
      sync: () => own.sync(),
      [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
    }),
  })
  expect(await end).toBe(full)
  expect(missing()).toBe(1)
})

test.each([
  ['exactly 4 MiB', [1_048_576, 1_048_576, 1_048_576, 1_048_576, 4096], 4],
  ['a byte less than the next slice would make too many', [1_048_576, 1_048_576, 1_048_576, 1_048_577, 4096], 3],
  ['a slice in any case', [4_194_304, 4096], 1],
])('at most 4 MiB are being stored while more arrive: %s', async (_what, lengths, together) => {
  const large = lengths.map((length, i) => frameOf(10 + i, length))
  const release = Promise.withResolvers<void>()
  let storing = 0
  let most = 0
  const { end, missing } = start({
    wanted: wantedOf(large),
    answer: answerOf(...large.map(bytesOf), encodeEndFrame()),
    receiver: (own) => ({
      pin: (...list) => own.pin(...list),
      async put(frame) {
        most = Math.max(most, ++storing)
        await release.promise
        storing--
        await own.put(frame)
      },
      sync: () => own.sync(),
      [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
    }),
  })
  await until('so many are being stored', () => storing === together)
  await Bun.sleep(20)
  expect(storing).toBe(together)
  release.resolve()
  expect(await end).toEqual({ kind: 'whole', absent: [] })
  // All are being stored once the first ones are.
  expect([most >= together, missing()]).toEqual([true, 0])
})

describe('the time of a batch', () => {
  /** An answer whose parts arrive when the test lets them. */
  function pieces() {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>(undefined, { highWaterMark: 16 })
    const writer = writable.getWriter()
    // As a connection does, the answer ends with the request.
    const answer: Fetch = async (_url, { signal }) => {
      signal?.addEventListener('abort', () => void writer.abort(signal.reason).catch(() => {}), { once: true })
      return new Response(readable)
    }
    return { answer, writer }
  }

  test('counts the wait for the source, and not the wait for the rate of this store', async () => {
    const { answer, writer } = pieces()
    const go = Promise.withResolvers<void>()
    const paced: number[] = []
    const { clock, reads, end, measured, stored } = start({
      answer,
      wanted: wantedOf([one, two]),
      pace: async (bytes) => {
        paced.push(bytes)
        await go.promise
      },
    })
    await until('the source is waited for', () => reads() === 1)
    clock.advance(300)
    await writer.write(bytesOf(one))
    await until('a slice is stored', () => stored.length === 1 && paced.length === 1)
    clock.advance(10_000)
    go.resolve()
    await until('the source is waited for again', () => reads() === 3)
    clock.advance(200)
    await writer.write(Buffer.concat([bytesOf(two), encodeEndFrame()]))
    await writer.close()
    expect(await end).toEqual({ kind: 'whole', absent: [] })
    expect(paced).toEqual([4144, 4144])
    expect(measured).toEqual([[2 * 4144, 500]])
  })

  test('is compared every half second, with the present wait, and a slow source is given up', async () => {
    const { answer, writer } = pieces()
    const seen: (readonly [number, number])[] = []
    const { clock, reads, end, measured, stored } = start({
      answer,
      isTooSlow(wireBytes, waitedMs) {
        seen.push([wireBytes, waitedMs])
        return waitedMs >= 1500
      },
    })
    await until('the source is waited for', () => reads() === 1)
    clock.advance(499)
    expect(seen).toEqual([])
    clock.advance(1)
    await writer.write(bytesOf(one))
    // One more for the comparison, two for the waits.
    await until('the next slice is waited for', () => stored.length === 1 && reads() === 4)
    clock.advance(1000)
    expect(await end).toEqual({ kind: 'too-slow' })
    expect(seen).toEqual([
      [0, 500],
      [4144, 1000],
      [4144, 1500],
    ])
    // What it has sent is kept and counts.
    expect(measured).toEqual([[4144, 500]])
  })

  test('ends with the task, which is not the fault of the source', async () => {
    const { answer } = pieces()
    const { reads, end, ended, measured } = start({ answer })
    await until('the source is waited for', () => reads() === 1)
    ended.abort(new Error('cancelled'))
    expect(String(await end)).toBe('Error: cancelled')
    expect(measured).toEqual([])
  })
})

describe('a source of version 1', () => {
  const notFound = (): Response =>
    Response.json(
      { type: 'urn:slipway:problem:not-found', title: 'Not found', status: 404, detail: 'No slice.', action: '' },
      { status: 404, headers: { 'content-type': 'application/problem+json' } },
    )

  /** A source of version 1 that has these slices; `asked` are its requests. */
  function sourceOf(has: readonly SliceFrame[]) {
    const asked: string[] = []
    const answer: Fetch = async (url, init) => {
      const { digests } = JSON.parse(typeof init.body === 'string' ? init.body : '') as { digests: string[] }
      const path = new URL(url).pathname
      asked.push(`${path} ${digests.length}`)
      const found = digests.map((digest) => has.find((frame) => formatDigest(frame.digest) === digest))
      if (path.endsWith('/missing')) return Response.json({ missing: digests.filter((_digest, i) => !found[i]) })
      if (found.some((frame) => !frame)) return notFound()
      return new Response(Buffer.concat([...found.flatMap((frame) => (frame ? [bytesOf(frame)] : [])), encodeEndFrame()]))
    }
    return { answer, asked }
  }

  test('that has all slices is asked once', async () => {
    const { answer, asked } = sourceOf([one, two, three])
    const { end, missing } = start({ version: 1, answer })
    expect(await end).toEqual({ kind: 'whole', absent: [] })
    expect([asked, missing()]).toEqual([['/v1/slices/fetch 3'], 0])
  })

  test('that lacks one is asked which, then for the others', async () => {
    const { answer, asked } = sourceOf([one, three])
    const { end, missing } = start({ version: 1, answer })
    expect(await end).toEqual({ kind: 'whole', absent: wantedOf([two]) })
    expect(asked).toEqual(['/v1/slices/fetch 3', '/v1/slices/missing 3', '/v1/slices/fetch 2'])
    expect(missing()).toBe(1)
  })

  test('that has none is not asked for the others', async () => {
    const { answer, asked } = sourceOf([])
    const { end } = start({ version: 1, answer })
    expect(await end).toEqual({ kind: 'whole', absent: wantedOf([one, two, three]) })
    expect(asked).toEqual(['/v1/slices/fetch 3', '/v1/slices/missing 3'])
  })

  test('that contradicts itself counts as one that lacks them, and is not asked for ever', async () => {
    const asked: string[] = []
    const answer: Fetch = async (url) => {
      asked.push(new URL(url).pathname)
      return new URL(url).pathname.endsWith('/missing') ? Response.json({ missing: [] }) : notFound()
    }
    const { end } = start({ version: 1, answer })
    expect(await end).toEqual({ kind: 'whole', absent: wantedOf([one, two, three]) })
    expect(asked).toEqual(['/v1/slices/fetch', '/v1/slices/missing'])
  })

  test('that refuses is not asked again', async () => {
    let asked = 0
    const answer: Fetch = async () => {
      asked++
      return Response.json(
        { type: 'urn:slipway:problem:forbidden', title: 'Forbidden', status: 403, detail: 'No.', action: '' },
        { status: 403, headers: { 'content-type': 'application/problem+json' } },
      )
    }
    const { end } = start({ version: 1, answer })
    expect(await end).toMatchObject({ code: 'forbidden', isFromPeer: true })
    expect(asked).toBe(1)
  })
})
