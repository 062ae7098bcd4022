// When passes of healing run: soon after damage is found, with pauses between them, and later and later while something is left.

import { describe, expect, test } from 'bun:test'
import type { Origin } from '../../../../agent/contract/origins.ts'
import type { TaskRunner } from '../../../../agent/contract/work.ts'
import { createHealing } from '../../../../agent/sync/heal/healing.ts'
import type { HealingDeps } from '../../../../agent/sync/heal/healing.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const HOUR = 3_600_000
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
}

/** A store whose damage the test sets. A pass leaves what is in `damaged`, because no origin answers. Tasks run at once. */
function open(settings: { readonly origins?: number } = {}) {
  const clock = createManualClock()
  const state = { damaged: 0, quarantined: 0, origins: settings.origins ?? 1, isFull: false, hold: Promise.resolve() }
  const orders: unknown[] = []
  /** Times at which passes began, in milliseconds. */
  const passes: number[] = []
  let ended = 0
  let healed = 0
  let runner: TaskRunner = () => Promise.reject(new Error('no runner'))
  const listeners = new Set<(origin: Origin) => void>()
  const signal = new AbortController().signal
  const run = async (): Promise<unknown> => {
    passes.push(clock.monotonicMs())
    return await runner({}, { taskId: 'tsk_1', signal, isRerun: false, resultSoFar: () => {}, progress: () => {} }).finally(() => ended++)
  }
  const deps = {
    clock,
    log: createMemoryLog(),
    emit: () => {},
    storeId: 'own',
    subject: 'the store',
    crashPoint: () => {},
    openShare: () => ({ [Symbol.dispose]() {} }),
    copyAgain: async () => false,
    healed: () => void healed++,
    tasks: {
      register: (_kind: string, one: TaskRunner) => void (runner = one),
      async start(order: unknown) {
        if (state.isFull) throw new Error('the queue is full')
        orders.push(order)
        void run().catch(() => {})
      },
    },
    origins: {
      list: () => Array.from({ length: state.origins }, () => ({ name: 'hub' })),
      usable: async () => [],
      onReachable(listener: (origin: Origin) => void) {
        listeners.add(listener)
        return { [Symbol.dispose]: () => void listeners.delete(listener) }
      },
    },
    slices: {
      quarantined: () => Array.from({ length: state.quarantined }, () => ({ digest: `sha256:${'0'.repeat(64)}` })),
      missing: () => [],
      settleQuarantine: async () => {},
    },
    images: {
      damageMarked: () => state.hold,
      damagedImages: () => Array.from({ length: state.damaged }, () => ({ image: { id: 'img_1', name: 'one' }, damage: 'manifest' })),
    },
    space: { isBelowReserve: async () => false },
  } as unknown as HealingDeps
  const healing = createHealing(deps)
  return {
    state,
    orders,
    passes,
    healing,
    run,
    ended: () => ended,
    healed: () => healed,
    listeners,
    comesBack: () => listeners.forEach((listen) => listen({} as Origin)),
    async advance(ms: number) {
      clock.advance(ms)
      await turns()
    },
  }
}

describe('a start', () => {
  test.each([
    ['without damage starts no pass', 0, 0, 0],
    ['with a damaged slice starts one', 1, 0, 1],
    ['with a damaged image starts one', 0, 1, 1],
  ])('%s', async (_what, quarantined, damaged, expected) => {
    const { state, healing, orders } = open()
    Object.assign(state, { quarantined, damaged })
    healing.start()
    await turns()
    const order = { kind: 'heal', subject: 'the store', createdBy: 'healing', params: {}, key: 'heal' }
    expect(orders).toEqual(Array.from({ length: expected }, () => order))
  })

  test('is waited for by damage that was reported before it', async () => {
    const { healing, passes } = open()
    healing.wake()
    await turns()
    expect(passes).toEqual([])
    healing.start()
    await turns()
    expect(passes).toEqual([0])
  })
})

