// The rows of the index database on disk: runs, each written once, and the file that names them. New rows become a new run; runs of about the
// same size are merged in the background. So adding a row costs its share of a sequential write however large the index is, and never reads or
// changes an old run.

import { createInOrder } from '../../contract/in-order.ts'
import { IndexFile, removeFile } from './index-file.ts'
import type { Counts, IndexChange } from './index-file.ts'
import { runIndexJob } from './index-jobs.ts'
import type { IndexJob, IndexJobResult, RunPath } from './index-jobs.ts'
import type { PackName } from '../packs/pack-format.ts'
import type { RunBatch } from './run-batch.ts'
import { RunCursor } from './run-cursor.ts'
import { removeRuns, RunFile, runPath } from './run-file.ts'
import { decodeRow, REMOVED } from './run-format.ts'
import { planMerge, RunWalk } from './run-merge.ts'
import type { Merged } from './run-merge.ts'
import { RunWriter } from './run-writer.ts'
import type { Location, PackEntry, SliceRow } from '../packs/slice-row.ts'

/** Blocks read at a time from each run in a walk. */
const WALK_BLOCKS = 8

interface AgedRun {
  readonly file: RunFile
  readonly age: number
}

/** The effect of a batch of rows. */
export interface BatchChange {
  readonly rows: number
  readonly bytes: number
  /** Packs whose rows are complete on disk with this batch. */
  readonly sealed: readonly PackEntry[]
  /** Called when the rows can be found and are durable. */
  readonly onWritten?: () => void
}

/** Owns the files. Look-ups are synchronous and use a run once it is durable. */
export class StoredRows implements AsyncDisposable {
  readonly #path: string
  readonly #pause: () => Promise<void>
  #file: IndexFile
  /** Newest first. */
  #runs: readonly AgedRun[]
  #lastRun: number
  readonly #closing = new AbortController()
  /** Jobs over whole runs: one at a time. */
  readonly #jobs = createInOrder()
  #tidying: Promise<void> | undefined
  /** From the start of a rebuild until its final merge: older rows may still be added, or be in the former index. */
  #isGrowing = false
  /** Incremented by every rebuild: results of jobs that started before are discarded. */
  #epoch = 0
  /** What batches have added since the current compaction started. */
  #since = { rows: 0, bytes: 0 }

  private constructor(path: string, file: IndexFile, pause: () => Promise<void>) {
    this.#path = path
    this.#file = file
    this.#pause = pause
    this.#lastRun = file.counts.lastRun
    const stack: AgedRun[] = []
    try {
      for (const { run, age } of file.runs.values()) stack.push({ file: RunFile.open(runPath(path, run), run), age })
    } catch (error) {
      for (const { file: opened } of stack) opened[Symbol.dispose]()
      throw error
    }
    this.#runs = stack.toSorted((a, b) => b.age - a.age)
    removeRuns(path, (run) => !file.runs.has(run))
  }

  /** Opens or creates the files. Throws IndexUnusable or SQLite's error when they are damaged. */
  static open(path: string, pause: () => Promise<void>): StoredRows {
    const file = IndexFile.open(path)
    try {
      return new StoredRows(path, file, pause)
    } catch (error) {
      file[Symbol.dispose]()
      throw error
    }
  }

  /** Deletes all files of an index database. */
  static removeAt(path: string): void {
    removeFile(path)
    removeRuns(path)
  }

  get packs(): Iterable<PackEntry> {
    return this.#file.packs.values()
  }

  get counts(): Counts {
    return this.#file.counts
  }

  get runs(): RunPath[] {
    return this.#runs.map(({ file: { path, run, rows } }) => ({ path, run, rows }))
  }

