// When bodies are committed, parked and ended, and how they share slots. The test advances the clock.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { StoreWriteFailed } from '../../../../agent/contract/slices.ts'
import { problem } from '../../../../protocol/problems.ts'
import type { ManifestEntry } from '../../../../protocol/slices/manifest.ts'
import type { Checkpoint } from '../../../../agent/contract/slices.ts'
import { createByteBudget } from '../../../../agent/uploads/body/byte-budget.ts'
import { createIngestSlots } from '../../../../agent/uploads/body/ingest-slots.ts'
import { BodyReader } from '../../../../agent/uploads/body/body-reader.ts'
import type { UploadCommits } from '../../../../agent/uploads/body/body-intake.ts'
import type { Body, Ending, BodyReaderDeps } from '../../../../agent/uploads/body/body-reader.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import type { ManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemorySlices } from '../../../support/memory/memory-slices.ts'
import { until } from '../../../support/until.ts'

const KIB = 1024
const IDLE_MS = 60_000

/** A slice store with its ingest slots, and a clock. */
function createScene(slots = 1) {
  const clock = createManualClock()
  const slices = createMemorySlices()
  const deps: BodyReaderDeps & { clock: ManualClock } = {
    clock,
    byteBudget: createByteBudget(clock),
    ingestSlots: createIngestSlots(slots, () => clock.monotonicMs()),
    provisionalSlots: createIngestSlots(2, () => clock.monotonicMs()),
    idleLimitMs: IDLE_MS,
  }
  const all = new Set<BodyReader>()
  clock.every(250, () => {
    for (const reader of all) reader.tick()
  })
  return { deps, clock, slices, start: (body: Partial<Body> = {}) => startBody(deps, slices, all, body) }
}

function startBody(deps: BodyReaderDeps, slices: ReturnType<typeof createMemorySlices>, all: Set<BodyReader>, body: Partial<Body>) {
  let controller!: ReadableStreamDefaultController<Uint8Array>
  let isCancelled = false
  const stream = new ReadableStream<Uint8Array>({
    start: (made) => void (controller = made),
    cancel: () => void (isCancelled = true),
  })
  const state = { covered: 0, entries: [] as ManifestEntry[], tail: new Uint8Array(0) as Uint8Array, commits: 0 }
  const sent: Uint8Array[] = []
  const commits: UploadCommits = {
    get tailLength() {
      return state.tail.byteLength
    },
    openIngest: async () => slices.ingest({ offset: state.covered, tail: state.tail }),
    async commit(checkpoints: readonly Checkpoint[]) {
      state.commits++
      for (const { entries, tail, release } of checkpoints) {
        for (const { length } of entries) state.covered += length
        state.entries.push(...entries)
        state.tail = tail
        release()
      }
    },
    async commitTail(bytes) {
      state.commits++
      state.tail = Buffer.concat([state.tail, bytes])
    },
    renewSpace: async () => {},
    closeFiles: async () => {},
  }
  const reader = new BodyReader(deps, commits, { stream, room: 1e9, completes: true, isMeasured: true, checksum: undefined, ...body })
  all.add(reader)
  const ending = reader.run().finally(() => all.delete(reader))
  return {
    reader,
    ending,
    send(length: number, byte = 1 + (sent.length % 255)) {
      const piece = new Uint8Array(length).fill(byte)
      sent.push(piece)
      controller.enqueue(piece)
    },
    /** Whether the committed bytes equal the bytes sent, up to the offset. */
    get isExact() {
      const held = Buffer.concat([slices.read(state.entries), state.tail])
      return Buffer.compare(held, Buffer.concat(sent).subarray(0, held.byteLength)) === 0
    },
    close: () => controller.close(),
    breakOff: (error: Error = new Error('connection lost')) => controller.error(error),
    get isCancelled() {
      return isCancelled
    },
    get offset() {
      return state.covered + state.tail.byteLength
    },
    get commits() {
      return state.commits
    },
  }
}

/** Runs everything that does not wait for time. */
const settle = () => Bun.sleep(0)