describe('without a store to repair from', () => {
  test('no task is started, and one that an operator starts fails with what to do', async () => {
    const { healing, passes, run } = open({ origins: 0 })
    healing.start()
    healing.wake()
    await turns()
    expect(passes).toEqual([])
    expect(await run().catch((error: unknown) => error)).toMatchObject({ code: 'origin-unreachable' })
  })
})

describe('a pass', () => {
  test('that leaves nothing says so, also to what waits for that', async () => {
    const { state, healing, healed, ended, advance } = open()
    healing.start()
    healing.wake()
    await turns()
    expect([ended(), healed()]).toEqual([1, 1])
    // Something was damaged while it ran.
    state.quarantined = 1
    healing.wake()
    await advance(5000)
    expect([ended(), healed()]).toEqual([2, 1])
  })

  test('comes five seconds after the one before it, however often damage is reported meanwhile', async () => {
    const { state, healing, passes, ended, advance } = open()
    const { promise, resolve } = Promise.withResolvers<void>()
    state.hold = promise
    healing.start()
    healing.wake()
    await turns()
    expect(passes).toEqual([0])
    await advance(1000)
    healing.wake()
    healing.wake()
    await turns()
    expect([passes, ended()]).toEqual([[0], 0])
    resolve()
    await turns()
    healing.wake()
    await advance(4999)
    expect([passes, ended()]).toEqual([[0], 1])
    await advance(1)
    expect(passes).toEqual([0, 6000])
    // Nothing was reported since.
    await advance(24 * HOUR)
    expect(passes).toEqual([0, 6000])
  })

  test('that left something comes again after a minute, then after twice as long, and after six hours at most', async () => {
    const { state, healing, passes, advance } = open()
    state.damaged = 1
    healing.start()
    await turns()
    const waits = [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360].map((minutes) => minutes * 60_000)
    let atMs = 0
    const expected = [0]
    for (const wait of waits) {
      await advance(wait - 1)
      expect(passes).toEqual(expected)
      await advance(1)
      atMs += wait
      expected.push(atMs)
      expect(passes).toEqual(expected)
    }
    // A pass that leaves nothing ends the growth.
    state.damaged = 0
    await advance(6 * HOUR)
    atMs += 6 * HOUR
    state.damaged = 1
    healing.wake()
    await advance(5000)
    await advance(59_999)
    expect(passes.slice(expected.length)).toEqual([atMs, atMs + 5000])
    await advance(1)
    expect(passes.slice(expected.length)).toEqual([atMs, atMs + 5000, atMs + 65_000])
  })

  test.each([
    ['new damage', ({ healing }: ReturnType<typeof open>) => healing.wake()],
    ['an origin that came back', ({ comesBack }: ReturnType<typeof open>) => comesBack()],
  ])('that left something comes sooner for %s', async (_what, happens) => {
    const stage = open()
    stage.state.damaged = 1
    stage.healing.start()
    await turns()
    await stage.advance(1000)
    happens(stage)
    await stage.advance(3999)
    expect(stage.passes).toEqual([0])
    await stage.advance(1)
    expect(stage.passes).toEqual([0, 5000])
  })

  test('does not come for an origin that came back while nothing is damaged', async () => {
    const { healing, passes, comesBack, advance } = open()
    healing.start()
    comesBack()
    await advance(HOUR)
    expect(passes).toEqual([])
  })

  test('that could not be started comes with the next damage', async () => {
    const { state, healing, passes, advance } = open()
    state.isFull = true
    healing.start()
    healing.wake()
    await turns()
    state.isFull = false
    await advance(HOUR)
    expect(passes).toEqual([])
    healing.wake()
    await turns()
    expect(passes).toEqual([HOUR])
  })
})

test('after the end no pass is started, and no origin is listened to', async () => {
  const { state, healing, passes, listeners, advance } = open()
  state.damaged = 1
  healing.start()
  await turns()
  healing[Symbol.dispose]()
  healing.wake()
  await advance(24 * HOUR)
  expect([passes, listeners.size]).toEqual([[0], 0])
})
