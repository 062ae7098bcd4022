// The body of a request as a Web stream, read from the socket only while the application reads the stream.

import type { IncomingMessage } from 'node:http'
import { problem } from '../../protocol/problems.ts'
import type { Clock } from '../contract/runtime.ts'
import { LeastRate } from './least-rate.ts'
import {
  BODY_QUEUE_BYTES_MAX,
  DISCARD_BYTES_MAX,
  DISCARD_MS_MAX,
  GATHERED_BYTES_MAX,
  PIECE_BYTES_AVERAGE_MIN,
  PIECES_JUDGED,
  SHORT_PIECE_BYTES,
} from './limits.ts'
import type { RateLimit } from './limits.ts'

export interface RequestBodyDeps {
  readonly message: IncomingMessage
  readonly clock: Clock
  readonly rate: RateLimit
  /** Called once, when the application reads for the first time: sends `100 Continue` if the client expects it. */
  readonly onFirstRead: () => void
  /** Set when the client waits for `100 Continue`: it sends nothing that could be discarded before. */
  readonly isHeldBack: boolean
}

export class RequestBody {
  /** The stream that the application reads. A truncated body delivers all received bytes, then an error. */
  readonly stream: ReadableStream<Uint8Array>
  readonly #deps: RequestBodyDeps
  readonly #rate: LeastRate
  #pieces: Uint8Array[] = []
  /** Buffer that joins short pieces: stored separately, each would need a hundred times the memory of its bytes. */
  #gathered: Uint8Array | undefined
  #gatheredBytes = 0
  #queuedBytes = 0
  #receivedPieces = 0
  #receivedBytes = 0
  #isStarted = false
  #isWhole = false
  #isDiscarded = false
  #failure: unknown
  #wake: () => void = () => {}

  constructor(deps: RequestBodyDeps) {
    this.#deps = deps
    this.#rate = new LeastRate(deps.rate)
    this.stream = new ReadableStream<Uint8Array>({ pull: (controller) => this.#pull(controller), cancel: () => this.#discard() }, { highWaterMark: 0 })
  }

  /** Fails a body that arrives too slowly with the problem `request-timeout`. Call it every second. */
  checkRate(nowMs: number): void {
    if (!this.#rate.isTooSlow(nowMs)) return
    const { bytesPerSecondMin, windowMs } = this.#deps.rate
    const detail = `The body arrived at less than ${bytesPerSecondMin} bytes per second for ${windowMs / 1000} s.`
    this.fail(problem('request-timeout', detail, { action: 'Send the request again over a faster connection.' }))
  }

  /** Fails the application's read once it has read everything received so far. */
  fail(error: unknown): void {
    if (this.#isWhole) return
    this.#failure ??= error
    this.#wake()
  }

  /**
   * Discards a bounded part of what the application has not read, because many clients read the answer only after they have sent the body. Call
   * it when the answer is known. Returns whether the body ended, so that the connection can carry another request.
   */
  async settle(): Promise<boolean> {
    if (this.#isWhole) return true
    if (this.#failure !== undefined || (this.#deps.isHeldBack && !this.#isStarted)) return false
    this.#discard()
    this.#start()
    const { clock, message } = this.#deps
    const patience = new AbortController()
    // Rejects when the body ends first; the result is not used then.
    const late = clock.sleep(DISCARD_MS_MAX, patience.signal).then(
      () => false,
      () => false,
    )
    message.resume()
    const isSettled = await Promise.race([late, this.#ended()])
    patience.abort()
    if (!isSettled) message.pause()
    return isSettled
  }

  /** Resolves with true at the end of the body; with false when the body failed or is too long to discard. */
  async #ended(): Promise<boolean> {
    while (!this.#isWhole && this.#failure === undefined && this.#queuedBytes <= DISCARD_BYTES_MAX) await this.#change()
    return this.#isWhole
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const { clock, message } = this.#deps
    this.#start()
    while (this.#pieces.length === 0 && this.#gatheredBytes === 0) {
      if (this.#isWhole) {
        controller.close()
        return
      }
      if (this.#failure !== undefined) throw this.#failure
      this.#rate.wait(clock.monotonicMs())
      await this.#change()
      this.#rate.rest(clock.monotonicMs())
    }
    if (this.#pieces.length === 0) this.#endGathering()
    const piece = this.#pieces.shift()
    if (!piece) return
    this.#queuedBytes -= piece.byteLength
    if (this.#queuedBytes < BODY_QUEUE_BYTES_MAX && message.isPaused()) message.resume()
    controller.enqueue(piece)
  }

  #start(): void {
    if (this.#isStarted) return
    this.#isStarted = true
    const { message, onFirstRead } = this.#deps
    message.on('data', (piece: Buffer) => this.#take(piece))
    message.once('end', () => {
      this.#isWhole = true
      this.#wake()
    })
    const cut = (): void => this.fail(new DOMException('The client closed the connection.', 'AbortError'))
    message.once('error', cut)
    message.once('close', cut)
    // A connection that is already closed emits no more events.
    if (message.destroyed) cut()
    onFirstRead()
  }

  #take(piece: Buffer): void {
    this.#receivedPieces++
    this.#receivedBytes += piece.byteLength
    if (this.#receivedPieces % PIECES_JUDGED === 0) this.#judgePieces()
    this.#rate.moved(piece.byteLength)
    this.#queuedBytes += piece.byteLength
    if (!this.#isDiscarded) {
      if (piece.byteLength < SHORT_PIECE_BYTES) this.#gather(piece)
      else {
        this.#endGathering()
        // The application keeps pieces, so a piece that shares its memory with others is copied.
        const isOwn = piece.byteLength === piece.buffer.byteLength
        this.#pieces.push(isOwn ? new Uint8Array(piece.buffer) : Uint8Array.from(piece))
      }
      if (this.#queuedBytes >= BODY_QUEUE_BYTES_MAX) this.#deps.message.pause()
    }
    this.#wake()
  }

  /** Fails a body that arrives in pieces of a few bytes. The application still reads what was received before. */
  #judgePieces(): void {
    if (this.#receivedBytes >= this.#receivedPieces * PIECE_BYTES_AVERAGE_MIN) return
    const detail = `The chunks of the body have less than ${PIECE_BYTES_AVERAGE_MIN} bytes on average.`
    this.fail(problem('invalid-input', detail, { action: 'Send the body in longer chunks.' }))
  }

  #gather(piece: Uint8Array): void {
    if (this.#gatheredBytes + piece.byteLength > GATHERED_BYTES_MAX) this.#endGathering()
    this.#gathered ??= new Uint8Array(GATHERED_BYTES_MAX)
    this.#gathered.set(piece, this.#gatheredBytes)
    this.#gatheredBytes += piece.byteLength
  }

  /** Appends the gathered bytes to the pieces as one piece. */
  #endGathering(): void {
    if (!this.#gathered || this.#gatheredBytes === 0) return
    this.#pieces.push(Uint8Array.from(this.#gathered.subarray(0, this.#gatheredBytes)))
    this.#gatheredBytes = 0
  }

  /** Drops the queued bytes. Bytes that arrive later are counted and dropped. */
  #discard(): void {
    if (this.#isDiscarded) return
    this.#isDiscarded = true
    this.#pieces = []
    this.#gathered = undefined
    this.#gatheredBytes = 0
    this.#queuedBytes = 0
    if (this.#isStarted) this.#deps.message.pause()
    this.#wake()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve))
  }
}