describe('a body', () => {
  test('that sends continuously is committed every two seconds', async () => {
    const { clock, start } = createScene()
    const body = start()
    for (let second = 0; second < 10; second++) {
      body.send(300 * KIB)
      await settle()
      clock.advance(1000)
      await settle()
    }
    expect(body.commits).toBeGreaterThanOrEqual(4)
    expect(body.commits).toBeLessThanOrEqual(6)
    body.close()
    expect(await body.ending).toBe('end')
    expect(body.offset).toBe(3000 * KIB)
  })

  test('of a few bytes per second is never ended, and holds neither a slot nor an ingest', async () => {
    const { clock, slices, deps, start } = createScene()
    const body = start()
    for (let second = 0; second < 300; second++) {
      body.send(100)
      await settle()
      clock.advance(1000)
    }
    await settle()
    expect(deps.ingestSlots.held).toBe(0)
    expect(slices.openMax).toBe(0)
    expect(body.offset).toBeGreaterThanOrEqual(29_700)
    body.breakOff()
    expect(await body.ending).toBe('cut')
    expect(body.offset).toBe(30_000)
  })

  test('that is silent releases its ingest after two seconds and ends after the idle limit, with its bytes kept', async () => {
    const { clock, slices, deps, start } = createScene()
    const body = start()
    body.send(200 * KIB)
    await until('the ingest is open', () => slices.open === 1)
    clock.advance(2500)
    await until('the ingest is closed', () => slices.open === 0)
    await until('the slot is free', () => deps.ingestSlots.held === 0)
    expect(body.offset).toBe(200 * KIB)
    body.send(100 * KIB)
    await until('the ingest is open again', () => slices.open === 1)
    clock.advance(IDLE_MS + 500)
    expect(await body.ending).toBe('idle')
    expect(body.isCancelled).toBe(true)
    expect(body.offset).toBe(300 * KIB)
  })

  test.each<[string, Error, Ending]>([
    ['because it was too slow', problem('request-timeout', 'too slow'), 'idle'],
    ['with another refusal', problem('conflict', 'lost'), 'cut'],
    ['with its connection', new Error('connection lost'), 'cut'],
  ])('whose stream fails %s is told from others', async (_reason, error, ending) => {
    const body = createScene().start()
    body.send(10 * KIB)
    await settle()
    body.breakOff(error)
    expect([await body.ending, body.offset]).toEqual([ending, 10 * KIB])
  })

  test('that is silent ends immediately when it is asked to stop', async () => {
    const { clock, start } = createScene()
    const body = start()
    body.send(100 * KIB)
    await settle()
    clock.advance(100)
    body.reader.endSoon()
    expect(await body.ending).toBe('superseded')
    expect(body.offset).toBe(100 * KIB)
  })

  test('that is asked to stop may send for another quarter of a second', async () => {
    const short = createScene()
    const ending = short.start()
    ending.reader.endSoon()
    for (let i = 0; i < 4; i++) {
      ending.send(10 * KIB)
      await settle()
      short.clock.advance(40)
      await settle()
    }
    ending.close()
    expect(await ending.ending).toBe('end')

    const long = createScene()
    const going = long.start()
    going.reader.endSoon()
    let sent = 0
    let isOver = false
    void going.ending.then(() => (isOver = true))
    for (let i = 0; i < 20 && !isOver; i++) {
      going.send(10 * KIB)
      sent += 10 * KIB
      await settle()
      long.clock.advance(40)
      await settle()
    }
    expect(await going.ending).toBe('superseded')
    expect(long.clock.monotonicMs()).toBeLessThan(500)
    expect(going.offset).toBeLessThanOrEqual(sent)
  })

  test('longer than its limit is ended, and the complete pieces that fit are kept', async () => {
    const { start } = createScene()
    const body = start({ room: 250 * KIB, isMeasured: false })
    body.send(100 * KIB)
    body.send(100 * KIB)
    body.send(100 * KIB)
    expect(await body.ending).toBe('too-long')
    expect(body.offset).toBe(200 * KIB)
  })

  test('that continues beyond its limit does not complete the upload', async () => {
    const { start } = createScene()
    const body = start({ room: 200 * KIB, isMeasured: false })
    body.send(100 * KIB)
    body.send(100 * KIB)
    await settle()
    body.send(1)
    expect(await body.ending).toBe('too-long')
    expect(body.offset).toBe(100 * KIB)
  })

  test('whose connection breaks exactly at its end completes the upload', async () => {
    const { start, slices } = createScene()
    const body = start({ room: 100_001, isMeasured: false })
    body.send(100_001)
    await settle()
    body.breakOff()
    expect(await body.ending).toBe('cut')
    expect(body.offset).toBe(100_001)
    expect(slices.open).toBe(0)
  })

  test('fails when the store fails, and keeps the bytes committed before', async () => {
    const { clock, slices, start } = createScene()
    const body = start()
    body.send(200 * KIB)
    await settle()
    clock.advance(2000)
    await until('a commit', () => body.offset === 200 * KIB)
    slices.freeBytes = 0
    body.send(200 * KIB, 8)
    expect(await body.ending).toBe('failed')
    expect(body.reader.failure).toBeInstanceOf(StoreWriteFailed)
    expect(slices.open).toBe(0)
    expect(slices.pinned().size).toBe(0)
    expect(body.offset).toBe(200 * KIB)
  })
})

