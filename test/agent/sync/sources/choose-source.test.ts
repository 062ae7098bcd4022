// Which source of a task is asked next: the fastest one that has shown no fault, and what is reported of each.

import { describe, expect, test } from 'bun:test'
import type { SliceSource } from '../../../../agent/sync/sources/connect.ts'
import { askSources, createSourcePool } from '../../../../agent/sync/sources/source-pool.ts'
import type { SourceChoice, SourcePool } from '../../../../agent/sync/sources/source-pool.ts'
import { createAgentClient } from '../../../../protocol/client/client.ts'
import { FrameInvalid } from '../../../../protocol/slices/frames.ts'
import { problem, ProblemError } from '../../../../protocol/problems.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import type { ManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const NONE: ReadonlySet<SliceSource> = new Set()

function sourceOf(name: string): SliceSource {
  const url = `http://${name}.test`
  return { name, url, storeId: name, version: 2, client: createAgentClient({ baseUrl: url, token: 't' }) }
}

const [a, b] = [sourceOf('a'), sourceOf('b')]
const cut = (): Error => problem('peer-unreachable', 'The answer broke off.', { fault: 'cut' })
const busy = (): Error =>
  new ProblemError({ type: 'urn:slipway:problem:limit-reached', title: '', status: 429, detail: 'Too many.', action: '' }, { isFromPeer: true })
const lacks = (): Error =>
  new ProblemError({ type: 'urn:slipway:problem:not-found', title: '', status: 404, detail: 'No such image.', action: '' }, { isFromPeer: true })

function poolOf(...sources: readonly SliceSource[]): { clock: ManualClock; pool: SourcePool } {
  const clock = createManualClock()
  const pool = createSourcePool({ clock, log: createMemoryLog() })
  for (const [place, source] of sources.entries()) pool.add(source, place)
  return { clock, pool }
}

function used(choice: SourceChoice): Extract<SourceChoice, { kind: 'use' }>['use'] {
  if (choice.kind !== 'use') throw new Error(`the pool chose ${choice.kind}`)
  return choice.use
}

/** Lets the pool measure these sources in the order of their places, in bytes per second. */
function measure(pool: SourcePool, rates: readonly number[]): void {
  const uses = rates.map(() => used(pool.choose(1000, NONE)))
  for (const [i, use] of uses.entries()) {
    use.measured(rates[i] ?? 0, 1000)
    use[Symbol.dispose]()
  }
}

describe('the source of a batch', () => {
  test('is, while no rate is known, the one with the lowest place that has the least in flight', () => {
    const clock = createManualClock()
    const pool = createSourcePool({ clock, log: createMemoryLog() })
    pool.add(b, 2)
    pool.add(a, 1)
    const order = Array.from({ length: 4 }, () => used(pool.choose(1000, NONE)).source.name)
    expect(order).toEqual(['a', 'b', 'a', 'b'])
  })

  test('is the one that would have it first, with what is in flight counted', () => {
    const { pool } = poolOf(a, b)
    measure(pool, [1000, 3000])
    const order = Array.from({ length: 8 }, () => used(pool.choose(1000, NONE)).source.name)
    expect(order.filter((name) => name === 'b')).toHaveLength(6)
    expect(order[0]).toBe('b')
  })

  test('counts a batch as in flight until its use is disposed', () => {
    const { pool } = poolOf(a, b)
    measure(pool, [1000, 1001])
    for (let i = 0; i < 5; i++) {
      using use = used(pool.choose(1000, NONE))
      expect(use.source.name).toBe('b')
    }
  })

  test('is none that lacks it', () => {
    const { pool } = poolOf(a, b)
    expect(used(pool.choose(1000, new Set([a]))).source.name).toBe('b')
    expect(pool.choose(1000, new Set([a, b]))).toEqual({ kind: 'none', error: undefined })
  })

  test('is measured with half the weight for its last batch', () => {
    const { pool } = poolOf(a)
    measure(pool, [1000])
    measure(pool, [3000])
    expect(pool.report()[0]?.bytesPerSecond).toBe(2000)
  })

  test('has a rate of its bytes in the time that was waited, of a millisecond at least', () => {
    const { pool } = poolOf(a)
    used(pool.choose(1000, NONE)).measured(500, 0)
    expect(pool.report()[0]?.bytesPerSecond).toBe(500_000)
  })

  test('is measured anew after two minutes without a batch', () => {
    const { clock, pool } = poolOf(a, b)
    measure(pool, [1000, 3000])
    clock.advance(119_999)
    expect(pool.rateElsewhere(b, NONE)).toBe(1000)
    clock.advance(1)
    expect(pool.rateElsewhere(b, NONE)).toBe(Infinity)
    measure(pool, [500])
    expect(pool.report()[0]?.bytesPerSecond).toBe(500)
  })

  test('keeps its rate for as long as a batch is in flight', () => {
    const { clock, pool } = poolOf(a)
    measure(pool, [1000])
    const use = used(pool.choose(1000, NONE))
    clock.advance(600_000)
    expect(pool.rateElsewhere(b, NONE)).toBe(1000)
    use[Symbol.dispose]()
    expect(pool.rateElsewhere(b, NONE)).toBe(Infinity)
  })
})

describe('the rate elsewhere', () => {
  test('is the best of the others that have the batch and no fault, and 0 without any', () => {
    const { clock, pool } = poolOf(a, b)
    expect(pool.rateElsewhere(a, NONE)).toBe(Infinity)
    measure(pool, [1000, 3000])
    expect([pool.rateElsewhere(a, NONE), pool.rateElsewhere(b, NONE), pool.rateElsewhere(a, new Set([b]))]).toEqual([3000, 1000, 0])
    const use = used(pool.choose(1000, new Set([a])))
    use.failed(cut())
    clock.advance(60_000)
    expect(pool.rateElsewhere(a, NONE)).toBe(0)
  })
})

