// One request and its answer: message to Request, application, Response to socket.

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

/** The application: the answer to a request. One that rejects gets 500. */
export type Application = (request: Request, connection: Connection) => Response | Promise<Response>

/** What RFC 9110 §10.1.1 makes of the Expect header. */
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
  /** The head broke a rule, so that nobody knows what follows on the connection. */
  #isRefused = false

  constructor(deps: ExchangeDeps, message: IncomingMessage, response: ServerResponse, expectation: Expectation) {
    this.#deps = deps
    this.#message = message
    this.#response = response
    this.#expectation = expectation
    this.#answer = new Answer({ ...deps, response, isHead: message.method === 'HEAD', rate: deps.limits.rate })
  }

  /** Whether all of the request was received, so that what follows on the connection is another request. */
  get isReceived(): boolean {
    return this.#message.complete
  }

  /** Resolves when the answer was sent or the connection is gone. Never rejects. */
  async run(): Promise<void> {
    const answer = await this.#ask()
    // What is left of the body is no further request: the connection ends with this answer.
    const isSettled = this.#body ? await this.#body.settle() : !this.#isRefused
    await this.#answer.send(answer, isSettled ? undefined : () => this.#linger())
  }

  /** Reads on until the client has closed the connection, has sent everything, or had time to see the answer. */
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
    // Rejects when the client is done before.
    await clock.sleep(LINGER_MS_MAX, over.signal).catch(() => {})
    message.off('data', discard)
  }

  /** Whether the connection ends with this answer, so that no further request of it is processed (RFC 9112 §9.6). */
  get isLast(): boolean {
    const { httpVersion, headers } = this.#message
    return httpVersion === '1.0' || /\bclose\b/i.test(`${headers.connection} ${String(this.#response.getHeader('connection'))}`)
  }

  /** Whether the client is waited for to read the answer. */
  get isAnswerBlocked(): boolean {
    return this.#answer.isWaiting
  }

  /** The kernel holds so many bytes of the answer that the client did not acknowledge. */
  observeQueue(bytes: number): void {
    this.#answer.observeQueue(bytes)
  }

  /** Judges the peer when it is waited for. To be called every second. */
  checkRate(nowMs: number): void {
    this.#body?.checkRate(nowMs)
    this.#answer.checkRate(nowMs)
  }

  /** The parser cannot go on in the body of this request. Gives whether the application learns of it and answers. */
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
      // An application that gives up because the client left did not fail.
      this.#deps.log[this.#response.destroyed ? 'debug' : 'error']('the application failed', { error })
      return refusalResponse(problem('internal', 'The agent failed unexpectedly.'))
    }
  }

  /** The Fetch standard has no TRACE, and no route any of these methods: the application is asked for the methods of the path. The body of the request is not read. */
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
      // RFC 9110 §10.1.1: sent once the application wants the body, so that a refusal by the head alone comes without it.
      onFirstRead: () => {
        if (expectsContinue && !this.#response.headersSent) this.#response.writeContinue()
      },
    })
    // The Fetch standard has no bodies of GET and HEAD, and RFC 9110 §9.3.1 no meaning for them: they are discarded.
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
