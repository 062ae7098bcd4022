// How much of a body of slices waits in memory, when it is committed, and what a refusal names. Slices are real, and in memory.

import { describe, expect, test } from 'bun:test'
import type { Checkpoint, SliceReceiver } from '../../../../agent/contract/slices.ts'
import { createIngestSlots } from '../../../../agent/uploads/body/ingest-slots.ts'
import { SliceIntake } from '../../../../agent/uploads/body/slice-intake.ts'
import type { SliceBody } from '../../../../agent/uploads/body/slice-intake.ts'
import { ProblemError } from '../../../../protocol/problems.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemorySlices, MEMORY_CUTTER } from '../../../support/memory/memory-slices.ts'
import { BLOCK, body, bring, digestOf, joined, name, noise, zeros } from '../slice-bodies.ts'
import type { Bytes } from '../slice-bodies.ts'

const GIB = 1024 ** 3

interface Scene {
  /** Changes what a receiver does. */
  readonly receiver?: (receiver: SliceReceiver) => Partial<SliceReceiver>
  readonly commit?: () => Promise<void>
  readonly body?: Partial<SliceBody>
}

/** An intake of a body without a known length, whose commits are noted. */
function createScene({ receiver = () => ({}), commit = async () => {}, body = {} }: Scene = {}) {
  const clock = createManualClock()
  const slices = createMemorySlices()
  const slots = createIngestSlots(1, clock.monotonicMs)
  const committed: number[] = []
  const failures: unknown[] = []
  let opened = 0
  let renewals = 0
  const commits = {
    tailLength: 0,
    openIngest: () => Promise.reject(new Error('slices need no ingest')),
    commitTail: () => Promise.reject(new Error('slices leave no tail')),
    async commit(checkpoints: readonly Checkpoint[]) {
      await commit()
      committed.push(...checkpoints.map(({ entries }) => entries.length))
    },
    renewSpace: async () => void renewals++,
    closeFiles: async () => {},
  }
  const intake = new SliceIntake(
    { clock, ingestSlots: slots, provisionalSlots: slots },
    commits,
    {
      offset: 0,
      length: null,
      end: 100 * GIB,
      cutter: MEMORY_CUTTER,
      crashPoint() {},
      isVisible: () => true,
      ownSlices: async () => ({ has: () => false }),
      receive() {
        opened++
        const real = slices.receive()
        return { ...real, ...receiver(real) }
      },
      ...body,
    },
    { isProvisional: false, quietMs: () => 0, signal: new AbortController().signal, onFailure: (error) => failures.push(error) },
  )
  /** Stores slices as other uploads have brought them. */
  const store = async (...all: readonly Bytes[]): Promise<void> => {
    await using receiver = slices.receive()
    for (const bytes of all) await receiver.put({ digest: digestOf(bytes), length: bytes.length, codec: 0, stored: bytes })
  }
  return { intake, slices, slots, committed, failures, store, opened: () => opened, renewals: () => renewals }
}

const settle = () => Bun.sleep(0)
const many = (count: number, frame = zeros(BLOCK)): Bytes => joined(...Array.from({ length: count }, () => frame))
const hex = (bytes: Bytes): string => `sha256:${Buffer.from(digestOf(bytes)).toString('hex')}`

async function refusalOf(work: Promise<unknown>): Promise<ProblemError> {
  const error = await work.then(
    () => undefined,
    (refusal: unknown) => refusal,
  )
  if (!(error instanceof ProblemError)) throw new Error(`not refused: ${String(error)}`)
  return error
}

