// A run that is open for look-ups and iteration. Reads are synchronous: one block is 4 KiB, usually in the page cache.

import { closeSync, fstatSync, openSync, readdirSync, readSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { hasCode } from '../../../protocol/errors.ts'
import { viewFilter } from './filter.ts'
import type { Filter } from './filter.ts'
import { IndexUnusable } from './index-unusable.ts'
import {
  blockCheck,
  blockCount,
  decodeLocation,
  packAt,
  prefixAt,
  readRunTrailer,
  REMOVED,
  rowsOfBlock,
  RUN_BLOCK_BYTES,
  RUN_CHECK_BYTES,
  RUN_ROW_BYTES,
  RUN_TRAILER_BYTES,
  tableCheck,
} from './run-format.ts'
import type { Location } from '../packs/slice-row.ts'

/** Owns the open file. */
export class RunFile implements Disposable {
  readonly path: string
  readonly run: number
  readonly rows: number
  readonly blocks: number
  readonly #file: number
  /** The first 48 bits of the first digest of each block. */
  readonly #fences: Float64Array
  readonly #filter: Filter<ArrayBuffer>
  readonly #block = Buffer.alloc(RUN_BLOCK_BYTES)
  #isClosed = false

  private constructor(path: string, run: number, file: number, { rows, fences, filter }: Table) {
    this.path = path
    this.run = run
    this.rows = rows
    this.blocks = blockCount(rows)
    this.#file = file
    this.#fences = new Float64Array(fences.buffer)
    this.#filter = viewFilter(filter.buffer, rows)
  }

  /** Opens a run. Throws IndexUnusable when it is missing, damaged, or has another number. */
  static open(path: string, run: number): RunFile {
    const file = openRun(path, run)
    try {
      const reads = readTable(run, fstatSync(file).size)
      let step = reads.next()
      while (!step.done) {
        const { length, position } = step.value
        const bytes = Buffer.from(new ArrayBuffer(length))
        step = reads.next(readSync(file, bytes, 0, length, position) === length ? bytes : undefined)
      }
      return new RunFile(path, run, file, step.value)
    } catch (error) {
      closeSync(file)
      throw error
    }
  }

  /** Like `open`, without blocking the event loop: the table of a large run takes tens of megabytes. */
  static async openAsync(path: string, run: number): Promise<RunFile> {
    await using handle = await open(path, 'r')
    const reads = readTable(run, (await handle.stat()).size)
    let step = reads.next()
    while (!step.done) {
      const { length, position } = step.value
      const bytes = Buffer.from(new ArrayBuffer(length))
      const { bytesRead } = await handle.read(bytes, 0, length, position)
      step = reads.next(bytesRead === length ? bytes : undefined)
    }
    return new RunFile(path, run, openRun(path, run), step.value)
  }

  mayHave(digest: Uint8Array): boolean {
    return this.#filter.mayHave(digest)
  }

  /** Returns the location of a slice, or `removed`; undefined when the run has no row for it. Throws IndexUnusable at a damaged block. */
  find(digest: Buffer): Location | 'removed' | undefined {
    const prefix = prefixAt(digest, 0)
    for (let block = this.#blocksUpTo(prefix) - 1; block >= 0; block--) {
      this.readBlocks(block, 1, this.#block)
      const at = findRow(this.#block, rowsOfBlock(this.rows, block), digest)
      if (at !== undefined) return packAt(this.#block, at) === REMOVED ? 'removed' : decodeLocation(this.#block, at)
      // Only digests with the same prefix can be in two adjacent blocks.
      if (this.#fences[block] !== prefix) return undefined
    }
    return undefined
  }

  /** Returns the first block that can have a digest with this prefix or a greater one. */
  blockOf(prefix: number): number {
    let block = this.#blocksUpTo(prefix) - 1
    while (this.#fences[block] === prefix) block--
    return Math.max(0, block)
  }

  /** Reads and verifies blocks. Throws IndexUnusable at a damaged one. */
  readBlocks(first: number, count: number, into: Buffer): void {
    const bytes = count * RUN_BLOCK_BYTES
    if (readSync(this.#file, into, 0, bytes, first * RUN_BLOCK_BYTES) < bytes) throw new IndexUnusable(`run ${this.run} of the index is cut off`)
    for (let i = 0; i < count; i++) {
      if (into.readBigUInt64LE(i * RUN_BLOCK_BYTES) !== blockCheck(into, i * RUN_BLOCK_BYTES, this.run, first + i))
        throw new IndexUnusable(`block ${first + i} of run ${this.run} of the index is damaged`)
    }
  }

  [Symbol.dispose](): void {
    if (!this.#isClosed) closeSync(this.#file)
    this.#isClosed = true
  }

  /** Closes and deletes the file. */
  discard(): void {
    this[Symbol.dispose]()
    rmSync(this.path, { force: true })
  }

  /** Returns the number of blocks that begin with this prefix or a smaller one. */
  #blocksUpTo(prefix: number): number {
    let low = 0
    let high = this.blocks
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#fences[middle] ?? 0) <= prefix) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Returns the path of a run of the index at `path`. */
export function runPath(path: string, run: number): string {
  return `${path}.${run}.run`
}

/** Deletes the files of runs of the index at `path`: all, or those that are unwanted. */
export function removeRuns(path: string, isUnwanted: (run: number) => boolean = () => true): void {
  const prefix = `${basename(path)}.`
  for (const name of readdirSync(dirname(path))) {
    const number = name.startsWith(prefix) ? /^(\d+)\.run$/.exec(name.slice(prefix.length))?.[1] : undefined
    if (number !== undefined && isUnwanted(Number.parseInt(number, 10))) rmSync(join(dirname(path), name), { force: true })
  }
}

/** What follows the blocks of a run. */
interface Table {
  readonly rows: number
  readonly fences: Buffer<ArrayBuffer>
  readonly filter: Buffer<ArrayBuffer>
}

/** Yields the ranges to read from a file of this length, receives their bytes if the file has all of them, and returns the table. Throws IndexUnusable when it is damaged. */
function* readTable(run: number, fileBytes: number): Generator<{ length: number; position: number }, Table, Buffer<ArrayBuffer> | undefined> {
  const trailerBytes = fileBytes < RUN_TRAILER_BYTES ? undefined : yield { length: RUN_TRAILER_BYTES, position: fileBytes - RUN_TRAILER_BYTES }
  const trailer = trailerBytes && readRunTrailer(trailerBytes, fileBytes)
  if (trailer?.run !== run) throw new IndexUnusable(`run ${run} of the index has no valid trailer`)
  const blocks = blockCount(trailer.rows)
  const fences = yield { length: blocks * 8, position: blocks * RUN_BLOCK_BYTES }
  const filter = yield { length: trailer.filterBytes, position: blocks * (RUN_BLOCK_BYTES + 8) }
  if (!fences || !filter || tableCheck(fences, filter) !== trailer.checksum) throw new IndexUnusable(`the table of run ${run} of the index is damaged`)
  return { rows: trailer.rows, fences, filter }
}

function openRun(path: string, run: number): number {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) throw new IndexUnusable(`run ${run} of the index is gone`, { cause: error })
    throw error
  }
}

/** Returns the position of the row of a digest in a block. */
function findRow(block: Buffer, rows: number, digest: Buffer): number | undefined {
  let low = 0
  let high = rows
  while (low < high) {
    const middle = (low + high) >> 1
    const at = RUN_CHECK_BYTES + middle * RUN_ROW_BYTES
    const order = block.compare(digest, 0, 32, at, at + 32)
    if (order === 0) return at
    if (order < 0) low = middle + 1
    else high = middle
  }
  return undefined
}
