// Jobs on the index database that run on a thread: the thread and what was registered for it are gone afterwards, and errors keep their kind.

import { describe, expect, test } from 'bun:test'
import { getEventListeners } from 'node:events'
import { createFilter } from '../../../../agent/slices/index/filter.ts'
import { runIndexJob } from '../../../../agent/slices/index/index-jobs.ts'
import type { IndexJob } from '../../../../agent/slices/index/index-jobs.ts'
import { IndexUnusable } from '../../../../agent/slices/index/index-unusable.ts'
import { niceOf, workerThreads } from '../../../support/machine/worker-threads.ts'
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
    const before = workerThreads()
    const worker = new Worker(new URL('../../../../agent/slices/index/index-worker.ts', import.meta.url).href)
    try {
      const { promise, resolve } = Promise.withResolvers<unknown>()
      worker.addEventListener('message', ({ data }) => resolve(data))
      worker.postMessage(jobOn('/nonexistent/1.run'))
      expect(await promise).toEqual({ kind: 'failed', message: 'run 1 of the index is gone', isDamage: true })
      expect(workerThreads(before).map(niceOf)).toEqual([19])
    } finally {
      worker.terminate()
    }
  })

  test('does not start after an abort', async () => {
    await expect(runIndexJob(jobOn('/nonexistent/1.run'), noPause, AbortSignal.abort(new Error('closed')))).rejects.toThrow('closed')
  })

  test.skipIf(process.platform !== 'linux')('ends with its thread, also when it fails', async () => {
    const before = workerThreads()
    for (let i = 0; i < 3; i++) await runIndexJob(jobOn('/nonexistent/1.run'), noPause, new AbortController().signal).catch(() => {})
    await until('the threads are gone', () => workerThreads(before).length === 0)
  })
})
