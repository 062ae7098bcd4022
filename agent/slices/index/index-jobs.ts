// Jobs on the index database that would block the event loop for seconds: a small one runs in steps, a large one on a thread that is started
// for it.

import { errorText } from '../../../protocol/errors.ts'
import { viewFilter } from './filter.ts'
import { IndexUnusable, isIndexDamaged } from './index-unusable.ts'
import { indexFileFault } from './index-file.ts'
import { RunCursor } from './run-cursor.ts'
import { RunFile } from './run-file.ts'
import { mergeRuns } from './run-merge.ts'
import type { Merged, MergeOrder } from './run-merge.ts'

/** Up to this many rows a job runs in steps on the calling thread. */
const ROWS_HERE_MAX = 256 * 1024
/** Rows between two pauses. */
const STEP_ROWS = 8 * 1024
const BLOCKS_AT_ONCE = 64

/** A run by its file. */
export interface RunPath {
  readonly path: string
  readonly run: number
  readonly rows: number
}

export type IndexJob =
  | { readonly kind: 'merge'; readonly runs: readonly RunPath[]; readonly order: MergeOrder }
  | { readonly kind: 'filter'; readonly runs: readonly RunPath[]; readonly buffer: SharedArrayBuffer; readonly capacity: number }
  | { readonly kind: 'check'; readonly runs: readonly RunPath[]; readonly file: string }

/** Result of a job: for a merge, the totals of the new run; for a check, the first fault. */
export type IndexJobResult = Merged | string | undefined

export type IndexJobReply =
  | { readonly kind: 'done'; readonly result: IndexJobResult }
  | { readonly kind: 'failed'; readonly message: string; readonly isDamage: boolean }

/** Runs a job in steps, or on a thread of its own that `startWorker` starts. Throws IndexUnusable when a run is damaged. */
export async function runIndexJob(
  job: IndexJob,
  pause: () => Promise<void>,
  signal: AbortSignal,
  startWorker: () => Worker = startIndexWorker,
): Promise<IndexJobResult> {
  signal.throwIfAborted()
  if (job.runs.reduce((sum, { rows }) => sum + rows, 0) > ROWS_HERE_MAX) return runOnThread(job, startWorker(), signal)
  return doIndexJob(job, async () => {
    await pause()
    signal.throwIfAborted()
  })
}

/** Runs a job on the calling thread. */
export async function doIndexJob(job: IndexJob, pause: () => Promise<void>): Promise<IndexJobResult> {
  if (job.kind === 'check') return check(job, pause)
  using stack = new DisposableStack()
  const files = job.runs.map(({ path, run }) => stack.use(RunFile.open(path, run)))
  if (job.kind === 'merge') return await mergeRuns(files, job.order, pause)
  const filter = viewFilter(job.buffer, job.capacity)
  for (const file of files) await eachRow(file, pause, (cursor) => filter.add(cursor.bytes, cursor.at))
  return undefined
}

/** Verifies the file of the index and its runs; returns the first fault, or undefined. */
async function check({ file, runs }: { file: string; runs: readonly RunPath[] }, pause: () => Promise<void>): Promise<string | undefined> {
  const fault = indexFileFault(file)
  if (fault !== undefined) return fault
  try {
    for (const { path, run } of runs) {
      using opened = RunFile.open(path, run)
      const before = Buffer.alloc(32)
      let rows = 0
      await eachRow(opened, pause, ({ bytes, at }) => {
        if (rows++ > 0 && bytes.compare(before, 0, 32, at, at + 32) <= 0) throw new IndexUnusable(`run ${run} of the index is not in order`)
        bytes.copy(before, 0, at, at + 32)
      })
    }
  } catch (error) {
    if (!isIndexDamaged(error)) throw error
    return errorText(error)
  }
  return undefined
}

async function eachRow(file: RunFile, pause: () => Promise<void>, run: (cursor: RunCursor) => void): Promise<void> {
  const cursor = new RunCursor(file, BLOCKS_AT_ONCE)
  for (let rows = 1; cursor.isOpen; rows++, cursor.advance()) {
    run(cursor)
    if (rows % STEP_ROWS === 0) await pause()
  }
}

function startIndexWorker(): Worker {
  return new Worker(new URL('./index-worker.ts', import.meta.url).href)
}

async function runOnThread(job: IndexJob, worker: Worker, signal: AbortSignal): Promise<IndexJobResult> {
  const { promise, resolve, reject } = Promise.withResolvers<IndexJobReply>()
  const stop = (): void => reject(signal.reason)
  try {
    worker.addEventListener('message', (event: MessageEvent<IndexJobReply>) => resolve(event.data))
    worker.addEventListener('error', (event) => reject(new Error(`a thread of the index database died: ${event.message}`)))
    signal.addEventListener('abort', stop)
    worker.postMessage(job)
    const reply = await promise
    if (reply.kind === 'done') return reply.result
    throw reply.isDamage ? new IndexUnusable(reply.message) : new Error(reply.message)
  } finally {
    signal.removeEventListener('abort', stop)
    worker.terminate()
  }
}
