// One request and its answer: converts the message to a Request, calls the application, and sends its Response.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { Connection } from '../contract/connection.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import { Answer } from './answer.ts'
import { DISCARD_BYTES_MAX, LINGER_MS_MAX } from './limits.ts'
import type { ServerLimits } from './limits.ts'
import { refusalResponse } from './refusal.ts'
import { RequestBody } from './request-body.ts'
import { METHODS_OF_NO_PATH, readHead } from './request-head.ts'
import type { RequestHead } from './request-head.ts'

/** Returns the answer to a request. When it throws or rejects, the client gets 500. */
export type Application = (request: Request, connection: Connection) => Response | Promise<Response>

/** What the Expect header asks for (RFC 9110 §10.1.1). */
export type Expectation = 'none' | 'continue' | 'unknown'

export interface ExchangeDeps {
  readonly application: Application
  readonly clock: Clock
  readonly log: Log
  readonly limits: ServerLimits
  readonly scheme: 'http' | 'https'
}

export class Exchange {
  readonly #deps: ExchangeDeps
  readonly #message: IncomingMessage
  readonly #response: ServerResponse
  readonly #expectation: Expectation
  readonly #answer: Answer
  #body: RequestBody | undefined
  /** Set when the request was refused without reading its body, so that the next request on the connection cannot be found. */
  #isRefused = false

  constructor(deps: ExchangeDeps, message: IncomingMessage, response: ServerResponse, expectation: Expectation) {
    this.#deps = deps
    this.#message = message
    this.#response = response
    this.#expectation = expectation
    this.#answer = new Answer({ ...deps, response, isHead: message.method === 'HEAD', rate: deps.limits.rate })
  }

  /** Whether the request was received completely, so that further bytes on the connection belong to another request. */
  get isReceived(): boolean {
    return this.#message.complete
  }

  /** Answers the request. Resolves when the answer was sent or the connection is closed. Never rejects. */
  async run(): Promise<void> {
    const answer = await this.#ask()
    // Without the rest of the body the next request cannot be found: the connection ends with this answer.
    const isSettled = this.#body ? await this.#body.settle() : !this.#isRefused
    await this.#answer.send(answer, isSettled ? undefined : () => this.#linger())
  }

  /** Discards the rest of the body until the client has sent all of it, has closed the connection, or has had time to read the answer. */
  async #linger(): Promise<void> {
    const { clock } = this.#deps
    const message = this.#message
    const over = new AbortController()
    const end = (): void => over.abort()
    let discarded = 0
    const discard = (piece: Uint8Array): void => {
      discarded += piece.byteLength
      if (discarded > DISCARD_BYTES_MAX) message.pause()
    }
    message.on('data', discard)
    message.once('end', end)
    this.#response.once('close', end)
    message.resume()
    // Rejects when the client finishes first.
    await clock.sleep(LINGER_MS_MAX, over.signal).catch(() => {})
    message.off('data', discard)
  }

  /** Whether the connection ends with this answer, so that no further request on it is processed (RFC 9112 §9.6). */
  get isLast(): boolean {
    const { httpVersion, headers } = this.#message
    return httpVersion === '1.0' || /\bclose\b/i.test(`${headers.connection} ${String(this.#response.getHeader('connection'))}`)
  }

  /** Whether the answer waits for the client to read. */
  get isAnswerBlocked(): boolean {
    return this.#answer.isWaiting
  }

  /** Records how many unacknowledged bytes of the answer the kernel holds. */
  observeQueue(bytes: number): void {
    this.#answer.observeQueue(bytes)
  }

  /** Checks the rate of the peer while the server waits for it. Call it every second. */
  checkRate(nowMs: number): void {
    this.#body?.checkRate(nowMs)
    this.#answer.checkRate(nowMs)
  }

  /** Fails the body that the parser cannot read. Returns whether the application can still answer the request. */
  failBody(): boolean {
    if (!this.#body || this.#response.headersSent) return false
    this.#body.fail(problem('malformed-request', 'The framing of the body violates RFC 9112 §7.1.'))
    return true
  }

  async #ask(): Promise<Response> {
    const { limits, scheme } = this.#deps
    const { localAddress = '', localPort = 0 } = this.#message.socket
    const localHost = `${localAddress.includes(':') ? `[${localAddress}]` : localAddress}:${localPort}`
    const head = readHead(this.#message, { scheme, localHost, targetBytesMax: limits.targetBytesMax })
    this.#isRefused = head instanceof ProblemError || this.#expectation === 'unknown'
    if (head instanceof ProblemError) return refusalResponse(head)
    if (this.#expectation === 'unknown') return refusalResponse(problem('expectation-failed', 'The only supported expectation is 100-continue.'))
    try {
      if (METHODS_OF_NO_PATH.has(head.method)) return await this.#refuseMethod(head)
      return await this.#deps.application(this.#request(head), this.#connection())
    } catch (error) {
      // When the client has disconnected, the rejection is not a failure of the application.
      this.#deps.log[this.#response.destroyed ? 'debug' : 'error']('the application failed', { error })
      return refusalResponse(problem('internal', 'The agent failed unexpectedly.'))
    }
  }

  /** Answers 405 with the methods of the path, which the application returns for OPTIONS. A Request cannot have the method TRACE. Does not read the body. */
  async #refuseMethod({ url, method }: RequestHead): Promise<Response> {
    this.#isRefused = true
    const options = await this.#deps.application(new Request(url, { method: 'OPTIONS' }), this.#connection())
    const allow = options.headers.get('allow')
    if (allow === null) return options
    await options.body?.cancel()
    return refusalResponse(problem('method-not-allowed', `${new URL(url).pathname} does not support ${method}.`, {}, { headers: { Allow: allow } }))
  }

  #request({ url, method, headers, hasBody }: RequestHead): Request {
    const gone = new AbortController()
    this.#response.once('close', () => {
      if (!this.#response.writableFinished) gone.abort(new DOMException('The client closed the connection.', 'AbortError'))
    })
    const common = { method, headers, signal: gone.signal }
    if (!hasBody) return new Request(url, common)
    const expectsContinue = this.#expectation === 'continue'
    this.#body = new RequestBody({
      message: this.#message,
      clock: this.#deps.clock,
      rate: this.#deps.limits.rate,
      isHeldBack: expectsContinue,
      // RFC 9110 §10.1.1: sends 100 once the application reads the body, so that a refusal based on the head comes without it.
      onFirstRead: () => {
        if (expectsContinue && !this.#response.headersSent) this.#response.writeContinue()
      },
    })
    // The Fetch standard forbids bodies of GET and HEAD, and RFC 9110 §9.3.1 defines no meaning for them: the server discards them.
    return method === 'GET' || method === 'HEAD' ? new Request(url, common) : new Request(url, { ...common, body: this.#body.stream, duplex: 'half' })
  }

  #connection(): Connection {
    const response = this.#response
    const { socket, httpVersion } = this.#message
    return {
      remoteAddress: socket.remoteAddress ?? '',
      inform(status, headers) {
        // RFC 9110 §15.2: no interim responses to HTTP/1.0.
        if (httpVersion === '1.0' || response.destroyed || response.headersSent) return
        const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
        socket.write(`HTTP/1.1 ${status} ${INTERIM[status]}\r\n${lines.join('')}\r\n`)
      },
    }
  }
}

const INTERIM = { 103: 'Early Hints', 104: 'Upload Resumption Supported' } as const
