// The limits of failures of a source: a line that is cut again and again does not exclude a source that delivers between two cuts.

import { expect, test } from 'bun:test'
import type { SliceSource } from '../../../../agent/sync/sources/connect.ts'
import { createSourcePool } from '../../../../agent/sync/sources/source-pool.ts'
import type { SourcePool, SourceUse } from '../../../../agent/sync/sources/source-pool.ts'
import { createAgentClient } from '../../../../protocol/client/client.ts'
import { FrameInvalid } from '../../../../protocol/slices/frames.ts'
import { problem } from '../../../../protocol/problems.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import type { ManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const NONE: ReadonlySet<SliceSource> = new Set()
const SOURCE: SliceSource = {
  name: 'store',
  url: 'http://source.test',
  storeId: 'a',
  version: 2,
  client: createAgentClient({ baseUrl: 'http://source.test', token: 't' }),
}
const cut = (): Error => problem('peer-unreachable', 'The answer broke off.', { fault: 'cut' })

function setUp(): { clock: ManualClock; pool: SourcePool; use: () => SourceUse } {
  const clock = createManualClock()
  const pool = createSourcePool({ clock, log: createMemoryLog() })
  pool.add(SOURCE, 0)
  return {
    clock,
    pool,
    use() {
      const choice = pool.choose(1000, NONE)
      if (choice.kind !== 'use') throw new Error(`the pool chose ${choice.kind}`)
      return choice.use
    },
  }
}

test('requests that a cut ends together count as one failure', () => {
  const { clock, pool, use } = setUp()
  for (let cuts = 1; cuts <= 7; cuts++) {
    const inFlight = Array.from({ length: 16 }, use)
    for (const one of inFlight) one.failed(cut())
    for (const one of inFlight) one[Symbol.dispose]()
    clock.advance(10_000)
    expect(pool.choose(1000, NONE).kind).toBe('use')
  }
  use().failed(cut())
  clock.advance(10_000)
  expect(pool.choose(1000, NONE).kind).toBe('none')
})

test('a source that delivers between cuts is never excluded for them', () => {
  const { clock, pool, use } = setUp()
  for (let cuts = 1; cuts <= 100; cuts++) {
    using one = use()
    one.stored(1)
    one.failed(cut())
    clock.advance(10_000)
  }
  expect(pool.choose(1000, NONE).kind).toBe('use')
})

test('a source that delivers is excluded for its 17th invalid answer, or later if it has sent 4 MiB more', () => {
  for (const [bytes, most] of [
    [1, 17],
    [4 * 1024 * 1024, 18],
  ] as const) {
    const { clock, pool, use } = setUp()
    use().stored(bytes - 1)
    for (let answers = 1; answers <= most; answers++) {
      using one = use()
      one.stored(answers === 1 ? 1 : 0)
      one.failed(new FrameInvalid('not a frame'))
      clock.advance(10_000)
    }
    expect(pool.choose(1000, NONE).kind).toBe('none')
    expect(pool.report()[0]?.faults).toBe(most)
  }
})
