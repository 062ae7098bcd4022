// Ingest: the way of an image's bytes into slices. Pieces fill segments; a worker cuts, hashes and compresses each; what is
// new is appended to the pack; the entries come out in image order at every checkpoint.

import type { ManifestEntry } from '../../../protocol/manifest.ts'
import { createInOrder } from '../../contract/in-order.ts'
import { StoreWriteFailed } from '../../contract/slices.ts'
import type { Checkpoint, Ingest, IngestStart } from '../../contract/slices.ts'
import type { SliceLookup } from '../index/index-roles.ts'
import { encodeTable, NOT_STORED, viewTable } from './ingest-messages.ts'
import type { JobDone, Table, TableRow } from './ingest-messages.ts'
import type { PackRow } from '../packs/pack-format.ts'
import type { PackWriter } from './pack-writer.ts'
import { SEGMENT_BYTES, SEGMENTS_IN_FLIGHT_MAX } from '../packs/parameters.ts'
import type { CutterParameters } from '../../../protocol/cutter.ts'
import type { PinHold, Pins } from './pins.ts'
import { RECORD_HEADER_BYTES } from '../packs/record.ts'
import { sliceKey } from '../packs/slice-row.ts'
import type { WorkerPool } from './worker-pool.ts'

/** Zeros are looked for in stretches of this length before anything is copied. */
const STRETCH_BYTES = 64 * 1024
const ZEROS = Buffer.alloc(STRETCH_BYTES)
/** A shorter run of zeros is not worth an early end of the segment before it. */
const ZERO_RUN_MIN = 512 * 1024

export interface IngestDeps {
  readonly cutter: CutterParameters
  readonly pool: WorkerPool
  readonly writer: PackWriter
  readonly index: SliceLookup
  readonly pins: Pins
}

interface Buffers {
  readonly input: ArrayBuffer
  readonly output: ArrayBuffer
}

/** Opens an ingest; see the contract for what it promises. Memory is taken with the first byte only. */
export function createIngest(deps: IngestDeps, start: IngestStart): Ingest {
  return new SegmentedIngest(deps, start)
}

class SegmentedIngest implements Ingest {
  readonly #deps: IngestDeps
  readonly #headroom: number
  readonly #hold: PinHold
  /** Buffers that are free, and how many exist. */
  readonly #free: Buffers[] = []
  #made = 0
  #waiting: PromiseWithResolvers<void> | undefined
  #current: Buffers | undefined
  /** Bytes of the image that lie in segments, and zeros after them that are held back. */
  #position: number
  #zeros = 0
  #filled = 0
  /** Resolves with the bytes after the last cut, once every segment handed out before is cut. */
  #carry: Promise<Uint8Array>
  /** Writes and the starts of checkpoints run in the order of the calls: a timer may request a checkpoint during a write. */
  readonly #steps = createInOrder()
  /** Ends when every segment handed out before is stored, in image order. */
  #stored: Promise<void> = Promise.resolve()
  #entries: ManifestEntry[] = []
  #storedBytes = 0
  #generation: number
  #failure: unknown
  #isFinished = false
  #isClosed = false
  /** Checkpoints given out whose taker did not let go of them yet. */
  readonly #unreleased = new Set<() => void>()

  constructor(deps: IngestDeps, start: IngestStart) {
    if (start.offset % deps.cutter.block !== 0) throw new RangeError(`an ingest begins at a multiple of ${deps.cutter.block}, not at ${start.offset}`)
    this.#deps = deps
    // The carry of the segment before is copied in front of the data, so that a worker sees one stretch of bytes.
    this.#headroom = deps.cutter.maximum
    this.#hold = deps.pins.hold()
    this.#carry = Promise.resolve(start.tail)
    this.#position = start.offset + start.tail.byteLength
    this.#generation = deps.writer.generation
  }

  write(piece: Uint8Array): Promise<void> {
    return this.#steps.run(() => this.#write(piece))
  }

