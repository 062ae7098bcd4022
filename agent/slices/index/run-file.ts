// A run that is open for look-ups and for walking through. Reads are synchronous: one block is 4 KiB, mostly in the page cache.

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

  /** Opens a run. Throws IndexUnusable when it is not the one that was written under this number. */
  static open(path: string, run: number): RunFile {
    const file = openRun(path, run)
    try {
      const reads = readTable(run, fstatSync(file).size)
      let step = reads.next()
      while (!step.done) step = reads.next(readFully(file, step.value.length, step.value.position))
      return new RunFile(path, run, file, step.value)
    } catch (error) {
      closeSync(file)
      throw error
    }
  }

  /** Like `open`, without holding the event loop: the table of a large run is some ten megabytes. */
  static async openBeside(path: string, run: number): Promise<RunFile> {
    await using handle = await open(path, 'r')
    const reads = readTable(run, (await handle.stat()).size)
    let step = reads.next()
    while (!step.done) {
      const { length, position } = step.value
      const bytes = Buffer.from(new ArrayBuffer(length))
      let filled = 0
      for (let read = -1; filled < length && read !== 0; filled += read) read = (await handle.read(bytes, filled, length - filled, position + filled)).bytesRead
      step = reads.next(filled === length ? bytes : undefined)
    }
    return new RunFile(path, run, openRun(path, run), step.value)
  }

  mayHave(digest: Uint8Array): boolean {
    return this.#filter.mayHave(digest)
  }

  /** Where a slice lies as this run says; `removed` when it says that it is gone. Throws IndexUnusable when the block is damaged. */
  find(digest: Buffer): Location | 'removed' | undefined {
    const prefix = prefixAt(digest, 0)
    for (let block = this.#blocksUpTo(prefix) - 1; block >= 0; block--) {
      this.readBlocks(block, 1, this.#block)
      const at = findRow(this.#block, rowsOfBlock(this.rows, block), digest)
      if (at !== undefined) return packAt(this.#block, at) === REMOVED ? 'removed' : decodeLocation(this.#block, at)
      // Only digests that begin alike can lie on both sides of a fence.
      if (this.#fences[block] !== prefix) return undefined
    }
    return undefined
  }

  /** The first block that can hold a digest with this prefix, or what comes after it. */
  blockOf(prefix: number): number {
    let block = this.#blocksUpTo(prefix) - 1
    while (block > 0 && this.#fences[block] === prefix) block--
    return Math.max(0, block)
  }

  /** Reads blocks and verifies them. Throws IndexUnusable for one that is damaged. */
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

  /** Closes the file and removes it: nothing names it any more. */
  discard(): void {
    this[Symbol.dispose]()
    rmSync(this.path, { force: true })
  }

  /** How many blocks begin with this prefix or one before it. */
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

/** Path of a run of the index whose file has this path. */
export function runPath(path: string, run: number): string {
  return `${path}.${run}.run`
}

/** Removes files of runs beside the file of an index: all, or those that are not wanted. */
export function removeRuns(path: string, isUnwanted: (run: number) => boolean = () => true): void {
  const prefix = `${basename(path)}.`
  for (const name of readdirSync(dirname(path))) {
    const number = name.startsWith(prefix) ? /^(\d+)\.run$/.exec(name.slice(prefix.length))?.[1] : undefined
    if (number !== undefined && isUnwanted(Number.parseInt(number, 10))) rmSync(join(dirname(path), name), { force: true })
  }
}

/** What lies behind the blocks of a run. */
interface Table {
  readonly rows: number
  readonly fences: Buffer<ArrayBuffer>
  readonly filter: Buffer<ArrayBuffer>
}

/** Says what to read of a file of this length, is given it, and gives the table. Throws IndexUnusable when it is not what was written. */
function* readTable(run: number, fileBytes: number): Generator<{ length: number; position: number }, Table, Buffer<ArrayBuffer> | undefined> {
  const trailerBytes = fileBytes < RUN_TRAILER_BYTES ? undefined : yield { length: RUN_TRAILER_BYTES, position: fileBytes - RUN_TRAILER_BYTES }
  const trailer = trailerBytes && readRunTrailer(trailerBytes, fileBytes)
  if (trailer?.run !== run) throw new IndexUnusable(`run ${run} of the index has no valid end`)
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

function readFully(file: number, length: number, position: number): Buffer<ArrayBuffer> | undefined {
  const bytes = Buffer.from(new ArrayBuffer(length))
  for (let filled = 0; filled < length;) {
    const read = readSync(file, bytes, filled, length - filled, position + filled)
    if (read === 0) return undefined
    filled += read
  }
  return bytes
}

/** Place of a digest among the rows of a block. */
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
