// A small HTTP/1.1 client on sockets: the suite sends requests that ordinary clients cannot send, breaks connections, and stays silent.

import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** Longest time for an answer, after which a case fails, in milliseconds. */
const ANSWER_MS_MAX = 20_000

export interface Answer {
  readonly status: number
  /** Names in lower case; repeated values are joined with ', '. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Uint8Array
}

export interface WireRequest {
  readonly method: string
  /** Absolute URL. */
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** Sends chunks instead of a Content-Length. */
  readonly isChunked?: boolean
}

/** One connection. Send requests one after the other. `send` can stop in the middle of a body. */
export class Wire {
  /** Status codes of the interim responses that were read. */
  readonly interim: number[] = []
  readonly #socket: Socket
  #received: Uint8Array = new Uint8Array(0)
  #isEnded = false
  #wake: () => void = () => {}

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (piece: Uint8Array) => {
      this.#received = concat(this.#received, piece)
      this.#wake()
    })
    const end = (): void => {
      this.#isEnded = true
      this.#wake()
    }
    socket.on('end', end)
    socket.on('close', end)
    // A server may reset the connection after the answer; before it, `answer` reports the missing answer.
    socket.on('error', end)
  }

  static async open(url: string): Promise<Wire> {
    const { protocol, hostname, port } = new URL(url)
    const host = hostname.replace(/^\[|\]$/g, '')
    const isTls = protocol === 'https:'
    const number = port === '' ? (isTls ? 443 : 80) : Number(port)
    const socket = isTls ? connectTls({ host, port: number, servername: host }) : connectTcp({ host, port: number })
    await new Promise<void>((resolve, reject) => {
      socket.once(isTls ? 'secureConnect' : 'connect', resolve)
      socket.once('error', reject)
    })
    socket.setNoDelay(true)
    return new Wire(socket)
  }

  /** Whether the server closed its side. */
  get isEnded(): boolean {
    return this.#isEnded
  }

  /** Sends the head and the given part of the body. `length` announces a length that differs from that of the given part. */
  async send(request: WireRequest, length?: number): Promise<void> {
    const { host, pathname, search } = new URL(request.url)
    const headers: Record<string, string> = { Host: host, ...request.headers }
    if (request.isChunked) headers['Transfer-Encoding'] = 'chunked'
    else if (request.body || length !== undefined) headers['Content-Length'] = String(length ?? request.body?.byteLength ?? 0)
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    await this.write(new TextEncoder().encode(`${request.method} ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`))
    if (!request.body) return
    if (!request.isChunked) {
      await this.write(request.body)
      return
    }
    await this.writeChunk(request.body)
    await this.write(new TextEncoder().encode('0\r\n\r\n'))
  }

  async writeChunk(piece: Uint8Array): Promise<void> {
    if (piece.byteLength === 0) return
    await this.write(concat(new TextEncoder().encode(`${piece.byteLength.toString(16)}\r\n`), piece, new TextEncoder().encode('\r\n')))
  }

  /** Sends bytes. Resolves when the operating system has them, or when the connection is closed. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.destroyed) resolve()
      else this.#socket.write(bytes, () => resolve())
    })
  }

  /** Returns the next answer. Throws when the connection ends without one, or when it takes too long. */
  async answer(method = 'GET', timeoutMs = ANSWER_MS_MAX): Promise<Answer> {
    const endMs = performance.now() + timeoutMs
    for (;;) {
      const parsed = parseAnswer(this.#received, method, this.#isEnded)
      if (parsed && parsed.answer.status >= 200) {
        this.#received = this.#received.slice(parsed.length)
        return parsed.answer
      }
      if (parsed) {
        this.interim.push(parsed.answer.status)
        this.#received = this.#received.slice(parsed.length)
        continue
      }
      if (this.#isEnded) throw new Error('the connection ended without an answer')
      if (performance.now() > endMs) throw new Error(`no answer within ${timeoutMs} ms`)
      await this.#change(endMs - performance.now())
    }
  }

  /** Closes this side of the connection with FIN. */
  end(): void {
    this.#socket.end()
  }

  /** Breaks the connection; `reset` sends RST. */
  cut(kind: 'close' | 'reset' = 'close'): void {
    if (kind === 'reset') this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }

  #change(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(1, waitMs))
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

function parseAnswer(bytes: Uint8Array, method: string, isEnded: boolean): { answer: Answer; length: number } | undefined {
  const text = new TextDecoder('latin1').decode(bytes)
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd === -1) return undefined
  const [statusLine = '', ...lines] = text.slice(0, headEnd).split('\r\n')
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1])
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).trim().toLowerCase()
    const value = line.slice(colon + 1).trim()
    headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value)
  }
  const start = headEnd + 4
  const done = (body: Uint8Array, length: number) => ({ answer: { status, headers, body }, length })
  if (method === 'HEAD' || status === 204 || status === 304 || status < 200) return done(new Uint8Array(0), start)
  if (headers.get('transfer-encoding')?.toLowerCase() === 'chunked') {
    const end = text.indexOf('0\r\n\r\n', start)
    return end === -1 ? undefined : done(bytes.slice(start, end), end + 5)
  }
  const announced = headers.get('content-length')
  if (announced === undefined) return isEnded ? done(bytes.slice(start), bytes.byteLength) : undefined
  const length = Number(announced)
  return bytes.byteLength < start + length ? undefined : done(bytes.slice(start, start + length), start + length)
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.byteLength
  }
  return whole
}