  async #write(piece: Uint8Array): Promise<void> {
    this.#check()
    for (let at = 0; at < piece.byteLength;) {
      const zeros = this.#zeroLength(piece, at)
      if (zeros > 0) {
        this.#zeros += zeros
        at += zeros
        continue
      }
      await this.#layZeros()
      // Bodies come in pieces that begin anywhere: up to the next block first, so that the zeros after it are seen.
      const end = Math.min(piece.byteLength, at + (this.#toBlock() || STRETCH_BYTES))
      await this.#fill(piece.subarray(at, end))
      at = end
    }
  }

  checkpoint(): Promise<Checkpoint> {
    return this.#commit(false)
  }

  finish(): Promise<Checkpoint> {
    return this.#commit(true)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isFinished = true
    this.#isClosed = true
    this.#failure ??= new StoreWriteFailed('the ingest was closed')
    // Wait for the workers, so that no slice is pinned after the pins are gone. The failure is known to the caller.
    await this.#stored.catch(() => {})
    this.#hold.release()
    for (const release of [...this.#unreleased]) release()
  }

  /** Bytes from here to the beginning of the next block. */
  #toBlock(): number {
    const { block } = this.#deps.cutter
    return (block - (this.#position % block)) % block
  }

  /** Bytes of zeros at this place that a segment need not carry: such a run begins with a block and goes on through any number of pieces. */
  #zeroLength(piece: Uint8Array, at: number): number {
    if (this.#zeros === 0 && this.#toBlock() !== 0) return 0
    const length = Math.min(STRETCH_BYTES, piece.byteLength - at)
    if (piece[at] !== 0 || piece[at + length - 1] !== 0) return 0
    return ZEROS.compare(piece, at, at + length, 0, length) === 0 ? length : 0
  }

  /** Puts the zeros that were held back where they belong: a long run as an entry of its own, a short one as bytes. */
  async #layZeros(): Promise<void> {
    const { block } = this.#deps.cutter
    const run = this.#zeros >= ZERO_RUN_MIN ? this.#zeros - (this.#zeros % block) : 0
    const rest = this.#zeros - run
    this.#zeros = 0
    if (run > 0) {
      this.#position += run
      // A zero block ends the slice before it, so the segment is cut to its end as if the image ended here.
      await this.#handOutLast()
      this.#then(async () => {
        this.#entries.push({ length: run, digest: null })
      })
    }
    for (let left = rest; left > 0; left -= STRETCH_BYTES) await this.#fill(ZEROS.subarray(0, Math.min(left, STRETCH_BYTES)))
  }

  async #fill(bytes: Uint8Array): Promise<void> {
    let rest = bytes
    this.#position += bytes.byteLength
    while (rest.byteLength > 0) {
      const buffers = this.#current ?? (await this.#takeBuffers())
      const part = rest.subarray(0, SEGMENT_BYTES - this.#filled)
      new Uint8Array(buffers.input).set(part, this.#headroom + this.#filled)
      this.#filled += part.byteLength
      rest = rest.subarray(part.byteLength)
      if (this.#filled === SEGMENT_BYTES) this.#handOut(false)
    }
  }

  async #handOutLast(): Promise<void> {
    this.#current ??= await this.#takeBuffers()
    this.#handOut(true)
  }

  async #commit(last: boolean): Promise<Checkpoint> {
    const { batch, tail } = await this.#steps.run(() => this.#take(last))
    const generation = this.#generation
    const taken = await batch
    try {
      const rest = await tail
      await this.#deps.writer.sync()
      this.#deps.writer.check(generation)
      if (this.#isClosed) throw new StoreWriteFailed('the ingest was closed')
      return { ...taken, tail: rest }
    } catch (error) {
      // Nobody was given these pins to release.
      taken.release()
      throw error
    }
  }

  /** Hands out what was written so far; what it gives resolves when all of that is stored. */
  async #take(last: boolean): Promise<{ batch: Promise<Omit<Checkpoint, 'tail'>>; tail: Promise<Uint8Array> }> {
    this.#check(last)
    // Only in its turn: checkpoints called before are still given.
    if (last) this.#isFinished = true
    await this.#layZeros()
    if (last) {
      await this.#handOutLast()
    } else if (this.#filled > 0) {
      this.#handOut(false)
    }
    const tail = this.#carry
    const batch = this.#stored.then(() => {
      const entries = this.#entries
      const storedBytes = this.#storedBytes
      this.#entries = []
      this.#storedBytes = 0
      return { entries, storedBytes, release: this.#takePins() }
    })
    // What follows is stored after this point, so that it belongs to the next checkpoint.
    this.#stored = batch.then(() => {})
    this.#stored.catch(() => {})
    return { batch, tail }
  }

