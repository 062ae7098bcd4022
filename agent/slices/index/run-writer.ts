// Writes a run: rows come in the order of their digests and go out in blocks. The file is durable when `end` resolves; nothing names it before.

import { open, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../../contract/sync-folder.ts'
import { filterBytes, viewFilter } from './filter.ts'
import type { Filter } from './filter.ts'
import { blockCheck, encodeRunTrailer, prefixAt, RUN_BLOCK_BYTES, RUN_BLOCK_ROWS, RUN_CHECK_BYTES, RUN_ROW_BYTES, tableCheck } from './run-format.ts'

/** Blocks written at once. */
const CHUNK_BLOCKS = 64
/** About 1 % false positives; each costs one read of a block. */
const FILTER_BITS_PER_ROW = 12

/** Owns the file until it is disposed. */
export class RunWriter implements AsyncDisposable {
  readonly #path: string
  readonly #run: number
  readonly #file: FileHandle
  readonly #chunk = Buffer.alloc(CHUNK_BLOCKS * RUN_BLOCK_BYTES)
  readonly #fences: number[] = []
  readonly #filter: Filter<ArrayBuffer>
  #rows = 0
  /** Rows in the current block, and full blocks in the chunk. */
  #blockRows = 0
  #chunkBlocks = 0
  #isEnded = false

  private constructor(path: string, run: number, file: FileHandle, rowsMax: number) {
    this.#path = path
    this.#run = run
    this.#file = file
    this.#filter = viewFilter(new ArrayBuffer(filterBytes(rowsMax, FILTER_BITS_PER_ROW)), rowsMax)
  }

  /** Creates the file of a run with at most `rowsMax` rows. */
  static async create(path: string, run: number, rowsMax: number): Promise<RunWriter> {
    return new RunWriter(path, run, await open(path, 'wx', 0o640), rowsMax)
  }

  get rows(): number {
    return this.#rows
  }

  /** Adds the row at `at` of `from`; returns whether `write` must be called before the next one. */
  push(from: Buffer, at: number): boolean {
    const to = this.#chunkBlocks * RUN_BLOCK_BYTES + RUN_CHECK_BYTES + this.#blockRows * RUN_ROW_BYTES
    from.copy(this.#chunk, to, at, at + RUN_ROW_BYTES)
    if (this.#blockRows === 0) this.#fences.push(prefixAt(from, at))
    this.#filter.add(from, at)
    this.#rows++
    if (++this.#blockRows === RUN_BLOCK_ROWS) this.#endBlock()
    return this.#chunkBlocks === CHUNK_BLOCKS
  }

  /** Writes the full blocks, when `push` asks for it. */
  async write(): Promise<void> {
    await this.#append(this.#chunk.subarray(0, this.#chunkBlocks * RUN_BLOCK_BYTES))
    this.#chunk.fill(0)
    this.#chunkBlocks = 0
  }

  /** Writes the rest; contents and name of the file are durable when it resolves. */
  async end(): Promise<void> {
    if (this.#blockRows > 0) this.#endBlock()
    await this.write()
    const fences = Buffer.from(Float64Array.from(this.#fences).buffer)
    const filter = Buffer.from(this.#filter.buffer)
    await this.#append(fences)
    await this.#append(filter)
    await this.#append(encodeRunTrailer({ run: this.#run, rows: this.#rows, filterBytes: filter.length, checksum: tableCheck(fences, filter) }))
    await this.#file.datasync()
    await syncFolder(dirname(this.#path))
    this.#isEnded = true
  }

  /** Closes the file; a run that was not ended is deleted. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
    if (!this.#isEnded) await rm(this.#path, { force: true })
  }

  async #append(bytes: Buffer): Promise<void> {
    for (let written = 0; written < bytes.length;) written += (await this.#file.write(bytes, written, bytes.length - written)).bytesWritten
  }

  #endBlock(): void {
    const at = this.#chunkBlocks * RUN_BLOCK_BYTES
    this.#chunk.writeBigUInt64LE(blockCheck(this.#chunk, at, this.#run, this.#fences.length - 1), at)
    this.#blockRows = 0
    this.#chunkBlocks++
  }
}
