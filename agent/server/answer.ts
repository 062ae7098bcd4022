// Writes the application's Response to the socket as fast as the client reads it, with at most one piece in memory. A client never mistakes a
// truncated answer for a complete one.

import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { SLICES_MEDIA_TYPE } from '../../protocol/slices/frames.ts'
import { problem } from '../../protocol/problems.ts'
import { joinBytes } from '../../protocol/bytes.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import { LeastRate } from './least-rate.ts'
import { WRITE_BYTES_MAX } from './limits.ts'
import type { RateLimit } from './limits.ts'
import { refusalResponse } from './refusal.ts'

export interface AnswerDeps {
  readonly response: ServerResponse
  readonly isHead: boolean
  readonly clock: Clock
  readonly log: Log
  readonly rate: RateLimit
}

/** Media types of streams that mark their own end. */
const SELF_DELIMITED: ReadonlySet<string> = new Set([SLICES_MEDIA_TYPE, 'text/event-stream'])

/** The members of a stream's reader that this file uses; the types of Bun and of the DOM differ in the others. */
interface Reader {
  read(): Promise<{ readonly done: false; readonly value: Uint8Array } | { readonly done: true; readonly value?: Uint8Array | undefined }>
  cancel(): Promise<void>
}

export class Answer {
  readonly #deps: AnswerDeps
  readonly #rate: LeastRate
  #reader: Reader | undefined
  #linger: (() => Promise<void>) | undefined
  #isGone = false
  /** Last observed size of the kernel's queue; undefined while the answer does not wait for the client. */
  #queuedBytes: number | undefined
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
      // Ends a stream that waits for its next piece, such as the event stream.
      this.#reader?.cancel().catch(() => {})
      wake()
    })
  }

  /** Whether the answer waits for the client to read. */
  get isWaiting(): boolean {
    return this.#rate.isWaiting
  }

  /** Records how many unacknowledged bytes the kernel holds for the client. A change means that the client reads. */
  observeQueue(bytes: number): void {
    if (this.#queuedBytes !== undefined) this.#rate.moved(Math.abs(this.#queuedBytes - bytes))
    this.#queuedBytes = bytes
  }

  /** Breaks the connection of a client that reads the answer too slowly. Call it every second. */
  checkRate(nowMs: number): void {
    if (this.#rate.isTooSlow(nowMs)) this.break('the client reads too slowly')
  }

  /**
   * Sends an answer. Resolves when the operating system has all of it, or when the connection is closed. With `linger`, closes the connection
   * after the answer, once `linger` has resolved. Never rejects.
   */
  async send(answer: Response, linger?: () => Promise<void>): Promise<void> {
    const { response, isHead } = this.#deps
    try {
      if (this.#isGone || response.destroyed) {
        await answer.body?.cancel()
        return
      }
      response.statusCode = answer.status
      for (const [name, value] of answer.headers) response.setHeader(name, value)
      this.#linger = linger
      if (linger) response.setHeader('connection', 'close')
      if (answer.body && !isHead) await this.#sendBody(answer.body)
      else {
        await answer.body?.cancel()
        // RFC 9110 §8.6: no length where there can be no content.
        if (!isHead && answer.status !== 204 && answer.status !== 304) response.setHeader('content-length', '0')
        await this.#end()
      }
      await this.#waitUntil(() => response.writableFinished)
    } catch (error) {
      this.break('the answer failed after its head was sent', error)
    }
  }

  /**
   * Ends the connection so that the client notices that the answer is incomplete. Where neither a length nor chunks mark the end (HTTP/1.0), a
   * FIN would look like the end, so the connection is reset.
   */
  break(reason: string, error?: unknown): void {
    const { response, log } = this.#deps
    const { socket } = response
    if (this.#isGone || !socket) return
    log.info('closed a connection before its answer was complete', { reason, error })
    if (response.hasHeader('content-length') || isTls(socket)) socket.destroy()
    else socket.resetAndDestroy()
  }

  async #sendBody(body: ReadableStream<Uint8Array>): Promise<void> {
    const { response } = this.#deps
    const reader: Reader = body.getReader()
    this.#reader = reader
    try {
      const announced = response.hasHeader('content-length')
      const { first, rest } = announced ? { first: undefined, rest: reader.read() } : await gather(reader)
      if (first && !rest) {
        response.setHeader('content-length', String(first.byteLength))
        await this.#end(first)
        return
      }
      if (!announced && this.#couldLookComplete()) {
        await this.#refuseVersion()
        return
      }
      const length = announced ? Number(response.getHeader('content-length')) : undefined
      let sent = 0
      if (first) await this.#write(first)
      for (let next = await rest; next && !next.done && !this.#isGone; next = await reader.read()) {
        sent += next.value.byteLength
        if (length !== undefined && sent > length) throw new Error(`the answer is longer than its Content-Length of ${length} bytes`)
        if (sent === length && sent <= WRITE_BYTES_MAX) {
          await this.#end(next.value)
          return
        }
        await this.#write(next.value)
      }
      if (this.#isGone) return
      if (length !== undefined && sent !== length) throw new Error(`the answer ended after ${sent} of ${length} bytes`)
      await this.#end()
    } finally {
      // Closes what the stream holds open; does nothing after its end.
      reader.cancel().catch(() => {})
    }
  }

  /** Ends the answer with its last piece. */
  async #end(piece?: Uint8Array): Promise<void> {
    const { response } = this.#deps
    if (!this.#linger) {
      response.end(piece)
      return
    }
    // RFC 9112 §9.6: closing a connection while the client sends resets it, and the client may lose the answer.
    if (piece) await this.#write(piece)
    else response.flushHeaders()
    await this.#linger()
    response.end()
  }

  /**
   * Whether the client could mistake a failure for the end of the answer: HTTP/1.0 has neither chunks nor a length here, and Bun cannot reset a
   * TLS connection. Media types that mark their own end are safe.
   */
  #couldLookComplete(): boolean {
    const { response } = this.#deps
    const type = String(response.getHeader('content-type')).split(';')[0] ?? ''
    return response.req.httpVersion === '1.0' && isTls(response.req.socket) && !SELF_DELIMITED.has(type)
  }

  async #refuseVersion(): Promise<void> {
    const { response } = this.#deps
    const refusal = refusalResponse(problem('http-version-not-supported', 'The length of the answer is unknown, and sending it requires HTTP/1.1.'))
    for (const name of response.getHeaderNames()) response.removeHeader(name)
    for (const [name, value] of refusal.headers) response.setHeader(name, value)
    response.statusCode = refusal.status
    await this.#end(await refusal.bytes())
  }

  /** Writes a piece to the socket. Resolves when the socket has accepted all of it or is closed. */
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
    this.#queuedBytes = undefined
  }
}

type Read = ReturnType<Reader['read']>

/**
 * Reads the beginning of a body of unknown length: what is available without waiting, up to a bound. Most answers are complete then and have no
 * `rest`, so that their length is known although the application did not announce it.
 */
async function gather(reader: Reader): Promise<{ first: Uint8Array; rest: Read | undefined }> {
  const pieces: Uint8Array[] = []
  let length = 0
  let rest = reader.read()
  while (length <= WRITE_BYTES_MAX) {
    const next = pieces.length === 0 ? await rest : await Promise.race([rest, afterThisTurn()])
    if (!next) break
    if (next.done) return { first: asOne(pieces), rest: undefined }
    pieces.push(next.value)
    length += next.value.byteLength
    rest = reader.read()
  }
  return { first: asOne(pieces), rest }
}

/** Returns the bytes of the pieces; a single piece is returned uncopied. */
function asOne(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces
  return only && pieces.length === 1 ? only : joinBytes(pieces)
}

function isTls(socket: Socket): boolean {
  return 'encrypted' in socket && socket.encrypted === true
}

/** Resolves once everything that is already due has run. */
function afterThisTurn(): Promise<undefined> {
  return new Promise((resolve) => setImmediate(() => resolve(undefined)))
}
