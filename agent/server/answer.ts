// Writes the application's Response to the socket: as fast as the client takes it, with at most one piece of it in memory, and never so
// that a part could pass for the whole.

import type { ServerResponse } from 'node:http'
import type { Clock, Log } from '../contract/runtime.ts'
import { LeastRate } from './least-rate.ts'
import { WRITE_BYTES_MAX } from './limits.ts'
import type { RateLimit } from './limits.ts'

export interface AnswerDeps {
  readonly response: ServerResponse
  readonly isHead: boolean
  readonly clock: Clock
  readonly log: Log
  readonly rate: RateLimit
}

/** What is used of a reader; the types of Bun and of the DOM differ in the rest. */
interface Reader {
  read(): Promise<{ readonly done: false; readonly value: Uint8Array } | { readonly done: true; readonly value?: Uint8Array | undefined }>
  cancel(): Promise<void>
}

export class Answer {
  readonly #deps: AnswerDeps
  readonly #rate: LeastRate
  #reader: Reader | undefined
  #isGone = false
  #wake: () => void = () => {}

  constructor(deps: AnswerDeps) {
    this.#deps = deps
    this.#rate = new LeastRate(deps.rate)
    const { response } = deps
    const wake = (): void => this.#wake()
    response.on('drain', wake)
    response.once('finish', wake)
    response.once('close', () => {
      this.#isGone = true
      // A stream that waits for its next piece, as that of events, ends here.
      this.#reader?.cancel().catch(() => {})
      wake()
    })
  }

  /** Breaks the connection of a client that takes the answer too slowly. To be called every second. */
  checkRate(nowMs: number): void {
    if (this.#rate.isTooSlow(nowMs)) this.break('the client reads too slowly')
  }

  /**
   * Resolves when the answer is with the operating system, or the connection is gone. `isReusable`: the connection may carry another
   * request. Never rejects.
   */
  async send(answer: Response, isReusable: boolean): Promise<void> {
    const { response, isHead } = this.#deps
    try {
      if (this.#isGone || response.destroyed) {
        await answer.body?.cancel()
        return
      }
      response.statusCode = answer.status
      for (const [name, value] of answer.headers) response.setHeader(name, value)
      if (!isReusable) response.setHeader('connection', 'close')
      if (answer.body && !isHead) await this.#sendBody(answer.body)
      else {
        await answer.body?.cancel()
        // RFC 9110 §8.6: no length where there can be no content.
        if (!isHead && answer.status !== 204 && answer.status !== 304) response.setHeader('content-length', '0')
        response.end()
      }
      await this.#waitUntil(() => response.writableFinished)
    } catch (error) {
      this.break('the answer failed after its head was sent', error)
    }
  }

  /**
   * Ends the connection so that no client takes what it has for the whole. Where neither a length nor chunks mark the end (HTTP/1.0), a FIN
   * would, so the connection is reset.
   */
  break(reason: string, error?: unknown): void {
    const { response, log } = this.#deps
    const { socket } = response
    if (this.#isGone || !socket) return
    log.info('the connection of an answer was broken', { reason, error })
    if (response.hasHeader('content-length')) socket.destroy()
    else socket.resetAndDestroy()
  }

  async #sendBody(body: ReadableStream<Uint8Array>): Promise<void> {
    const { response } = this.#deps
    const reader: Reader = body.getReader()
    this.#reader = reader
    try {
      let next = await reader.read()
      let following: ReturnType<Reader['read']> | undefined
      if (!next.done && !response.hasHeader('content-length')) {
        following = reader.read()
        // Most answers are one piece: then the length is known although nobody announced it.
        const isOnlyPiece = (await Promise.race([following, afterThisTurn()]))?.done === true
        if (isOnlyPiece) response.setHeader('content-length', String(next.value.byteLength))
      }
      const length = response.hasHeader('content-length') ? Number(response.getHeader('content-length')) : undefined
      let sent = 0
      while (!next.done) {
        sent += next.value.byteLength
        if (length !== undefined && sent > length) throw new Error(`the answer is longer than its Content-Length of ${length} bytes`)
        if (sent === length && sent <= WRITE_BYTES_MAX && !response.headersSent) {
          response.end(next.value)
          return
        }
        await this.#write(next.value)
        if (this.#isGone) return
        next = await (following ?? reader.read())
        following = undefined
      }
      if (this.#isGone) return
      if (length !== undefined && sent !== length) throw new Error(`the answer ended after ${sent} of ${length} bytes`)
      response.end()
    } finally {
      // Whatever the stream holds open is closed; after its end this does nothing.
      reader.cancel().catch(() => {})
    }
  }

  /** Gives the socket a piece; resolves when it took all of it or is gone. */
  async #write(piece: Uint8Array): Promise<void> {
    const { response } = this.#deps
    for (let at = 0; at < piece.byteLength && !this.#isGone; at += WRITE_BYTES_MAX) {
      const part = piece.subarray(at, at + WRITE_BYTES_MAX)
      if (!response.write(part)) await this.#waitUntil(() => !response.writableNeedDrain)
      this.#rate.moved(part.byteLength)
    }
  }

  async #waitUntil(isReached: () => boolean): Promise<void> {
    const { clock } = this.#deps
    this.#rate.wait(clock.monotonicMs())
    while (!isReached() && !this.#isGone) await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#rate.rest(clock.monotonicMs())
  }
}

/** Resolves once everything that is due now has run. */
function afterThisTurn(): Promise<undefined> {
  return new Promise((resolve) => setImmediate(() => resolve(undefined)))
}