  /** Returns the location of a slice, or `removed`. Throws IndexUnusable when a block that may have its row is damaged. */
  find(digest: Uint8Array): Location | 'removed' | undefined {
    const key = Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength)
    for (const { file } of this.#runs) {
      if (!file.mayHave(digest)) continue
      const found = file.find(key)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Returns rows in digest order after `after`, and the last digest examined; undefined at the end. Throws IndexUnusable at a damaged block. */
  rowsAfter(after: Uint8Array | undefined, count: number): { rows: SliceRow[]; last: Uint8Array | undefined } {
    const walk = new RunWalk(this.#runs.map(({ file }) => new RunCursor(file, WALK_BLOCKS, after)))
    const rows: SliceRow[] = []
    let seen = 0
    for (let cursor = walk.next(); cursor; cursor = walk.next()) {
      const row = decodeRow(cursor.bytes, cursor.at)
      if (row.pack !== REMOVED) rows.push(row)
      if (++seen === count) return { rows, last: row.digest }
    }
    return { rows, last: undefined }
  }

  addPack(id: number, name: PackName): void {
    this.#file.write({ packs: [{ id, name, length: 0, sealed: false }], counts: { lastPack: Math.max(id, this.counts.lastPack) } })
  }

  removePack(id: number): void {
    this.#file.write({ packsGone: [id] })
  }

  /** Marks packs as complete on disk. */
  sealPacks(sealed: readonly PackEntry[]): void {
    if (sealed.length > 0) this.#file.write({ packs: this.#existing(sealed) })
  }

  /**
   * Writes a batch as the newest or the oldest run. `changeOf` is called when the run is durable. Returns false, and drops the batch, when a
   * rebuild started meanwhile.
   */
  async append(batch: RunBatch, position: 'newest' | 'oldest', changeOf: () => BatchChange): Promise<boolean> {
    const epoch = this.#epoch
    const run = ++this.#lastRun
    const path = runPath(this.#path, run)
    {
      await using writer = await RunWriter.create(path, run, batch.rows)
      await batch.writeTo(writer)
      await writer.end()
    }
    const file = await RunFile.openAsync(path, run)
    if (epoch !== this.#epoch) {
      file.discard()
      return false
    }
    const ages = this.#runs.map(({ age }) => age)
    const age = position === 'newest' ? Math.max(0, ...ages) + 1 : Math.min(0, ...ages) - 1
    const { rows, bytes, sealed, onWritten } = changeOf()
    const counts = { rows: this.counts.rows + rows, bytes: this.counts.bytes + bytes }
    this.#swap({ file, age }, [], { packs: this.#existing(sealed), counts })
    this.#since = { rows: this.#since.rows + rows, bytes: this.#since.bytes + bytes }
    onWritten?.()
    return true
  }

  /** Merges runs until no several are of about the same size. Rejects when a merge fails; the runs then stay as they are. */
  tidy(): Promise<void> {
    this.#tidying ??= this.#mergeAsPlanned().finally(() => (this.#tidying = undefined))
    return this.#tidying
  }

  /**
   * Merges all runs into one without the rows of packs other than these, and recounts; returns how many rows were dropped. `onCounted` is called
   * in the tick in which the counts change.
   */
  compact(packs: ReadonlySet<number>, onCounted: () => void): Promise<number> {
    return this.#jobs.run(async () => {
      this.#since = { rows: 0, bytes: 0 }
      const merged = this.#runs.length > 0 ? await this.#merge(this.#runs, packs) : { rows: 0, bytes: 0, orphans: 0 }
      if (!merged) return 0
      this.#isGrowing = false
      this.#file.write({ counts: { rows: merged.rows + this.#since.rows, bytes: merged.bytes + this.#since.bytes } })
      onCounted()
      return merged.orphans
    })
  }

  /** Adds the digests of all runs to a filter. */
  fillFilter(buffer: SharedArrayBuffer, capacity: number, signal?: AbortSignal): Promise<void> {
    return this.#jobs.run(async () => void (await this.#job({ kind: 'filter', runs: this.runs, buffer, capacity }, signal)))
  }

  /** Verifies the files completely; returns the first fault, or undefined. */
  check(): Promise<string | undefined> {
    return this.#jobs.run(async () => {
      const found = await this.#job({ kind: 'check', runs: this.runs, file: this.#path })
      return typeof found === 'string' ? found : undefined
    })
  }

  /** Replaces all rows by none; the packs stay, all unsealed. Returns the former runs, which the caller must dispose of. */
  startRebuild(packs: Iterable<PackEntry>, lastPack: number): RunFile[] {
    this.#file = IndexFile.replace(this.#path, this.#file, packs, lastPack)
    this.#epoch++
    this.#isGrowing = true
    const former = this.#runs.map(({ file }) => file)
    this.#runs = []
    return former
  }

  /** Makes the file of the index durable; runs always are. */
  makeDurable(): void {
    this.#file.makeDurable()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('the index database was closed'))
    await this.#jobs.idle()
    for (const { file } of this.#runs) file[Symbol.dispose]()
    this.#file[Symbol.dispose]()
  }

  async #mergeAsPlanned(): Promise<void> {
    for (let isDone = false; !isDone;) {
      await this.#jobs.run(async () => {
        const plan = planMerge(this.#runs.map(({ file }) => file.rows))
        isDone = !plan
        if (plan) await this.#merge(this.#runs.slice(plan.from, plan.to))
      })
    }
  }

  #job(job: IndexJob, signal?: AbortSignal): Promise<IndexJobResult> {
    return runIndexJob(job, this.#pause, signal ? AbortSignal.any([this.#closing.signal, signal]) : this.#closing.signal)
  }

  /** Replaces adjacent runs by one; returns undefined when a rebuild started meanwhile. */
  async #merge(runs: readonly AgedRun[], packs?: ReadonlySet<number>): Promise<Merged | undefined> {
    const epoch = this.#epoch
    const run = ++this.#lastRun
    const path = runPath(this.#path, run)
    const isOldest = packs !== undefined || (runs.at(-1) === this.#runs.at(-1) && !this.#isGrowing)
    const order = { path, run, isOldest, ...(packs ? { packs } : {}) }
    const merged = await this.#job({ kind: 'merge', runs: runs.map(({ file }) => ({ path: file.path, run: file.run, rows: file.rows })), order })
    const file = await RunFile.openAsync(path, run)
    if (typeof merged !== 'object' || epoch !== this.#epoch) {
      file.discard()
      return undefined
    }
    this.#swap({ file, age: runs[0]?.age ?? 0 }, runs, {})
    // After a power cut the file must not name runs that were deleted. Runs that stay are deleted at the next start.
    const isDurable = await this.#file.sync().then(
      () => true,
      () => false,
    )
    for (const { file: before } of runs) {
      if (isDurable) before.discard()
      else before[Symbol.dispose]()
    }
    return merged
  }

  /** Replaces runs by one in the file, then in memory. */
  #swap(added: AgedRun, gone: readonly AgedRun[], change: IndexChange): void {
    const { file, age } = added
    try {
      this.#file.write({
        ...change,
        runs: [{ run: file.run, age }],
        runsGone: gone.map((one) => one.file.run),
        counts: { ...change.counts, lastRun: this.#lastRun },
      })
    } catch (error) {
      file.discard()
      throw error
    }
    this.#runs = [...this.#runs.filter((one) => !gone.includes(one)), added].toSorted((a, b) => b.age - a.age)
  }

  /** Drops packs that were removed while their rows were being written. */
  #existing(packs: readonly PackEntry[]): PackEntry[] {
    return packs.filter(({ id }) => this.#file.packs.has(id))
  }
}
