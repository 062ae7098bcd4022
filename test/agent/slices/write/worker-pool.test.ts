// The pool when its threads die: no job may wait for a thread that does not exist.

import { describe, expect, test } from 'bun:test'
import { getPriority } from 'node:os'
import { PRIORITY_OF_WORK } from '../../../../agent/contract/thread-priority.ts'
import { CUTTER_DEFAULT } from '../../../../agent/slices/packs/parameters.ts'
import type { SegmentJob } from '../../../../agent/slices/write/ingest-messages.ts'
import { WorkerPool } from '../../../../agent/slices/write/worker-pool.ts'
import { createFilter } from '../../../../agent/slices/index/filter.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import type { MemoryLog } from '../../../support/memory/memory-log.ts'
import { until } from '../../../support/until.ts'

const segment = (): SegmentJob => ({ kind: 'segment', input: new ArrayBuffer(4096), output: new ArrayBuffer(8192), start: 0, end: 4096, last: true })

const dying = (): Worker => new Worker(URL.createObjectURL(new Blob(['throw new Error("dead on arrival")'], { type: 'text/javascript' })))

/** A job that a scripted thread tells apart by its start. */
const numbered = (n: number): SegmentJob => ({ ...segment(), start: n })

/** A thread that does as the test says, and what it was sent. */
interface ScriptedThread {
  readonly jobs: readonly number[]
  /** Capacities of the filters that it got. */
  readonly capacities: readonly number[]
  cut(): void
  finish(): void
  fail(message: string): void
  die(): void
  isTerminated(): boolean
}

