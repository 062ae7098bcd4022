// Writes a run from sorted rows, block by block. The file gets its name only when it is complete and synced.

import { digestBytes } from '../../protocol/slices/digest.ts'
import type { Digest } from '../../protocol/slices/digest.ts'
import type { Disk, DiskFile } from '../contract/disk.ts'
import { BLOCK_BYTES, BLOCK_ROWS, BLOCK_WORDS, blockCheck, encodeTrailer, ROW_WORDS, ROWS_AT, tableCheck } from './run-layout.ts'

/** Blocks that are written together: 256 KiB. */
const STRETCH_BLOCKS = 64
/** Suffix of a run that is being written. */
export const UNFINISHED_SUFFIX = '.tmp'

export interface RunTarget {
  readonly disk: Disk
  readonly path: string
  readonly run: number
  readonly manifests: readonly Digest[]
}

/** Owns the file until it is disposed. */
export class RunWriter implements AsyncDisposable {
  readonly #target: RunTarget
  readonly #file: DiskFile
  readonly #words = new Uint32Array(STRETCH_BLOCKS * BLOCK_WORDS)
  readonly #bytes = new Uint8Array(this.#words.buffer)
  readonly #checks = new BigUint64Array(this.#words.buffer)
  #fences = new Uint32Array(1024)
  #blocks = 0
  #rows = 0
  /** Rows in the current block, and full blocks that are not written yet. */
  #blockRows = 0
  #fullBlocks = 0
  #position = 0
  #isEnded = false

  private constructor(target: RunTarget, file: DiskFile) {
    this.#target = target
    this.#file = file
  }

  /** Creates the file, replacing one that a crash left. */
  static async create(target: RunTarget): Promise<RunWriter> {
    await target.disk.remove(target.path + UNFINISHED_SUFFIX)
    return new RunWriter(target, await target.disk.openWrite(target.path + UNFINISHED_SUFFIX, 'create'))
  }

  /** Adds a row; returns whether `write` must be called before the next one. */
  push(first: number, second: number, third: number, manifest: number): boolean {
    const words = this.#words
    const at = this.#fullBlocks * BLOCK_WORDS + ROWS_AT + this.#blockRows * ROW_WORDS
    words[at] = first
    words[at + 1] = second
    words[at + 2] = third
    words[at + 3] = manifest
    if (this.#blockRows === 0) this.#addFence(first)
    this.#rows++
    if (++this.#blockRows === BLOCK_ROWS) this.#endBlock()
    return this.#fullBlocks === STRETCH_BLOCKS
  }

  /** Writes the full blocks. */
  async write(): Promise<void> {
    const length = this.#fullBlocks * BLOCK_BYTES
    if (length === 0) return
    await this.#append(this.#bytes.subarray(0, length))
    this.#words.fill(0, 0, this.#fullBlocks * BLOCK_WORDS)
    this.#fullBlocks = 0
  }

  /** Writes the rest and renames the file; contents and name are durable when it resolves. */
  async end(): Promise<void> {
    const { disk, path, run } = this.#target
    if (this.#blockRows > 0) this.#endBlock()
    await this.write()
    const fences = new Uint8Array(this.#fences.buffer, 0, this.#blocks * 4)
    const manifests = Buffer.concat(this.#target.manifests.map(digestBytes))
    await this.#append(fences)
    await this.#append(manifests)
    await this.#append(encodeTrailer({ run, rows: this.#rows, manifests: this.#target.manifests.length, checksum: tableCheck(fences, manifests) }))
    await this.#file.sync()
    await disk.rename(path + UNFINISHED_SUFFIX, path)
    this.#isEnded = true
  }

  /** Closes the file; a run that was not ended is removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
    if (!this.#isEnded) await this.#target.disk.remove(this.#target.path + UNFINISHED_SUFFIX)
  }

  async #append(bytes: Uint8Array): Promise<void> {
    await this.#file.write([bytes], this.#position)
    this.#position += bytes.byteLength
  }

  #addFence(word: number): void {
    if (this.#blocks === this.#fences.length) {
      const grown = new Uint32Array(this.#fences.length * 2)
      grown.set(this.#fences)
      this.#fences = grown
    }
    this.#fences[this.#blocks++] = word
  }

  #endBlock(): void {
    const at = this.#fullBlocks * BLOCK_BYTES
    this.#checks[at / 8] = blockCheck(this.#bytes.subarray(at, at + BLOCK_BYTES), this.#target.run, this.#blocks - 1)
    this.#blockRows = 0
    this.#fullBlocks++
  }
}
