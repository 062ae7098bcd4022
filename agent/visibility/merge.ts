// Decides which runs to merge, and merges them into one. Rows of manifests that no image has any more are dropped.

import type { Digest } from '../../protocol/slices/digest.ts'
import type { Disk, DiskFile } from '../contract/disk.ts'
import { RunDamaged } from './run-file.ts'
import type { RunFile } from './run-file.ts'
import { BLOCK_BYTES, BLOCK_WORDS, blockCheck, blockCount, ROW_WORDS, ROWS_AT, rowsOfBlock } from './run-layout.ts'
import { RunWriter } from './run-writer.ts'
import type { RunTarget } from './run-writer.ts'

/** Blocks read at a time from each run: 256 KiB. */
const STRETCH_BLOCKS = 64
/** Rows merged between two pauses: a few milliseconds. */
const STEP_ROWS = 16_384
/** Runs merged at once: each needs a buffer of 256 KiB. */
export const MERGED_RUNS_MAX = 32
/** Each run has at least this many times the rows of all smaller runs together. */
const GROWTH = 2

/**
 * Returns the runs to merge, or none. After the merge each run is at least twice as long as all shorter runs together, so a store of N rows
 * has about log3 N runs at most.
 */
export function planMerge(runs: readonly RunFile[], isWanted: (manifest: Digest) => boolean): RunFile[] {
  const bySize = runs.toSorted((a, b) => a.rows - b.rows)
  let rows = 0
  let last = -1
  for (const [i, run] of bySize.entries()) {
    if (i > 0 && run.rows < GROWTH * rows) last = i
    rows += run.rows
  }
  if (last >= 0) return bySize.slice(0, Math.min(last + 1, MERGED_RUNS_MAX))
  // A run most of whose images are gone is rewritten without their rows.
  const worn = bySize.find(({ manifests }) => 2 * manifests.filter(isWanted).length < manifests.length)
  return worn ? [worn] : []
}

/** Writes one run with the rows of several runs, for the manifests of the target. Throws RunDamaged. */
export async function mergeRuns(runs: readonly RunFile[], target: RunTarget, pause: () => Promise<void>): Promise<void> {
  const numbers = new Map(target.manifests.map((manifest, i) => [manifest, i]))
  await using stack = new AsyncDisposableStack()
  const cursors: Cursor[] = []
  for (const run of runs) {
    const cursor = stack.use(
      await Cursor.open(
        target.disk,
        run,
        run.manifests.map((manifest) => numbers.get(manifest) ?? -1),
      ),
    )
    if (await cursor.next()) cursors.push(cursor)
  }
  const writer = stack.use(await RunWriter.create(target))
  let before: Row = { first: -1, second: 0, third: 0, manifest: 0 }
  for (let steps = 1; cursors.length > 0; steps++) {
    let least = cursors[0]!
    for (const cursor of cursors) if (compare(cursor, least) < 0) least = cursor
    const { first, second, third, manifest } = least
    // Two runs have the same row when a crash kept merged runs from being removed.
    if (compare(least, before) !== 0) {
      before = { first, second, third, manifest }
      if (writer.push(first, second, third, manifest)) await writer.write()
    }
    if (!least.step() && !(await least.next())) cursors.splice(cursors.indexOf(least), 1)
    if (steps % STEP_ROWS === 0) await pause()
  }
  await writer.end()
}

interface Row {
  readonly first: number
  readonly second: number
  readonly third: number
  readonly manifest: number
}

function compare(a: Row, b: Row): number {
  return a.first - b.first || a.second - b.second || a.third - b.third || a.manifest - b.manifest
}

/** Iterates over the rows of a run whose manifest is wanted; `manifest` is its number in the target. */
class Cursor implements Row, AsyncDisposable {
  first = 0
  second = 0
  third = 0
  manifest = 0
  readonly #run: RunFile
  readonly #file: DiskFile
  readonly #numbers: readonly number[]
  readonly #words = new Uint32Array(STRETCH_BLOCKS * BLOCK_WORDS)
  readonly #checks = new BigUint64Array(this.#words.buffer)
  /** First block in memory, and the number of blocks there. */
  #firstBlock = 0
  #blocks = 0
  #block = -1
  #row = 0
  #rows = 0

  private constructor(run: RunFile, file: DiskFile, numbers: readonly number[]) {
    this.#run = run
    this.#file = file
    this.#numbers = numbers
  }

  static async open(disk: Disk, run: RunFile, numbers: readonly number[]): Promise<Cursor> {
    return new Cursor(run, await disk.openRead(run.path), numbers)
  }

  /** Moves to the next row of the current block; returns false at its end. */
  step(): boolean {
    while (this.#row < this.#rows) {
      const at = (this.#block - this.#firstBlock) * BLOCK_WORDS + ROWS_AT + this.#row++ * ROW_WORDS
      const words = this.#words
      const manifest = this.#numbers[words[at + 3]!] ?? -1
      if (manifest < 0) continue
      this.first = words[at]!
      this.second = words[at + 1]!
      this.third = words[at + 2]!
      this.manifest = manifest
      return true
    }
    return false
  }

  /** Moves to the next row, in whichever block it is; returns false at the end of the run. */
  async next(): Promise<boolean> {
    while (!this.step()) {
      this.#block++
      if (this.#block >= blockCount(this.#run.rows)) return false
      if (this.#block >= this.#firstBlock + this.#blocks) await this.#read()
      this.#row = 0
      this.#rows = rowsOfBlock(this.#run.rows, this.#block)
    }
    return true
  }

  async #read(): Promise<void> {
    const { run, rows } = this.#run
    this.#firstBlock = this.#block
    this.#blocks = Math.min(STRETCH_BLOCKS, blockCount(rows) - this.#block)
    const bytes = new Uint8Array(this.#words.buffer, 0, this.#blocks * BLOCK_BYTES)
    const length = await this.#file.read(bytes, this.#block * BLOCK_BYTES)
    for (let i = 0; i < this.#blocks; i++) {
      const at = i * BLOCK_BYTES
      if (length < at + BLOCK_BYTES || this.#checks[at / 8] !== blockCheck(bytes.subarray(at, at + BLOCK_BYTES), run, this.#block + i))
        throw new RunDamaged(`block ${this.#block + i} of run ${run} is damaged`, run)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
  }
}