describe('a body of slices', () => {
  test('is committed each 16,384 entries, and the rest at its end', async () => {
    const { intake, committed, renewals } = createScene()
    await intake.write(many(16_383))
    await settle()
    expect(committed).toEqual([])
    await intake.write(many(1))
    await settle()
    expect([committed, renewals()]).toEqual([[16_384], 2])
    await intake.write(body(zeros(BLOCK)))
    expect(intake.isWhole).toBe(true)
    await intake.commit()
    await intake.commit()
    expect(committed).toEqual([16_384, 1])
    await intake.close()
  })

  test('waits for the checkpoint before the last one, so that the entries of two wait in memory and no more', async () => {
    const gate = Promise.withResolvers<void>()
    const { intake, committed, opened } = createScene({ commit: () => gate.promise })
    let isTaken = false
    const writing = intake.write(many(4 * 16_384)).then(() => (isTaken = true))
    for (let turn = 0; turn < 600; turn++) await settle()
    expect([isTaken, opened(), committed]).toEqual([false, 2, []])
    gate.resolve()
    await writing
    await intake.commit()
    expect(committed).toEqual([16_384, 16_384, 16_384, 16_384])
    await intake.close()
  })

  test('puts eight slices at the same time, and commits them once all are stored', async () => {
    const waiting: (() => void)[] = []
    let most = 0
    const { intake, committed, slices } = createScene({
      receiver: (real) => ({
        async put(frame) {
          await new Promise<void>((resolve) => (most = Math.max(most, waiting.push(resolve))))
          await real.put(frame)
        },
      }),
    })
    const all = Array.from({ length: 20 }, (_, i) => noise(BLOCK, i + 1))
    const writing = intake.write(body(...all.map((bytes) => bring(bytes))))
    await settle()
    expect(waiting).toHaveLength(8)
    while (waiting.length > 0) {
      waiting.shift()?.()
      await settle()
    }
    await writing
    expect(most).toBe(8)
    await intake.commit()
    expect(committed).toEqual([20])
    expect(slices.missing(all.map((bytes) => digestOf(bytes)))).toEqual([])
    await intake.close()
    expect(slices.pinned().size).toBe(0)
  })

  test('commits nothing after a commit that failed, because entries would be missing before it', async () => {
    let calls = 0
    const { intake, committed, slots } = createScene({
      commit() {
        calls++
        return calls === 1 ? Promise.reject(new Error('no space')) : Promise.resolve()
      },
    })
    await intake.write(many(10))
    await expect(intake.commit()).rejects.toThrow('no space')
    await intake.write(many(10))
    await expect(intake.commit()).rejects.toThrow('no space')
    expect([calls, committed]).toEqual([1, []])
    await intake.close()
    expect(slots.held).toBe(0)
  })

  test('releases its slot only after what it did not commit was released and its files were closed', async () => {
    const closing = Promise.withResolvers<void>()
    let disposed = 0
    const { intake, slots, committed } = createScene({
      receiver: (real) => ({
        async [Symbol.asyncDispose]() {
          disposed++
          await closing.promise
          await real[Symbol.asyncDispose]()
        },
      }),
    })
    await intake.write(many(3))
    let isClosed = false
    const closed = intake.close().then(() => (isClosed = true))
    await settle()
    expect([disposed, slots.held, isClosed]).toEqual([1, 1, false])
    closing.resolve()
    await closed
    expect([disposed, slots.held, committed]).toEqual([1, 0, []])
  })

  test('is given no slot, and none of it is taken, when its wait for one was ended', async () => {
    const clock = createManualClock()
    const slots = createIngestSlots(1, clock.monotonicMs)
    await slots.acquire(new AbortController().signal)
    const stop = new AbortController()
    const { slices } = createScene()
    const intake = new SliceIntake(
      { clock, ingestSlots: slots, provisionalSlots: slots },
      {
        tailLength: 0,
        openIngest: () => Promise.reject(new Error('none')),
        commitTail: async () => {},
        commit: async () => {},
        renewSpace: async () => {},
        closeFiles: async () => {},
      },
      {
        offset: 0,
        length: null,
        end: GIB,
        cutter: MEMORY_CUTTER,
        crashPoint() {},
        isVisible: () => true,
        ownSlices: async () => ({ has: () => false }),
        receive: slices.receive,
      },
      { isProvisional: false, quietMs: () => 0, signal: stop.signal, onFailure() {} },
    )
    const writing = intake.write(zeros(BLOCK))
    await settle()
    stop.abort(new Error('ended'))
    expect([await writing, intake.received]).toEqual([false, 0])
    await intake.close()
  })
})