/** A pool of threads that report what they are sent, and reply as they are told. */
function scriptedPool(count: number): { pool: WorkerPool; threads: readonly ScriptedThread[]; log: MemoryLog } {
  const threads: ScriptedThread[] = []
  const script = `
    let job
    self.onmessage = ({ data }) => {
      if (data === 'die') throw new Error('dead for the test')
      if (data === 'cut') return self.postMessage({ kind: 'cut', carry: new Uint8Array([7]) })
      if (data === 'finish') return self.postMessage({ kind: 'done', input: job.input, output: job.output, table: new ArrayBuffer(0) })
      if (data.fail) return self.postMessage({ kind: 'failed', message: data.fail })
      if (data.kind === 'segment') job = data
      self.postMessage({ kind: 'seen', what: data.kind, start: data.start, capacity: data.capacity })
    }`
  const startWorker = (): Worker => {
    const worker = new Worker(URL.createObjectURL(new Blob([script], { type: 'text/javascript' })))
    const jobs: number[] = []
    const capacities: number[] = []
    let isTerminated = false
    worker.addEventListener('message', ({ data }: MessageEvent<{ kind: string; what: string; start: number; capacity: number }>) => {
      if (data.kind === 'seen' && data.what === 'segment') jobs.push(data.start)
      if (data.kind === 'seen' && data.what === 'filter') capacities.push(data.capacity)
    })
    const terminate = worker.terminate.bind(worker)
    worker.terminate = () => {
      isTerminated = true
      terminate()
    }
    const say = (message: unknown) => (): void => worker.postMessage(message)
    threads.push({
      ...{ jobs, capacities, cut: say('cut'), finish: say('finish'), die: say('die') },
      fail: (message) => worker.postMessage({ fail: message }),
      isTerminated: () => isTerminated,
    })
    return worker
  }
  const log = createMemoryLog()
  return { pool: new WorkerPool({ count, cutter: CUTTER_DEFAULT, log, startWorker }), threads, log }
}

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

  test('gives each idle thread a job, and the next ones in order when a thread is done', async () => {
    const { pool, threads } = scriptedPool(2)
    using _pool = pool
    const jobs = [1, 2, 3, 4].map((n) => pool.run(numbered(n)))
    const ended: number[] = []
    for (const [i, { done }] of jobs.entries()) void done.then(() => ended.push(i + 1))
    await until('both threads have a job', () => threads.every(({ jobs: own }) => own.length === 1))
    expect(threads.map(({ jobs: own }) => own)).toEqual([[1], [2]])
    threads[1]?.finish()
    await until('the next job', () => threads[1]?.jobs.length === 2)
    expect([threads.map(({ jobs: own }) => own), ended]).toEqual([[[1], [2, 3]], [2]])
    threads[0]?.finish()
    await until('the last job', () => threads[0]?.jobs.length === 2)
    for (const thread of threads) thread.finish()
    await Promise.all(jobs.map(({ done }) => done))
    expect(threads.map(({ jobs: own }) => own)).toEqual([
      [1, 4],
      [2, 3],
    ])
  })

  test('tells who waits for the cut before the job is done', async () => {
    const { pool, threads } = scriptedPool(1)
    using _pool = pool
    const { cut, done } = pool.run(numbered(1))
    await until('the job', () => threads[0]?.jobs.length === 1)
    threads[0]?.cut()
    expect((await cut).carry).toEqual(new Uint8Array([7]))
    threads[0]?.finish()
    expect((await done).kind).toBe('done')
  })

  test('refuses a job that a thread could not do, and uses the thread again', async () => {
    const { pool, threads, log } = scriptedPool(1)
    using _pool = pool
    const failed = pool.run(numbered(1))
    const next = pool.run(numbered(2))
    await until('the job', () => threads[0]?.jobs.length === 1)
    threads[0]?.fail('no memory')
    await expect(failed.done).rejects.toThrow('an ingest worker failed: no memory')
    await expect(failed.cut).rejects.toThrow('an ingest worker failed: no memory')
    await until('the next job', () => threads[0]?.jobs.length === 2)
    threads[0]?.finish()
    expect((await next.done).kind).toBe('done')
    expect([threads.length, log.lines.some(({ message }) => message === 'an ingest worker could not do a job')]).toEqual([1, true])
  })

  test('gives the jobs of a thread that died to none, and those that wait to its successor', async () => {
    const { pool, threads } = scriptedPool(1)
    using _pool = pool
    const lost = pool.run(numbered(1))
    const waiting = pool.run(numbered(2))
    await until('the job', () => threads[0]?.jobs.length === 1)
    threads[0]?.die()
    await expect(lost.done).rejects.toThrow('an ingest worker died')
    await until('the next job', () => threads[1]?.jobs.length === 1)
    threads[1]?.finish()
    expect((await waiting.done).kind).toBe('done')
    expect(threads.map(({ jobs: own }) => own)).toEqual([[1], [2]])
  })

  test('sends the filter to every thread, also to those that start later', async () => {
    const { pool, threads } = scriptedPool(2)
    using _pool = pool
    expect(threads.map(({ capacities }) => capacities)).toEqual([[], []])
    pool.setFilter(createFilter(5))
    await until('both have it', () => threads.every(({ capacities }) => capacities.length === 1))
    const lost = pool.run(numbered(1))
    await until('the job', () => threads.some(({ jobs: own }) => own.length === 1))
    threads.find(({ jobs: own }) => own.length === 1)?.die()
    await expect(lost.done).rejects.toThrow('died')
    await until('the successor has it too', () => threads[2]?.capacities.length === 1)
    expect(threads.map(({ capacities }) => capacities)).toEqual([[5], [5], [5]])
  })

  test('refuses what runs and what waits when it is closed, whoever waits for it or not', async () => {
    const { pool, threads } = scriptedPool(1)
    const running = pool.run(numbered(1))
    const waiting = pool.run(numbered(2))
    await until('the job', () => threads[0]?.jobs.length === 1)
    pool[Symbol.dispose]()
    for (const { done, cut } of [running, waiting]) {
      await expect(done).rejects.toThrow('the slice store was closed')
      await expect(cut).rejects.toThrow('the slice store was closed')
    }
    await expect(pool.run(numbered(3)).done).rejects.toThrow('no ingest worker is running; see the log')
    expect(threads[0]?.isTerminated()).toBe(true)
    // Nobody waits for these: that must not end the process.
    const other = scriptedPool(1)
    other.pool.run(numbered(1))
    other.pool[Symbol.dispose]()
    await new Promise((resolve) => void setImmediate(resolve))
  })

  test('lets the process end while its threads are idle, and not while they work', async () => {
    const folder = new URL('../../../../agent/slices/', import.meta.url).href
    const program = `
      const { WorkerPool } = await import('${folder}write/worker-pool.ts')
      const { CUTTER_DEFAULT } = await import('${folder}packs/parameters.ts')
      const log = { debug() {}, info() {}, warn() {}, error() {} }
      const pool = new WorkerPool({ count: 2, cutter: CUTTER_DEFAULT, log })
      const job = () => ({ kind: 'segment', input: new ArrayBuffer(4096), output: new ArrayBuffer(8192), start: 0, end: 4096, last: true })
      void pool.run(job()).done.then(() => pool.run(job()).done).then(() => console.log('both are done'))`
    const child = Bun.spawn([process.execPath, '-e', program], { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' })
    expect([await new Response(child.stdout).text(), await child.exited]).toEqual(['both are done\n', 0])
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
