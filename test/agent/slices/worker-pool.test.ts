// The pool when its threads die: no job may wait for a thread that is not there.

import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { PRIORITY_OF_WORK } from '../../../agent/contract/thread-priority.ts'
import { CUTTER_DEFAULT } from '../../../agent/slices/parameters.ts'
import type { SegmentJob } from '../../../agent/slices/ingest-messages.ts'
import { WorkerPool } from '../../../agent/slices/worker-pool.ts'
import { createMemoryLog } from '../../support/memory-log.ts'

const segment = (): SegmentJob => ({ kind: 'segment', input: new ArrayBuffer(4096), output: new ArrayBuffer(8192), start: 0, end: 4096, last: true })

const dying = (): Worker => new Worker(URL.createObjectURL(new Blob(['throw new Error("dead on arrival")'], { type: 'text/javascript' })))

describe('worker pool', () => {
  test('refuses its jobs when no thread comes to life', async () => {
    using pool = new WorkerPool({ count: 2, cutter: CUTTER_DEFAULT, log: createMemoryLog(), startWorker: dying })
    await expect(pool.run(segment()).done).rejects.toThrow(/ingest worker/)
    for (let i = 0; i < 20; i++) await expect(pool.run(segment()).done).rejects.toThrow(/ingest worker/)
  })

  test('puts a new thread in the place of one that died', async () => {
    let started = 0
    const startWorker = (): Worker => (started++ === 0 ? dying() : new Worker(new URL('../../../agent/slices/ingest-worker.ts', import.meta.url).href))
    using pool = new WorkerPool({ count: 1, cutter: CUTTER_DEFAULT, log: createMemoryLog(), startWorker })
    await expect(pool.run(segment()).done).rejects.toThrow(/died/)
    expect((await pool.run(segment()).done).kind).toBe('done')
    expect(started).toBe(2)
  })

  test.skipIf(process.platform !== 'linux')('runs its threads, and no others, at a lower priority', async () => {
    // The nice value is field 19 of a thread's stat, counted after its name in brackets (proc(5)).
    const niceOf = (thread: string): number => Number(readFileSync(`/proc/self/task/${thread}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[16])
    const before = new Set(readdirSync('/proc/self/task'))
    const own = niceOf(String(process.pid))
    using pool = new WorkerPool({ count: 2, cutter: CUTTER_DEFAULT, log: createMemoryLog() })
    await Promise.all([pool.run(segment()).done, pool.run(segment()).done])
    const lowered = readdirSync('/proc/self/task').filter((thread) => !before.has(thread) && niceOf(thread) === PRIORITY_OF_WORK)
    expect(lowered).toHaveLength(2)
    expect(niceOf(String(process.pid))).toBe(own)
  })
})
