// Opening the sources of a task: which of several answers count, and how long the task waits for the others.

import { expect, test } from 'bun:test'
import { createPeerNetwork } from '../../../../agent/sync/peer-network.ts'
import { openSources } from '../../../../agent/sync/sources/open-sources.ts'
import type { OpenedSources } from '../../../../agent/sync/sources/open-sources.ts'
import { problemCode, ProblemError } from '../../../../protocol/problems.ts'
import type { SourceAddress } from '../../../../protocol/sync/sync.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import type { ManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { until } from '../../../support/until.ts'

const OWN_ID = '00000000-0000-4000-8000-000000000000'
const A_ID = 'aaaaaaaa-0000-4000-8000-000000000000'
const B_ID = 'bbbbbbbb-0000-4000-8000-000000000000'
const address = (last: number): SourceAddress => ({ url: `http://10.0.0.${last}:8420`, token: 't' })

/**
 * Answers as the stores of these addresses: with the id of a store, with 403 for `refuses`, and for `late` when `answer` is called. Nothing
 * listens for `away`.
 */
function setUp(
  stores: Readonly<Record<string, string>>,
  { isRerun = false } = {},
): {
  clock: ManualClock
  open: (addresses: readonly SourceAddress[], signal?: AbortSignal) => Promise<OpenedSources>
  answer: (host: string, id: string) => void
  attempts: () => number
} {
  let attempts = 0
  const clock = createManualClock()
  const waiting = new Map<string, (response: Response) => void>()
  const identity = (id: string): Response => Response.json({ id, name: 'a store', protocol: { sync: [1, 2], capabilities: [] } })
  const deps = {
    clock,
    isRerun,
    log: createMemoryLog(),
    storeId: OWN_ID,
    // The tokens of this test are not grants, so nothing is signed.
    prover: { storeId: OWN_ID, publicKey: '', sign: async () => '' },
    network: createPeerNetwork([], async (host) => [host]),
    fetch: async (url: string | URL, init?: RequestInit): Promise<Response> => {
      attempts++
      const host = new URL(url).hostname
      const store = stores[host] ?? 'refuses'
      if (store === 'away') throw Object.assign(new TypeError('connection refused'), { code: 'ConnectionRefused' })
      if (store === 'refuses') return new Response(null, { status: 403 })
      if (store !== 'late') return identity(store)
      return await new Promise((resolve, reject) => {
        waiting.set(host, resolve)
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error), { once: true })
      })
    },
  }
  return {
    clock,
    open: (addresses, signal = new AbortController().signal) => openSources(deps, addresses, signal),
    answer: (host, id) => waiting.get(host)?.(identity(id)),
    attempts: () => attempts,
  }
}

test('the others have a second after the first one, and join later if they need longer', async () => {
  const { clock, open, answer } = setUp({ '10.0.0.1': 'late', '10.0.0.2': A_ID })
  let isOpen = false
  const opening = open([address(1), address(2)]).then((opened) => {
    isOpen = true
    return opened
  })
  // Only the wait for the others sleeps.
  await clock.untilSleeping(1)
  clock.advance(999)
  await Bun.sleep(5)
  expect(isOpen).toBe(false)
  clock.advance(1)
  using opened = await opening
  expect(opened.report().map(({ url }) => url)).toEqual(['http://10.0.0.2:8420'])
  answer('10.0.0.1', B_ID)
  await until('the late one has joined', () => opened.pool.report().length === 2)
  expect(opened.report().map(({ url, storeId }) => [url, storeId])).toEqual([
    ['http://10.0.0.1:8420', B_ID],
    ['http://10.0.0.2:8420', A_ID],
  ])
})

test('nothing waits once each one has answered or failed, and a failure is reported with what it did', async () => {
  const { open } = setUp({ '10.0.0.1': 'refuses', '10.0.0.2': A_ID })
  // The clock stands still: a task that waited for the second would never begin.
  using opened = await open([address(1), address(2)])
  expect(opened.report()).toMatchObject([
    { url: 'http://10.0.0.1:8420', storeId: null, slicesMoved: 0, bytesMoved: 0, bytesPerSecond: null, faults: 1 },
    { url: 'http://10.0.0.2:8420', storeId: A_ID, slicesMoved: 0, bytesMoved: 0, faults: 0 },
  ])
})

test('a source that answers after the end does not join', async () => {
  const { clock, open, answer } = setUp({ '10.0.0.1': 'late', '10.0.0.2': A_ID })
  const opening = open([address(1), address(2)])
  await clock.untilSleeping(1)
  clock.advance(1000)
  const opened = await opening
  opened[Symbol.dispose]()
  answer('10.0.0.1', B_ID)
  await Bun.sleep(5)
  expect(opened.pool.report().map(({ storeId }) => storeId)).toEqual([A_ID])
  expect(opened.report()).toHaveLength(1)
})

test('if none can be used, the problem of the first failure is thrown', async () => {
  const { open } = setUp({})
  const failure = await open([address(1), address(2)]).catch((error: unknown) => error)
  expect(failure instanceof ProblemError && problemCode(failure.problem)).toBe('peer-refused')
})

test('this store is not a source of itself', async () => {
  const { open } = setUp({ '10.0.0.1': OWN_ID })
  const failure = await open([address(1)]).catch((error: unknown) => error)
  expect(failure instanceof ProblemError && problemCode(failure.problem)).toBe('invalid-input')
})

test('an abort ends the wait with its reason', async () => {
  const { clock, open } = setUp({ '10.0.0.1': 'late', '10.0.0.2': A_ID })
  const ended = new AbortController()
  const opening = open([address(1), address(2)], ended.signal).catch((error: unknown) => error)
  await clock.untilSleeping(1)
  ended.abort(new Error('cancelled'))
  expect(await opening).toEqual(new Error('cancelled'))
})

/** Opens a source that is away. Returns the waits between the attempts in milliseconds, and the code of the problem. */
async function waitsFor(isRerun: boolean): Promise<{ waits: readonly number[]; code: string }> {
  const { clock, open, attempts } = setUp({ '10.0.0.1': 'away' }, { isRerun })
  const waits: number[] = []
  clock.sleep = async (ms) => void waits.push(ms)
  try {
    await open([address(1)])
    return { waits, code: 'no problem' }
  } catch (error) {
    // The last wait is the one for other sources.
    return { waits: waits.slice(0, attempts() - 1), code: error instanceof ProblemError ? problemCode(error.problem) : String(error) }
  }
}

test('a new task says soon that its source does not answer', async () => {
  expect(await waitsFor(false)).toEqual({ waits: [500, 1000], code: 'peer-unreachable' })
})

test('a task that ran before waits for about six minutes, because its source may be starting too', async () => {
  const { waits, code } = await waitsFor(true)
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, ...Array.from({ length: 34 }, () => 10_000)])
  expect(code).toBe('peer-unreachable')
})