describe('a refusal of a reference', () => {
  const absent = Array.from({ length: 12 }, (_, i) => noise(BLOCK, 100 + i))

  test('names at most ten missing slices, and keeps what came before', async () => {
    const { intake, committed } = createScene()
    const refusal = await refusalOf(intake.write(joined(zeros(BLOCK), ...absent.map((bytes) => name(bytes)))))
    expect(refusal.code).toBe('slice-missing')
    expect(refusal.problem).toMatchObject({ detail: 'The slice at offset 4096 is not in this store.', missing: absent.slice(0, 10).map(hex) })
    expect(committed).toEqual([1])
    await intake.close()
  })

  test.each([
    [63, 2],
    [64, 1],
  ])('with %i frames of present slices before the next missing one names %i', async (between, named) => {
    const { intake, store } = createScene()
    const [first, second] = [absent[0] ?? zeros(BLOCK), absent[1] ?? zeros(BLOCK)]
    const known = noise(BLOCK, 1)
    await store(known)
    const refusal = await refusalOf(intake.write(joined(name(first), many(between, name(known)), name(second))))
    expect(refusal.problem).toMatchObject({ missing: [first, second].slice(0, named).map(hex) })
    await intake.close()
  })

  test('passes over zeros and over slices that are brought', async () => {
    const { intake } = createScene()
    const [first, second] = [absent[0] ?? zeros(BLOCK), absent[1] ?? zeros(BLOCK)]
    const refusal = await refusalOf(intake.write(joined(name(first), zeros(BLOCK), bring(noise(BLOCK, 2)), name(second))))
    expect(refusal.problem).toMatchObject({ missing: [hex(first), hex(second)] })
    await intake.close()
  })

  test('asks for the slices of the owner once', async () => {
    let asked = 0
    const own = noise(BLOCK, 1)
    const { intake, store, committed } = createScene({
      body: {
        isVisible: () => false,
        async ownSlices() {
          asked++
          return { has: (digest) => Buffer.from(digest).equals(digestOf(own)) }
        },
      },
    })
    await store(own)
    await intake.write(joined(zeros(BLOCK)))
    expect(asked).toBe(0)
    await intake.write(body(name(own), name(own)))
    await intake.commit()
    expect([asked, committed]).toEqual([1, [3]])
    await intake.close()
  })
})

describe('the length of an entry', () => {
  test.each([
    // The end of the body's room, the length of the upload, the frame, and the refusal.
    [8192, null, zeros(8192), undefined],
    [8192, null, zeros(8193), '8193 bytes exceed the limit of 8192 bytes for this upload.'],
    [8192, 5000, zeros(5000), undefined],
    [8192, 5001, zeros(5000), 'A slice of 5000 bytes can only be the last one: the length of all others must be a multiple of 4096.'],
    [8192, null, zeros(5000), 'A slice of 5000 bytes can only be the last one: the length of all others must be a multiple of 4096.'],
    [GIB, null, bring(new Uint8Array(262_144).fill(1)), undefined],
    [GIB, null, bring(new Uint8Array(262_145).fill(1)), 'The body is not a stream of slices: a slice of 262145 bytes, the limit is 262144.'],
  ])('with room to %d in an upload of %p', async (end, length, frame, refusal) => {
    const { intake } = createScene({ body: { end, length } })
    const writing = intake.write(frame)
    if (refusal === undefined) expect(await writing).toBe(true)
    else expect((await refusalOf(writing)).problem.detail).toBe(refusal)
    await intake.commit()
    await intake.close()
  })
})

test.each([
  [[noise(BLOCK, 1)], [1]],
  // Nothing is committed when the first slice is the wrong one.
  [[], []],
])('a slice that does not match its digest ends the body there: what came before is kept, what comes after is not', async (before, kept) => {
  const [bad, after] = [noise(BLOCK, 2), noise(BLOCK, 3)]
  const { intake, committed, slices } = createScene()
  const writing = (async () => {
    await intake.write(joined(...before.map((bytes) => bring(bytes)), bring(bad, digestOf(after)), bring(after)))
    await intake.commit()
  })()
  const refusal = await refusalOf(writing)
  expect([refusal.code, refusal.problem.detail]).toEqual([
    'digest-mismatch',
    `The bytes of the slice at offset ${4096 * before.length} do not match its digest; the slice is not kept.`,
  ])
  expect(committed).toEqual(kept)
  await intake.close()
  expect(slices.pinned().size).toBe(0)
})
