// The runs of the visibility index in their folder. Each manifest is in one run, and a run lists its manifests, so the files in the folder are
// the complete state. It can be rebuilt from the manifests at any time.

import { join } from 'node:path'
import type { Digest } from '../../protocol/slices/digest.ts'
import type { Disk } from '../contract/disk.ts'
import type { Log } from '../contract/runtime.ts'
import { mergeRuns, planMerge } from './merge.ts'
import { RunDamaged, RunFile } from './run-file.ts'
import { RunWriter } from './run-writer.ts'
import { sortedFingerprints } from './sort.ts'
import type { ReadWindows } from './sort.ts'

const RUN_NAME = /^(\d+)\.run$/
/** Rows written between two pauses. */
const STEP_ROWS = 16_384

export interface RunSetDeps {
  readonly disk: Disk
  readonly log: Log
  /** Folder of the runs, on the node. */
  readonly folder: string
  /** Lets other work on the event loop run first; throws when the set is being closed. */
  readonly pause: () => Promise<void>
}

/** Owns the open runs. */
export class RunSet implements AsyncDisposable {
  readonly #deps: RunSetDeps
  #runs: readonly RunFile[] = []
  /** The number of runs that each manifest is in: usually one. */
  readonly #indexed = new Map<Digest, number>()
  #generation = 0
  #nextRun = 1
  readonly #removals = new Set<Promise<void>>()

  private constructor(deps: RunSetDeps) {
    this.#deps = deps
  }

  /** Opens the runs in the folder; removes files that are not whole runs. */
  static async open(deps: RunSetDeps): Promise<RunSet> {
    const { disk, folder, log } = deps
    const set = new RunSet(deps)
    await disk.makeFolder(folder)
    const runs: RunFile[] = []
    for (const name of await disk.list(folder)) {
      const number = Number(RUN_NAME.exec(name)?.[1] ?? Number.NaN)
      try {
        if (Number.isNaN(number)) throw new RunDamaged('it is not a run')
        const run = await RunFile.open(disk, join(folder, name))
        runs.push(run)
        if (run.run !== number) throw new RunDamaged(`it is run ${run.run}`)
        set.#nextRun = Math.max(set.#nextRun, number + 1)
      } catch (error) {
        log.warn('a file of the visibility index is not a whole run and is removed', { name, error })
        await disk.removeTree(join(folder, name))
      }
    }
    // Newest first: a crash may have left runs that were already merged into a newer one.
    const kept: RunFile[] = []
    const seen = new Set<Digest>()
    for (const run of runs.toSorted((a, b) => b.run - a.run)) {
      if (run.manifests.every((manifest) => seen.has(manifest))) set.#remove(run)
      else kept.push(run)
      for (const manifest of run.manifests) seen.add(manifest)
    }
    set.#replace([], kept)
    return set
  }

  /** The runs, longest first. */
  get runs(): readonly RunFile[] {
    return this.#runs
  }

  /** Changes whenever `runs` does. */
  get generation(): number {
    return this.#generation
  }

  has(manifest: Digest): boolean {
    return this.#indexed.has(manifest)
  }

  /** Indexes a manifest. Durable when it resolves. */
  async add(manifest: Digest, read: ReadWindows): Promise<void> {
    const { disk, pause } = this.#deps
    const target = this.#target([manifest])
    {
      await using writer = await RunWriter.create(target)
      for await (const words of sortedFingerprints(read, pause)) {
        for (let at = 0; at < words.length; at += 3) {
          if (writer.push(words[at]!, words[at + 1]!, words[at + 2]!, 0)) await writer.write()
          if ((at / 3 + 1) % STEP_ROWS === 0) await pause()
        }
      }
      await writer.end()
    }
    const run = await RunFile.open(disk, target.path)
    this.#replace([], [run])
  }

  /** Performs one merge if one is needed; returns whether it did. */
  async mergeSome(isWanted: (manifest: Digest) => boolean): Promise<boolean> {
    const { disk, pause, log } = this.#deps
    for (const run of this.#runs) if (!run.manifests.some(isWanted)) this.discard(run)
    const runs = planMerge(this.#runs, isWanted)
    if (runs.length === 0) return false
    const target = this.#target([...new Set(runs.flatMap(({ manifests }) => manifests.filter(isWanted)))])
    await mergeRuns(runs, target, pause)
    const merged = await RunFile.open(disk, target.path)
    if (!runs.every((run) => this.#runs.includes(run))) {
      // One of them was found damaged during the merge: the result is not trusted.
      merged[Symbol.dispose]()
      await disk.remove(target.path)
      return true
    }
    this.#replace(runs, [merged])
    for (const run of runs) this.#remove(run)
    log.debug('runs of the visibility index were merged', { runs: runs.length, rows: merged.rows })
    return true
  }

  /** Removes a run and its file; its manifests are no longer indexed. */
  discard(run: RunFile): void {
    if (!this.#runs.includes(run)) return
    this.#replace([run], [])
    this.#remove(run)
  }

  /** Resolves when the files of all removed runs are deleted. */
  async removed(): Promise<void> {
    await Promise.all(this.#removals)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const run of this.#runs) run[Symbol.dispose]()
    await this.removed()
  }

  #target(manifests: readonly Digest[]): { disk: Disk; path: string; run: number; manifests: readonly Digest[] } {
    const run = this.#nextRun++
    return { disk: this.#deps.disk, path: join(this.#deps.folder, `${run}.run`), run, manifests }
  }

  /** Replaces runs by others. */
  #replace(former: readonly RunFile[], next: readonly RunFile[]): void {
    for (const { manifests } of next) for (const manifest of manifests) this.#indexed.set(manifest, (this.#indexed.get(manifest) ?? 0) + 1)
    for (const { manifests } of former) {
      for (const manifest of manifests) {
        const count = (this.#indexed.get(manifest) ?? 0) - 1
        if (count > 0) this.#indexed.set(manifest, count)
        else this.#indexed.delete(manifest)
      }
    }
    this.#runs = [...this.#runs.filter((run) => !former.includes(run)), ...next].toSorted((a, b) => b.rows - a.rows)
    this.#generation++
  }

  #remove(run: RunFile): void {
    run[Symbol.dispose]()
    const removal = this.#deps.disk
      .remove(run.path)
      // The next start removes the file, or uses it: its rows are still true.
      .catch((error: unknown) => this.#deps.log.warn('a run of the visibility index could not be removed', { path: run.path, error }))
      .finally(() => this.#removals.delete(removal))
    this.#removals.add(removal)
  }
}