describe('a source that failed', () => {
  test('is left alone for 500 ms, and longer after each further failure', () => {
    const { clock, pool } = poolOf(a)
    for (const ms of [500, 1000, 2000]) {
      used(pool.choose(1000, NONE)).failed(cut())
      const choice = pool.choose(1000, NONE)
      expect(choice).toMatchObject({ kind: 'wait', ms })
      clock.advance(ms - 1)
      expect(pool.choose(1000, NONE)).toMatchObject({ kind: 'wait', ms: 1 })
      clock.advance(1)
    }
    used(pool.choose(1000, NONE)).stored(1)
    used(pool.choose(1000, NONE)).failed(cut())
    expect(pool.choose(1000, NONE)).toMatchObject({ kind: 'wait', ms: 500 })
  })

  test('may be asked at once after its wait, even if the clock says otherwise', () => {
    const { pool } = poolOf(a)
    used(pool.choose(1000, NONE)).failed(cut())
    const choice = pool.choose(1000, NONE)
    if (choice.kind === 'wait') choice.end()
    expect(used(pool.choose(1000, NONE)).source).toBe(a)
  })

  test('is asked only for what no source without a fault has', () => {
    const { clock, pool } = poolOf(a, b)
    used(pool.choose(1000, NONE)).failed(cut())
    clock.advance(60_000)
    expect(used(pool.choose(1000, NONE)).source).toBe(b)
    expect(used(pool.choose(1000, NONE)).source).toBe(b)
    expect(used(pool.choose(1000, new Set([b]))).source).toBe(a)
  })

  test('only because it was busy keeps its good name', () => {
    const { clock, pool } = poolOf(a)
    used(pool.choose(1000, NONE)).failed(busy())
    expect(pool.choose(1000, NONE).kind).toBe('wait')
    clock.advance(60_000)
    expect(pool.report()).toMatchObject([{ faults: 1, fault: null }])
    expect(pool.rateElsewhere(b, NONE)).toBe(Infinity)
  })

  test('eight times without a slice is excluded, with the name of its first fault', () => {
    const { clock, pool } = poolOf(a)
    for (let i = 0; i < 8; i++) {
      used(pool.choose(1000, NONE)).failed(i === 0 ? new FrameInvalid('not a frame') : cut())
      clock.advance(60_000)
    }
    const choice = pool.choose(1000, NONE)
    expect(choice.kind).toBe('none')
    expect(choice.kind === 'none' && choice.error).toMatchObject({ code: 'peer-unreachable' })
    expect(pool.report()[0]?.fault?.name).toBe('bad-frame')
  })

  test('in a way that no retry mends is excluded at once', () => {
    const { clock, pool } = poolOf(a, b)
    used(pool.choose(1000, NONE)).failed(problem('grant-ended', 'The grant has ended.'))
    clock.advance(60_000)
    expect(pool.choose(1000, new Set([b])).kind).toBe('none')
    expect(pool.report()[0]).toMatchObject({ url: 'http://a.test', storeId: 'a', faults: 1, fault: { name: 'refused' } })
  })

  test('is not blamed for a failure of this store', () => {
    const { pool } = poolOf(a)
    const full = new Error('EIO')
    expect(() => used(pool.choose(1000, NONE)).failed(full)).toThrow(full)
    expect(pool.report()[0]).toMatchObject({ faults: 0, fault: null })
  })
})

test('a report counts the slices and bytes that were stored', () => {
  const { pool } = poolOf(a)
  const use = used(pool.choose(1000, NONE))
  use.stored(100)
  use.stored(50)
  expect(pool.report()).toEqual([{ url: 'http://a.test', storeId: 'a', slicesMoved: 2, bytesMoved: 150, bytesPerSecond: null, faults: 0, fault: null }])
})

describe('a question to one source after the other', () => {
  const question = (sources: readonly SliceSource[], ask: (source: SliceSource) => Promise<string>, signal = new AbortController().signal) => {
    const { clock, pool } = poolOf(...sources)
    const slept: number[] = []
    const sleep = async (ms: number): Promise<void> => {
      slept.push(ms)
      clock.advance(ms)
    }
    return { answer: askSources({ clock: { ...clock, sleep }, pool, about: 'image x', signal, ask }).catch((error: unknown) => error), slept, pool }
  }

  test('is answered by the first that can', async () => {
    const { answer, pool } = question([a, b], async (source) => {
      if (source === a) throw cut()
      return source.name
    })
    expect(await answer).toBe('b')
    expect(pool.report().map(({ faults }) => faults)).toEqual([1, 0])
  })

  test('that only one can answer waits for it and tries again', async () => {
    let asked = 0
    const { answer, slept } = question([a], async () => {
      if (++asked <= 3) throw cut()
      return 'at last'
    })
    expect(await answer).toBe('at last')
    expect(slept).toEqual([500, 1000, 2000])
  })

  test('that all lack fails with the first of them, and marks none', async () => {
    const { answer, pool, slept } = question([a, b], () => Promise.reject(lacks()))
    expect(await answer).toMatchObject({ code: 'not-found' })
    expect(String(await answer)).toContain('a.test')
    expect(pool.report().map(({ faults }) => faults)).toEqual([0, 0])
    expect(slept).toEqual([])
  })

  test('ends when its task ends', async () => {
    const controller = new AbortController()
    const { answer, pool } = question(
      [a],
      async () => {
        controller.abort(new Error('cancelled'))
        throw cut()
      },
      controller.signal,
    )
    expect(String(await answer)).toBe('Error: cancelled')
    expect(pool.report()[0]?.faults).toBe(0)
  })
})
