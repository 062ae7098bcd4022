// The pool when its threads die: no job may wait for a thread that does not exist.

import { describe, expect, test } from 'bun:test'
import { getPriority } from 'node:os'
import { PRIORITY_OF_WORK } from '../../../../agent/contract/thread-priority.ts'
import { CUTTER_DEFAULT } from '../../../../agent/slices/packs/parameters.ts'
import type { SegmentJob } from '../../../../agent/slices/write/ingest-messages.ts'
import { WorkerPool } from '../../../../agent/slices/write/worker-pool.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { until } from '../../../support/until.ts'

const segment = (): SegmentJob => ({ kind: 'segment', input: new ArrayBuffer(4096), output: new ArrayBuffer(8192), start: 0, end: 4096, last: true })

const dying = (): Worker => new Worker(URL.createObjectURL(new Blob(['throw new Error("dead on arrival")'], { type: 'text/javascript' })))

describe('worker pool', () => {
  test('refuses its jobs when no thread can be started', async () => {
    using pool = new WorkerPool({ count: 2, cutter: CUTTER_DEFAULT, log: createMemoryLog(), startWorker: dying })
    await expect(pool.run(segment()).done).rejects.toThrow(/ingest worker/)
    for (let i = 0; i < 20; i++) await expect(pool.run(segment()).done).rejects.toThrow(/ingest worker/)
  })

  test('starts 16 threads instead of those that died, and no more', async () => {
    let started = 0
    const startWorker = (): Worker => {
      started++
      return dying()
    }
    using pool = new WorkerPool({ count: 2, cutter: CUTTER_DEFAULT, log: createMemoryLog(), startWorker })
    await until(
      'no thread is left',
      async () => (await pool.run(segment()).done.catch((error: Error) => error.message)) === 'no ingest worker is running; see the log',
    )
    expect(started).toBe(2 + 16)
  })

  test('replaces a thread that died', async () => {
    let started = 0
    const startWorker = (): Worker => (started++ === 0 ? dying() : new Worker(new URL('../../../../agent/slices/write/ingest-worker.ts', import.meta.url).href))
    using pool = new WorkerPool({ count: 1, cutter: CUTTER_DEFAULT, log: createMemoryLog(), startWorker })
    await expect(pool.run(segment()).done).rejects.toThrow(/died/)
    expect((await pool.run(segment()).done).kind).toBe('done')
    expect(started).toBe(2)
  })

  test.skipIf(process.platform !== 'linux')('runs every thread at a lower priority, and its caller as before', async () => {
    const own = getPriority(0)
    const niceOf = new Map<Worker, number>()
    const startWorker = (): Worker => {
      const worker = new Worker(new URL('../../../support/machine/worker-with-priority.ts', import.meta.url).href)
      worker.addEventListener('message', ({ data }: MessageEvent<{ readonly kind: string; readonly nice: number }>) => {
        if (data.kind === 'priority') niceOf.set(worker, data.nice)
      })
      return worker
    }
    using pool = new WorkerPool({ count: 2, cutter: CUTTER_DEFAULT, log: createMemoryLog(), startWorker })
    await Promise.all([pool.run(segment()).done, pool.run(segment()).done])
    await until('both threads have said their priority', () => niceOf.size === 2)
    expect([...niceOf.values()]).toEqual([PRIORITY_OF_WORK, PRIORITY_OF_WORK])
    expect(getPriority(0)).toBe(own)
  })
})
