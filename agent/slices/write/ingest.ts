// Ingest: turns the bytes of an image into slices. Pieces fill segments; a worker cuts, hashes and compresses each segment; new slices are
// appended to the open pack; each checkpoint returns the entries in image order.

import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'
import { createInOrder } from '../../contract/in-order.ts'
import { StoreWriteFailed } from '../../contract/slices.ts'
import type { Checkpoint, Ingest, IngestStart } from '../../contract/slices.ts'
import { SEGMENT_BYTES } from '../packs/parameters.ts'
import { ZERO_STRETCH_BYTES } from '../../../protocol/slices/cutter.ts'
import type { CutterParameters } from '../../../protocol/slices/cutter.ts'
import { BLOCK_PRIMITIVES } from './block-primitives.ts'
import type { PinHold, Pins } from './pins.ts'
import { SegmentBuffers } from './segment-buffers.ts'
import type { Buffers } from './segment-buffers.ts'
import { storeSegment } from './segment-store.ts'
import type { SegmentStoreDeps } from './segment-store.ts'

/** A shorter run of zeros does not justify cutting the segment before it short. */
const ZERO_RUN_MIN = 512 * 1024
const ZEROS = new Uint8Array(ZERO_RUN_MIN)

export interface IngestDeps extends SegmentStoreDeps {
  readonly cutter: CutterParameters
  readonly pins: Pins
}

/** Opens an ingest; see the contract. Allocates its buffers with the first byte. */
export function createIngest(deps: IngestDeps, start: IngestStart): Ingest {
  return new SegmentedIngest(deps, start)
}

interface Segment {
  readonly buffers: Buffers
  /** Its bytes so far. */
  filled: number
}

class SegmentedIngest implements Ingest {
  readonly #deps: IngestDeps
  /** Room in front of each segment for the bytes left over from the one before, so that a worker sees one stretch of bytes. */
  readonly #headroom: number
  readonly #hold: PinHold
  readonly #buffers: SegmentBuffers
  /** The segment that is being filled. */
  #current: Segment | undefined
  /** Bytes in segments, which say where the next block begins: runs of zeros between segments are whole blocks. */
  #bytes: number
  /** Zeros after them that are not in a segment yet. */
  #zeros = 0
  /** Resolves with the bytes after the last cut, once every segment submitted so far is cut. */
  #carry: Promise<Uint8Array>
  /** Writes and the starts of checkpoints run in the order of the calls: a timer may request a checkpoint during a write. */
  readonly #steps = createInOrder()
  /** Resolves when every segment submitted so far is stored, in image order. */
  #stored: Promise<void> = Promise.resolve()
  #entries: ManifestEntry[] = []
  #storedBytes = 0
  #generation: number
  #failure: unknown
  #isFinished = false
  #isClosed = false
  /** Checkpoints that were returned and not released yet. */
  readonly #unreleased = new Set<() => void>()

  constructor(deps: IngestDeps, start: IngestStart) {
    if (start.offset % deps.cutter.block !== 0) throw new RangeError(`an ingest begins at a multiple of ${deps.cutter.block}, not at ${start.offset}`)
    this.#deps = deps
    this.#headroom = deps.cutter.maximum
    this.#buffers = new SegmentBuffers(this.#headroom, deps.cutter.block)
    this.#hold = deps.pins.hold()
    this.#carry = Promise.resolve(start.tail)
    this.#bytes = start.tail.byteLength
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
      await this.#submitZeros()
      // Pieces begin anywhere: fill up to the next block first, so that zeros after it are recognised.
      const end = Math.min(piece.byteLength, at + (this.#toBlock() || ZERO_STRETCH_BYTES))
      await this.#fill(piece.subarray(at, end))
      at = end
    }
  }

  checkpoint(): Promise<Checkpoint> {
    return this.#checkpoint(false)
  }

  finish(): Promise<Checkpoint> {
    return this.#checkpoint(true)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#failure ??= new StoreWriteFailed('the ingest was closed')
    // Wait for the workers, so that no slice is pinned after the pins are released. The caller has seen any failure.
    await this.#stored.catch(() => {})
    this.#hold.release()
    for (const release of [...this.#unreleased]) release()
  }

  /** Returns the bytes that are missing to the next block. */
  #toBlock(): number {
    const { block } = this.#deps.cutter
    return (block - (this.#bytes % block)) % block
  }

  /** Returns the length of a run of zeros at `at` that need not be copied. Such a run begins at a block and may span any number of pieces. */
  #zeroLength(piece: Uint8Array, at: number): number {
    if (this.#zeros === 0 && this.#toBlock() !== 0) return 0
    const end = Math.min(piece.byteLength, at + ZERO_STRETCH_BYTES)
    return BLOCK_PRIMITIVES.isZero(piece, at, end) ? end - at : 0
  }

  /** Adds the zeros counted so far: a long run as an entry of its own, a short one as bytes. */
  async #submitZeros(): Promise<void> {
    const { block } = this.#deps.cutter
    const rest = this.#zeros < ZERO_RUN_MIN ? this.#zeros : this.#zeros % block
    const run = this.#zeros - rest
    this.#zeros = 0
    if (run > 0) {
      // A zero block ends the slice before it, so the segment is cut completely, as at the end of the image.
      await this.#submitLast()
      this.#afterStored(async () => {
        this.#entries.push({ length: run, digest: null })
      })
    }
    await this.#fill(ZEROS.subarray(0, rest))
  }

  async #fill(bytes: Uint8Array): Promise<void> {
    let rest = bytes
    this.#bytes += bytes.byteLength
    while (rest.byteLength > 0) {
      const segment = this.#current ?? (await this.#startSegment())
      const part = rest.subarray(0, SEGMENT_BYTES - segment.filled)
      new Uint8Array(segment.buffers.input).set(part, this.#headroom + segment.filled)
      segment.filled += part.byteLength
      rest = rest.subarray(part.byteLength)
      if (segment.filled === SEGMENT_BYTES) this.#submit(false)
    }
  }

  async #submitLast(): Promise<void> {
    this.#current ??= await this.#startSegment()
    this.#submit(true)
  }