describe('slots', () => {
  test('pass from a silent body to a waiting one', async () => {
    const { clock, deps, start } = createScene(1)
    const silent = start()
    silent.send(200 * KIB)
    await until('it has the slot', () => deps.ingestSlots.held === 1)
    const waiting = start()
    waiting.send(200 * KIB)
    await until('the other waits', () => deps.ingestSlots.waiting === 1)
    clock.advance(500)
    await until('the slot went on', () => deps.ingestSlots.waiting === 0)
    waiting.close()
    expect(await waiting.ending).toBe('end')
    expect(waiting.offset).toBe(200 * KIB)
    expect(silent.offset).toBe(200 * KIB)
    silent.close()
    expect(await silent.ending).toBe('end')
  })

  test('alternate between two bodies that send, and the number of open ingests never exceeds that of slots', async () => {
    const { clock, deps, slices, start } = createScene(2)
    const bodies = [start(), start(), start(), start(), start()]
    for (let round = 0; round < 200; round++) {
      for (const body of bodies) if (round < 40) body.send(100 * KIB)
      await settle()
      clock.advance(300)
      await settle()
      expect(deps.ingestSlots.held).toBeLessThanOrEqual(2)
    }
    for (const body of bodies) body.close()
    for (const body of bodies) expect(await body.ending).toBe('end')
    expect(bodies.map((body) => body.offset)).toEqual(Array(5).fill(4000 * KIB))
    expect(bodies.every((body) => body.isExact)).toBe(true)
    expect(slices.openMax).toBeLessThanOrEqual(2)
  })

  test('can be waited for a long time: few bytes are committed in the meantime, and none are lost', async () => {
    const { clock, deps, start } = createScene(1)
    const taken = await deps.ingestSlots.acquire(new AbortController().signal)
    const body = start()
    body.send(40 * KIB)
    body.send(40 * KIB)
    await until('it waits', () => deps.ingestSlots.waiting === 1)
    clock.advance(2000)
    await until('few bytes are committed', () => body.offset === 40 * KIB)
    taken[Symbol.dispose]()
    await until('it has the slot', () => deps.ingestSlots.waiting === 0)
    body.send(100 * KIB)
    body.close()
    expect(await body.ending).toBe('end')
    expect(body.offset).toBe(180 * KIB)
    expect(body.isExact).toBe(true)
  })

  test('are not waited for by a body that was ended', async () => {
    const { deps, start } = createScene(1)
    const first = start()
    first.send(200 * KIB)
    await until('it has the slot', () => deps.ingestSlots.held === 1)
    const second = start()
    second.send(200 * KIB)
    await until('the other waits', () => deps.ingestSlots.waiting === 1)
    second.reader.end('stopping')
    expect(await second.ending).toBe('stopping')
    expect(second.offset).toBe(0)
    first.close()
    expect(await first.ending).toBe('end')
  })
})

describe('a checkpoint in progress', () => {
  test('does not block the body', async () => {
    const { clock, slices, start } = createScene()
    const body = start()
    body.send(200 * KIB)
    await until('the ingest is open', () => slices.open === 1)
    const gate = Promise.withResolvers<void>()
    slices.beforeCheckpoint = () => gate.promise
    clock.advance(1750)
    body.send(64 * KIB)
    await settle()
    clock.advance(500)
    for (let i = 0; i < 20; i++) body.send(64 * KIB)
    await until('all bytes are taken', () => slices.writtenBytes === (200 + 21 * 64) * KIB)
    expect(body.commits).toBe(0)
    gate.resolve()
    body.close()
    expect(await body.ending).toBe('end')
    expect(body.offset).toBe((200 + 21 * 64) * KIB)
  })
})

test('for any order of bytes, time and contention, every body is committed byte for byte', async () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('send' as const), body: fc.nat({ max: 2 }), kib: fc.constantFrom(0.1, 3, 40, 64, 200) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(3, 20, 60, 300, 1000, 2500, 6000) }) },
    { weight: 3, arbitrary: fc.constant({ kind: 'settle' as const }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.constantFrom(1, 2), fc.boolean(), async (steps, slots, isSlow) => {
      const { clock, slices, deps, start } = createScene(slots)
      if (isSlow) slices.beforeCheckpoint = () => Bun.sleep(1)
      const bodies = [start({ completes: false }), start({ completes: false }), start({ completes: false })]
      const sent = [0, 0, 0]
      for (const one of steps) {
        if (one.kind === 'advance') clock.advance(one.ms)
        else if (one.kind === 'settle') await settle()
        else {
          const length = Math.round(one.kib * KIB)
          bodies[one.body]?.send(length)
          sent[one.body] = (sent[one.body] ?? 0) + length
        }
        for (const body of bodies) expect(body.isExact).toBe(true)
        expect(slices.open).toBeLessThanOrEqual(slots)
      }
      bodies.forEach((body, i) => (i === 1 ? body.breakOff() : body.close()))
      const endings = Promise.all(bodies.map((body) => body.ending))
      expect(await Promise.race([endings, run(clock, endings)])).toEqual(['end', 'cut', 'end'])
      // A broken stream loses the bytes that were not read from it; the others lose nothing.
      expect(bodies.map((body, i) => (i === 1 ? body.offset <= (sent[i] ?? 0) : body.offset))).toEqual([sent[0] ?? 0, true, sent[2] ?? 0])
      for (const body of bodies) expect(body.isExact).toBe(true)
      expect(deps.ingestSlots.held).toBe(0)
      expect(slices.pinned().size).toBe(0)
    }),
    { numRuns: 100 },
  )
}, 60_000)

/** Advances the clock until something has ended. */
async function run(clock: ManualClock, ended: Promise<Ending[]>): Promise<Ending[]> {
  let endings: Ending[] | undefined
  void ended.then((all) => (endings = all))
  while (!endings) {
    await settle()
    clock.advance(10)
  }
  return endings
}
