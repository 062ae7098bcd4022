// Jobs on the index database that run on a thread: the thread and what was registered for it are gone afterwards, and errors keep their kind.

import { describe, expect, test } from 'bun:test'
import { getEventListeners } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createFilter } from '../../../../agent/slices/index/filter.ts'
import { runIndexJob } from '../../../../agent/slices/index/index-jobs.ts'
import type { IndexJob } from '../../../../agent/slices/index/index-jobs.ts'
import { IndexUnusable } from '../../../../agent/slices/index/index-unusable.ts'
import { until } from '../../../support/until.ts'

const { buffer, capacity } = createFilter(1)
/** More rows than a job may have on the calling thread: this number alone decides where it runs. */
const ROWS = 10_000_000

function jobOn(path: string): IndexJob {
  return { kind: 'filter', runs: [{ path, run: 1, rows: ROWS }], buffer, capacity }
}

const noPause = async (): Promise<void> => {
  throw new Error('a job on a thread does not pause its caller')
}

/** Threads of this process that run a worker, as Linux names them (proc(5)). */
function workerThreads(): string[] {
  return readdirSync('/proc/self/task').filter((id) => threadName(id) === 'Worker')
}

function threadName(id: string): string {
  try {
    return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim()
  } catch {
    // The thread has ended.
    return ''
  }
}

describe('a job on a thread', () => {
  test('that fails for another reason than damage says so, and leaves no listener', async () => {
    const controller = new AbortController()
    const error = await runIndexJob(jobOn('/dev/null/1.run'), noPause, controller.signal).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(Error)
    expect(error).not.toBeInstanceOf(IndexUnusable)
    expect(String(error)).toContain('ENOTDIR')
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
  })

  test('that dies says so', async () => {
    const dying = (): Worker => new Worker(URL.createObjectURL(new Blob(['throw new Error("dead on arrival")'], { type: 'text/javascript' })))
    const job = runIndexJob(jobOn('/dev/null/1.run'), noPause, new AbortController().signal, dying)
    await expect(job).rejects.toThrow(/^a thread of the index database died: .*dead on arrival/)
  })

  test.skipIf(process.platform !== 'linux')('has the lowest priority', async () => {
    await until('the threads of other tests are gone', () => workerThreads().length === 0, 10_000)
    const worker = new Worker(new URL('../../../../agent/slices/index/index-worker.ts', import.meta.url).href)
    try {
      const { promise, resolve } = Promise.withResolvers<unknown>()
      worker.addEventListener('message', ({ data }) => resolve(data))
      worker.postMessage(jobOn('/nonexistent/1.run'))
      expect(await promise).toEqual({ kind: 'failed', message: 'run 1 of the index is gone', isDamage: true })
      // The 19th field is the nice value (proc(5), /proc/pid/stat); the second is the name in parentheses.
      const nice = workerThreads().map((id) => readFileSync(`/proc/self/task/${id}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[16])
      expect(nice).toEqual(['19'])
    } finally {
      worker.terminate()
    }
  })

  test('does not start after an abort', async () => {
    await expect(runIndexJob(jobOn('/nonexistent/1.run'), noPause, AbortSignal.abort(new Error('closed')))).rejects.toThrow('closed')
  })

  test.skipIf(process.platform !== 'linux')('ends with its thread, also when it fails', async () => {
    for (let i = 0; i < 3; i++) await runIndexJob(jobOn('/nonexistent/1.run'), noPause, new AbortController().signal).catch(() => {})
    await until('the threads are gone', () => workerThreads().length === 0, 10_000)
  })
})