  async #checkpoint(last: boolean): Promise<Checkpoint> {
    const { batch, tail } = await this.#steps.run(() => this.#startCheckpoint(last))
    const generation = this.#generation
    const taken = await batch
    try {
      const rest = await tail
      await this.#deps.writer.sync()
      this.#deps.writer.check(generation)
      if (this.#isClosed) throw new StoreWriteFailed('the ingest was closed')
      return { ...taken, tail: rest }
    } catch (error) {
      // The caller never got these pins.
      taken.release()
      throw error
    }
  }

  /** Submits what was written so far; `batch` resolves when all of it is stored. */
  async #startCheckpoint(last: boolean): Promise<{ batch: Promise<Omit<Checkpoint, 'tail'>>; tail: Promise<Uint8Array> }> {
    this.#check(last)
    // Set here and not in `finish`: checkpoints requested before it must still start.
    if (last) this.#isFinished = true
    await this.#submitZeros()
    if (last) await this.#submitLast()
    else this.#submit(false)
    const tail = this.#carry
    const batch = this.#stored.then(() => {
      const entries = this.#entries
      const storedBytes = this.#storedBytes
      this.#entries = []
      this.#storedBytes = 0
      return { entries, storedBytes, release: this.#takePins() }
    })
    // Segments submitted later are stored after this point, so they belong to the next checkpoint.
    this.#stored = batch.then(() => {})
    this.#stored.catch(() => {})
    return { batch, tail }
  }

  /** Takes the pins of one checkpoint. They are released by its caller, or when the ingest is disposed. */
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

  async #startSegment(): Promise<Segment> {
    for (;;) {
      const buffers = this.#buffers.take()
      if (buffers) {
        this.#current = { buffers, filled: 0 }
        return this.#current
      }
      // Checked in the tick of the wait: after a failure nothing puts buffers back.
      this.#check(this.#isFinished)
      await this.#buffers.released()
    }
  }

  /** Sends the current segment to the workers. The next one may be cut as soon as this one is, while this one is still compressed. */
  #submit(last: boolean): void {
    if (!this.#current) return
    const { buffers, filled } = this.#current
    this.#current = undefined
    const running = this.#carry.then((carry) => {
      if (this.#failure !== undefined) throw this.#failure
      const start = this.#headroom - carry.byteLength
      new Uint8Array(buffers.input).set(carry, start)
      return this.#deps.pool.run({ kind: 'segment', ...buffers, start, end: this.#headroom + filled, last })
    })
    this.#carry = running.then(async ({ cut }) => (await cut).carry)
    this.#carry.catch(() => {})
    const done = running.then((job) => job.done)
    // Reported through `#stored`, which awaits it below.
    done.catch(() => {})
    this.#afterStored(async () => {
      const { entries, storedBytes, buffers: free } = await storeSegment(this.#deps, this.#hold, await done)
      for (const entry of entries) this.#entries.push(entry)
      this.#storedBytes += storedBytes
      this.#buffers.put(free)
    })
  }

  /** Runs a step after everything submitted before it is stored. The first error ends the ingest. */
  #afterStored(run: () => Promise<void>): void {
    this.#stored = this.#stored
      .then(async () => {
        if (this.#failure !== undefined) throw this.#failure
        await run()
      })
      .catch((error: unknown) => {
        this.#failure ??= error
        this.#buffers.wake()
        throw error
      })
    this.#stored.catch(() => {})
  }
}
