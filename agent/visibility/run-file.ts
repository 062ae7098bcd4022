// A run that is open for look-ups. Reads are synchronous, like those of the index database: one block of 4 KiB on the node's disk, usually in
// the page cache.

import { closeSync, openSync, readSync } from 'node:fs'
import { DIGEST_BYTES, formatDigest } from '../../protocol/slices/digest.ts'
import type { Digest } from '../../protocol/slices/digest.ts'
import type { Disk, DiskFile } from '../contract/disk.ts'
import { BLOCK_BYTES, BLOCK_WORDS, blockCheck, blockCount, decodeTrailer, ROW_WORDS, ROWS_AT, rowsOfBlock, tableCheck, TRAILER_BYTES } from './run-layout.ts'

/** The contents of a run fail their checks. Its manifests are indexed again. */
export class RunDamaged extends Error {
  override readonly name = 'RunDamaged'
  /** The number of the run, if known. */
  readonly run: number | undefined

  constructor(detail: string, run?: number, options?: ErrorOptions) {
    super(detail, options)
    this.run = run
  }
}

/** Owns the open file. */
export class RunFile implements Disposable {
  readonly path: string
  readonly run: number
  readonly rows: number
  /** The manifests whose slices are in the run. */
  readonly manifests: readonly Digest[]
  readonly #blocks: number
  /** First word of the first row of each block: 4 bytes in memory for 255 rows. */
  readonly #fences: Uint32Array
  readonly #file: number
  readonly #words = new Uint32Array(BLOCK_WORDS)
  readonly #bytes = new Uint8Array(this.#words.buffer)
  readonly #check = new BigUint64Array(this.#words.buffer, 0, 1)
  #isClosed = false

  private constructor(path: string, table: Table) {
    this.path = path
    this.run = table.run
    this.rows = table.rows
    this.manifests = table.manifests
    this.#blocks = blockCount(table.rows)
    this.#fences = table.fences
    this.#file = openSync(path, 'r')
  }

  /** Opens a run and verifies everything except its blocks, which are verified when they are read. Throws RunDamaged. */
  static async open(disk: Disk, path: string): Promise<RunFile> {
    await using file = await disk.openRead(path)
    return new RunFile(path, await readTable(file))
  }

  /**
   * Whether the run has a slice, given by the words of its fingerprint, in a manifest whose flag is 1. Throws RunDamaged at a damaged
   * block.
   */
  names(first: number, second: number, third: number, flags: Uint8Array): boolean {
    const fences = this.#fences
    let block = Math.max(0, this.#blocksBefore(first) - 1)
    // Rows of one slice are adjacent, also across blocks.
    for (; block < this.#blocks && (fences[block] ?? 0) <= first; block++) {
      this.#read(block)
      const words = this.#words
      const rows = rowsOfBlock(this.rows, block)
      for (let row = this.#rowsBefore(rows, first, second, third); row < rows; row++) {
        const at = ROWS_AT + row * ROW_WORDS
        if (words[at] !== first || words[at + 1] !== second || words[at + 2] !== third) return false
        if (flags[words[at + 3] ?? 0] === 1) return true
      }
    }
    return false
  }

  [Symbol.dispose](): void {
    if (!this.#isClosed) closeSync(this.#file)
    this.#isClosed = true
  }

  /** Returns the number of blocks that begin with a smaller word. */
  #blocksBefore(word: number): number {
    const fences = this.#fences
    let low = 0
    let high = fences.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((fences[middle] ?? 0) < word) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Returns the number of rows of the current block with a smaller fingerprint. */
  #rowsBefore(rows: number, first: number, second: number, third: number): number {
    const words = this.#words
    let low = 0
    let high = rows
    while (low < high) {
      const middle = (low + high) >>> 1
      const at = ROWS_AT + middle * ROW_WORDS
      const order = (words[at] ?? 0) - first || (words[at + 1] ?? 0) - second || (words[at + 2] ?? 0) - third
      if (order < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #read(block: number): void {
    let length = 0
    try {
      length = readSync(this.#file, this.#bytes, 0, BLOCK_BYTES, block * BLOCK_BYTES)
    } catch (error) {
      throw new RunDamaged(`block ${block} of run ${this.run} cannot be read`, this.run, { cause: error })
    }
    if (length < BLOCK_BYTES || this.#check[0] !== blockCheck(this.#bytes, this.run, block))
      throw new RunDamaged(`block ${block} of run ${this.run} is damaged`, this.run)
  }
}

interface Table {
  readonly run: number
  readonly rows: number
  readonly fences: Uint32Array
  readonly manifests: readonly Digest[]
}

async function readTable(file: DiskFile): Promise<Table> {
  const fileBytes = await file.length()
  const trailerBytes = new Uint8Array(TRAILER_BYTES)
  const trailer =
    fileBytes < TRAILER_BYTES || (await file.read(trailerBytes, fileBytes - TRAILER_BYTES)) < TRAILER_BYTES ? undefined : decodeTrailer(trailerBytes, fileBytes)
  if (!trailer) throw new RunDamaged('it has no valid trailer')
  const { run, rows, checksum } = trailer
  const blocks = blockCount(rows)
  const fences = new Uint32Array(blocks)
  const fenceBytes = new Uint8Array(fences.buffer)
  const manifestBytes = new Uint8Array(trailer.manifests * DIGEST_BYTES)
  await file.read(fenceBytes, blocks * BLOCK_BYTES)
  await file.read(manifestBytes, blocks * (BLOCK_BYTES + 4))
  if (tableCheck(fenceBytes, manifestBytes) !== checksum) throw new RunDamaged('its table is damaged')
  const manifests = Array.from({ length: trailer.manifests }, (_, i) => formatDigest(manifestBytes.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES)))
  return { run, rows, fences, manifests }
}
