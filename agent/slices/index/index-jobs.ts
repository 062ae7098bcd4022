// Work on the index database that would hold the event loop for seconds: done in steps when it is small, else on a thread that
// lives as long as the job.

import { errorText } from '../../../protocol/errors.ts'
import { viewFilter } from './filter.ts'
import { IndexUnusable, isIndexDamaged } from './index-unusable.ts'
import { indexFileFault } from './index-file.ts'
import { RunCursor } from './run-cursor.ts'
import { RunFile } from './run-file.ts'
import { mergeRuns } from './run-merge.ts'
import type { Merged, MergeOrder } from './run-merge.ts'

/** Rows that are worked on in steps here; more go to a thread of their own. */
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

/** What a job came to: of a merge what the new run holds, of a check what is wrong. */
export type IndexJobResult = Merged | string | undefined

export type IndexJobReply =
  | { readonly kind: 'done'; readonly result: IndexJobResult }
  | { readonly kind: 'failed'; readonly message: string; readonly isDamage: boolean }

/** Does a job here, in steps, or on a thread. Throws IndexUnusable when a run is damaged. */
export async function runIndexJob(job: IndexJob, pause: () => Promise<void>, signal: AbortSignal): Promise<IndexJobResult> {
  signal.throwIfAborted()
  if (job.runs.reduce((sum, { rows }) => sum + rows, 0) > ROWS_HERE_MAX) return runApart(job, signal)
  return doIndexJob(job, async () => {
    await pause()
    signal.throwIfAborted()
  })
}

/** Does a job on the calling thread. */
export async function doIndexJob(job: IndexJob, pause: () => Promise<void>): Promise<IndexJobResult> {
  if (job.kind === 'check') return check(job, pause)
  using stack = new DisposableStack()
  const files = job.runs.map(({ path, run }) => stack.use(RunFile.open(path, run)))
  if (job.kind === 'merge') return await mergeRuns(files, job.order, pause)
  const filter = viewFilter(job.buffer, job.capacity)
  for (const file of files) await eachRow(file, pause, (cursor) => filter.add(cursor.bytes, cursor.at))
  return undefined
}

/** The first thing that is wrong with the file of the index and its runs. */
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

async function runApart(job: IndexJob, signal: AbortSignal): Promise<IndexJobResult> {
  const worker = new Worker(new URL('./index-worker.ts', import.meta.url).href)
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