  /** Pins of one checkpoint, let go of by its taker, or with the ingest when the taker could not use it. */
  #takePins(): () => void {
    const release = this.#hold.take()
    const releaseOnce = (): void => {
      this.#unreleased.delete(releaseOnce)
      release()
    }
    this.#unreleased.add(releaseOnce)
    return releaseOnce
  }

  #check(isFinishing = false): void {
    if (this.#isFinished && !isFinishing) throw new Error('an ingest takes no bytes after finish')
    if (this.#failure !== undefined) throw this.#failure
    this.#deps.writer.check(this.#generation)
  }

  async #takeBuffers(): Promise<Buffers> {
    for (;;) {
      const free = this.#free.pop() ?? this.#makeBuffers()
      if (free) {
        this.#current = free
        this.#filled = 0
        return free
      }
      this.#waiting ??= Promise.withResolvers()
      await this.#waiting.promise
      this.#check(this.#isFinished)
    }
  }

  #makeBuffers(): Buffers | undefined {
    if (this.#made >= SEGMENTS_IN_FLIGHT_MAX) return undefined
    this.#made++
    const length = this.#headroom + SEGMENT_BYTES
    // At worst every block is a slice of its own, between zero blocks.
    return { input: new ArrayBuffer(length), output: new ArrayBuffer(length + (length / this.#deps.cutter.block + 1) * RECORD_HEADER_BYTES) }
  }

  /** Sends the segment that was filled to the workers; the next may be cut as soon as this one is. */
  #handOut(last: boolean): void {
    const buffers = this.#current
    if (!buffers) return
    const filled = this.#filled
    this.#current = undefined
    this.#filled = 0
    const running = this.#carry.then((carry) => {
      if (this.#failure !== undefined) throw this.#failure
      const start = this.#headroom - carry.byteLength
      new Uint8Array(buffers.input).set(carry, start)
      return this.#deps.pool.run({ kind: 'segment', ...buffers, start, end: this.#headroom + filled, last })
    })
    this.#carry = running.then(async ({ cut }) => (await cut).carry)
    this.#carry.catch(() => {})
    const done = running.then((job) => job.done)
    // Told through what waits for it below.
    done.catch(() => {})
    this.#then(async () => this.#store(await done))
  }

  /** Does something once everything handed out before is stored. */
  #then(run: () => Promise<void>): void {
    this.#stored = this.#stored
      .then(async () => {
        if (this.#failure !== undefined) throw this.#failure
        await run()
      })
      .catch((error: unknown) => {
        this.#failure ??= error
        this.#waiting?.resolve()
        throw error
      })
    this.#stored.catch(() => {})
  }

  /** Counts on what is there, appends what is new, and adds the entries of one segment. */
  async #store(result: JobDone): Promise<void> {
    const table = viewTable(result.table)
    const absent: TableRow[] = []
    const absentKeys = new Set<string>()
    for (let i = 0; i < table.count; i++) {
      if (table.isZeroAt(i) || table.recordOffsetAt(i) !== NOT_STORED) continue
      const digest = table.digestAt(i)
      // Pinned in the same tick as it is found, so that gc cannot take it in between.
      if (this.#deps.index.find(digest)) this.#hold.add(digest)
      else if (!absentKeys.has(sliceKey(digest))) {
        absentKeys.add(sliceKey(digest))
        absent.push({ digest, start: table.startAt(i), length: table.lengthAt(i), recordOffset: 0, recordLength: 0 })
      }
    }
    let buffers: Buffers = result
    await this.#append(table, result.output)
    // Slices stored by this very segment answer for their repeats; what is still absent the filter took for known.
    const rest = absent.filter(({ digest }) => digest && !this.#pinIfThere(digest))
    if (rest.length > 0) {
      const { input, output } = buffers
      const stored = await this.#deps.pool.run({ kind: 'store', input, output, table: encodeTable(rest) }).done
      buffers = stored
      await this.#append(viewTable(stored.table), stored.output)
    }
    for (let i = 0; i < table.count; i++) {
      const isZero = table.isZeroAt(i)
      this.#entries.push({ length: table.lengthAt(i), digest: isZero ? null : table.digestAt(i) })
    }
    this.#free.push({ input: buffers.input, output: buffers.output })
    this.#waiting?.resolve()
    this.#waiting = undefined
  }

  async #append(table: Table, output: ArrayBuffer): Promise<void> {
    const parts: Uint8Array[] = []
    const rows: PackRow[] = []
    let offset = 0
    for (let i = 0; i < table.count; i++) {
      const at = table.recordOffsetAt(i)
      if (table.isZeroAt(i) || at === NOT_STORED) continue
      const digest = table.digestAt(i)
      // Another transfer may have stored it since the worker asked the filter.
      if (this.#pinIfThere(digest)) continue
      this.#hold.add(digest)
      const length = table.recordLengthAt(i)
      const last = parts.at(-1)
      // Records that lie next to each other are one write: hundreds of small ones would cost more than their bytes.
      if (last && last.byteOffset + last.byteLength === at) parts[parts.length - 1] = new Uint8Array(output, last.byteOffset, last.byteLength + length)
      else parts.push(new Uint8Array(output, at, length))
      rows.push({ digest, offset, length: table.lengthAt(i), storedLength: length - RECORD_HEADER_BYTES })
      offset += length
    }
    if (rows.length === 0) return
    this.#storedBytes += offset
    await this.#deps.writer.append(parts, rows)
  }

  #pinIfThere(digest: Uint8Array): boolean {
    if (!this.#deps.index.find(digest)) return false
    this.#hold.add(digest)
    return true
  }
}
