// Worker pool of ingest: a fixed number of threads, each running one job at a time, in the order in which jobs were submitted.

import type { Log } from '../../contract/runtime.ts'
import type { Filter } from '../index/filter.ts'
import type { JobDone, SegmentCut, SegmentJob, StoreJob, WorkerReply, WorkerRequest } from './ingest-messages.ts'
import type { CutterParameters } from '../../../protocol/slices/cutter.ts'

/** A job in progress. `cut` resolves early, `done` at the end; `cut` of a store job never resolves. */
export interface RunningJob {
  readonly cut: Promise<SegmentCut>
  readonly done: Promise<JobDone>
}

interface QueuedJob {
  readonly job: SegmentJob | StoreJob
  readonly cut: PromiseWithResolvers<SegmentCut>
  readonly done: PromiseWithResolvers<JobDone>
}

/** Dead threads that a pool replaces in its life. */
const REPLACEMENTS_MAX = 16

export interface WorkerPoolOptions {
  readonly count: number
  readonly cutter: CutterParameters
  readonly log: Log
  /** Starts a thread; by default, one that runs `ingest-worker.ts`. */
  readonly startWorker?: () => Worker
}

/** Owns the threads. */
export class WorkerPool implements Disposable {
  /** Every thread with its job; undefined for an idle one. */
  readonly #threads = new Map<Worker, QueuedJob | undefined>()
  readonly #queue: QueuedJob[] = []
  readonly #log: Log

  readonly #options: WorkerPoolOptions
  #filter: Filter | undefined
  #replacements = 0

  constructor(options: WorkerPoolOptions) {
    this.#log = options.log
    this.#options = options
    for (let i = 0; i < options.count; i++) this.#start()
  }

  /** Sends the filter to every worker. Without a filter, workers treat every slice as one that may be stored. */
  setFilter(filter: Filter): void {
    this.#filter = filter
    for (const worker of this.#threads.keys()) postFilter(worker, filter)
  }

  /** Submits a job; its buffers are transferred to a worker. */
  run(job: SegmentJob | StoreJob): RunningJob {
    const queued: QueuedJob = { job, cut: Promise.withResolvers(), done: Promise.withResolvers() }
    // Callers that await these see the failure; a disposed ingest does not await them.
    queued.cut.promise.catch(() => {})
    queued.done.promise.catch(() => {})
    this.#queue.push(queued)
    this.#assign()
    return { cut: queued.cut.promise, done: queued.done.promise }
  }

  [Symbol.dispose](): void {
    const error = new Error('the slice store was closed')
    for (const [worker, job] of this.#threads) {
      worker.terminate()
      if (job) refuse(job, error)
    }
    this.#threads.clear()
    this.#refuseAll(error)
  }

  #start(): void {
    const worker = this.#options.startWorker?.() ?? new Worker(new URL('./ingest-worker.ts', import.meta.url).href)
    worker.addEventListener('message', (event: MessageEvent<WorkerReply>) => this.#reply(worker, event.data))
    worker.addEventListener('error', (event) => this.#replace(worker, event.message))
    // An idle thread must not keep the process alive.
    worker.unref()
    post(worker, { kind: 'start', cutter: this.#options.cutter }, [])
    if (this.#filter) postFilter(worker, this.#filter)
    this.#threads.set(worker, undefined)
  }

  /** Replaces a thread that died, and refuses its job. Stops replacing after REPLACEMENTS_MAX. */
  #replace(worker: Worker, message: string): void {
    const job = this.#threads.get(worker)
    if (!this.#threads.delete(worker)) return
    worker.terminate()
    this.#log.error('an ingest worker died', { reason: message, replacements: this.#replacements })
    if (job) refuse(job, new Error(`an ingest worker died: ${message}`))
    if (this.#replacements++ < REPLACEMENTS_MAX) this.#start()
    this.#assign()
  }

  #refuseAll(error: Error): void {
    for (const job of this.#queue.splice(0)) refuse(job, error)
  }

  /** Gives jobs that wait to idle threads. */
  #assign(): void {
    if (this.#threads.size === 0) this.#refuseAll(new Error('no ingest worker is running; see the log'))
    for (const [worker, running] of this.#threads) {
      const next = running ? undefined : this.#queue.shift()
      if (!next) continue
      this.#threads.set(worker, next)
      worker.ref()
      const { job } = next
      post(worker, job, job.kind === 'segment' ? [job.input, job.output] : [job.input, job.output, job.table])
    }
  }

  #reply(worker: Worker, reply: WorkerReply): void {
    switch (reply.kind) {
      case 'cut':
        this.#threads.get(worker)?.cut.resolve(reply)
        return
      case 'done':
        this.#release(worker)?.done.resolve(reply)
        return
      case 'failed':
        this.#fail(worker, reply.message)
        return
      default:
        reply satisfies never
    }
  }

  /** Refuses a job that failed; its thread remains usable. */
  #fail(worker: Worker, message: string): void {
    this.#log.error('an ingest worker could not do a job', { reason: message })
    const job = this.#release(worker)
    if (job) refuse(job, new Error(`an ingest worker failed: ${message}`))
  }

  /** Makes the thread of a job that ended idle, and gives it the next one; returns the job. */
  #release(worker: Worker): QueuedJob | undefined {
    const job = this.#threads.get(worker)
    if (!job) return undefined
    this.#threads.set(worker, undefined)
    worker.unref()
    this.#assign()
    return job
  }
}

function refuse(job: QueuedJob, error: Error): void {
  job.cut.reject(error)
  job.done.reject(error)
}

function postFilter(worker: Worker, { buffer, capacity }: Filter): void {
  post(worker, { kind: 'filter', buffer, capacity }, [])
}

function post(worker: Worker, message: WorkerRequest, transfer: ArrayBuffer[]): void {
  worker.postMessage(message, transfer)
}
