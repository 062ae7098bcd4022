// The network between the processes of a world. Bodies travel in pieces, each an event; a connection breaks when one of its ends dies, and
// where a script says so.

import type { Owner } from './scheduler.ts'
import type { World } from './world.ts'

/** A process that answers requests. */
export interface Server {
  readonly owner: Owner
  answer(request: Request): Promise<Response>
}

/** Changes what travels, such as a peer that lies. */
export interface Tampering {
  /** Replaces the body of an answer. */
  answer?(url: URL, method: string, body: Uint8Array): Uint8Array
}

/** Pieces of a body are cut to random lengths up to this. */
const PIECE_BYTES_MAX = 24 * 1024

export class Network {
  readonly #world: World
  readonly #servers = new Map<string, Server>()
  readonly #open = new Set<{ readonly ends: readonly Owner[]; readonly break: () => void }>()
  readonly tampering = new Map<string, Tampering>()

  constructor(world: World) {
    this.#world = world
  }

  /** From now on requests to `host` are answered by a server. */
  listen(host: string, server: Server): void {
    this.#servers.set(host, server)
  }

  /** The process is gone: its connections break at their other ends. */
  ended(owner: Owner): void {
    for (const [host, server] of this.#servers) if (server.owner === owner) this.#servers.delete(host)
    for (const connection of [...this.#open])
      if (connection.ends.includes(owner)) {
        this.#open.delete(connection)
        connection.break()
      }
  }

  /** `fetch` of the process that calls it. */
  readonly fetch = (text: string, init: RequestInit): Promise<Response> => {
    const { scheduler } = this.#world
    const client = scheduler.current
    const url = new URL(text)
    return new Promise((resolve, reject) => {
      scheduler.post(client, `connect ${url.host}`, () => {
        const server = this.#servers.get(url.host)
        if (!server) {
          reject(connectionError('ECONNREFUSED'))
          return
        }
        this.#exchange(client, server, url, init, { resolve, reject })
      })
    })
  }

  #exchange(
    client: Owner,
    server: Server,
    url: URL,
    init: RequestInit,
    answer: { resolve: (response: Response) => void; reject: (error: unknown) => void },
  ): void {
    const { scheduler } = this.#world
    const aborted = new AbortController()
    let isOver = false
    const answerBody: { controller?: ReadableStreamDefaultController<Uint8Array> } = {}
    const requestBody: { controller?: ReadableStreamDefaultController<Uint8Array> } = {}
    /** Breaks both ways; each end learns of it in an event of its own. */
    const breakOff = (): void => {
      if (isOver) return
      isOver = true
      this.#open.delete(connection)
      const error = connectionError('ECONNRESET')
      scheduler.post(client, 'reset', () => {
        answer.reject(error)
        answerBody.controller?.error(error)
      })
      scheduler.post(server.owner, 'reset', () => {
        requestBody.controller?.error(error)
        aborted.abort(error)
      })
    }
    const connection = { ends: [client, server.owner], break: breakOff }
    this.#open.add(connection)
    init.signal?.addEventListener('abort', breakOff, { once: true })

    const method = init.method ?? 'GET'
    const headers = new Headers(init.headers)
    scheduler.post(server.owner, `${method} ${url.pathname}`, () => {
      if (isOver) return
      const body = this.#requestBody(client, server.owner, init.body, requestBody, breakOff, () => isOver)
      const request = new Request(url.href, { method, headers, signal: aborted.signal, ...(body ? { body, duplex: 'half' } : {}) })
      server.answer(request).then(
        (response) =>
          void this.#respond({
            client,
            server: server.owner,
            url,
            method,
            response,
            answer,
            answerBody,
            isOver: () => isOver,
            breakOff,
            end: () => {
              isOver = true
              this.#open.delete(connection)
            },
          }),
        breakOff,
      )
    })
  }

  /** A body as the server reads it: each piece is fetched from the client when it is wanted. */
  #requestBody(
    client: Owner,
    server: Owner,
    body: unknown,
    into: { controller?: ReadableStreamDefaultController<Uint8Array> },
    breakOff: () => void,
    isOver: () => boolean,
  ): Uint8Array<ArrayBuffer> | string | ReadableStream<Uint8Array> | undefined {
    if (body === undefined || body === null) return undefined
    if (typeof body === 'string') return body
    const { scheduler } = this.#world
    const pieces = piecesOf(body)
    let isRefused = false
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => void (into.controller = controller),
        pull: () =>
          new Promise<void>((resolve) => {
            scheduler.post(client, 'send', () => {
              pieces.next().then(
                ({ done, value }) => {
                  scheduler.post(server, `receive ${value?.byteLength ?? 'end'}`, () => {
                    if (isOver() || isRefused) return
                    if (done) into.controller?.close()
                    else into.controller?.enqueue(value)
                    resolve()
                  })
                },
                () => breakOff(),
              )
            })
          }),
        cancel() {
          isRefused = true
          scheduler.post(client, 'body refused', () => void pieces.return(undefined).catch(() => {}))
        },
      },
      { highWaterMark: 0 },
    )
  }

  async #respond(exchange: {
    client: Owner
    server: Owner
    url: URL
    method: string
    response: Response
    answer: { resolve: (response: Response) => void }
    answerBody: { controller?: ReadableStreamDefaultController<Uint8Array> }
    isOver: () => boolean
    breakOff: () => void
    end: () => void
  }): Promise<void> {
    const { client, server, url, method, answer, answerBody, isOver, breakOff, end } = exchange
    const { scheduler } = this.#world
    let { response } = exchange
    const tamper = this.tampering.get(url.host)?.answer
    if (tamper && response.ok && response.body) {
      const bytes = tamper(url, method, new Uint8Array(await response.arrayBuffer()))
      response = new Response(Uint8Array.from(bytes), response)
    }
    const hasBody = response.body !== null && method !== 'HEAD' && ![204, 304].includes(response.status)
    const { status, headers } = response
    const reader = hasBody ? response.body?.getReader() : undefined
    const stream = reader && new ReadableStream<Uint8Array>({ start: (controller) => void (answerBody.controller = controller), cancel: () => breakOff() })
    scheduler.post(client, `answer ${status} ${method} ${url.pathname}`, () => {
      if (isOver()) return
      if (!reader) end()
      answer.resolve(new Response(stream ?? null, { status, headers }))
      if (reader) scheduler.post(server, 'send answer', pump)
    })
    const pump = (): void => {
      if (!reader || isOver()) {
        reader?.cancel().catch(() => {})
        return
      }
      reader.read().then(({ done, value }) => {
        if (done) {
          scheduler.post(client, 'answer ends', () => {
            if (isOver()) return
            end()
            answerBody.controller?.close()
          })
          return
        }
        deliver(value)
      }, breakOff)
    }
    const deliver = (bytes: Uint8Array): void => {
      const piece = bytes.subarray(0, 1 + scheduler.random.below(PIECE_BYTES_MAX))
      const rest = bytes.subarray(piece.byteLength)
      const copy = Uint8Array.from(piece)
      scheduler.post(client, `piece ${copy.byteLength}`, () => {
        if (!isOver()) answerBody.controller?.enqueue(copy)
        scheduler.post(server, 'sent', () => (rest.byteLength > 0 && !isOver() ? deliver(rest) : pump()))
      })
    }
  }
}

async function* piecesOf(body: unknown): AsyncGenerator<Uint8Array, undefined> {
  if (body instanceof Uint8Array) {
    if (body.byteLength > 0) yield body
    return
  }
  if (!(body instanceof ReadableStream)) throw new Error('a body of the simulated network is bytes, text or a stream')
  const reader = (body as ReadableStream<Uint8Array>).getReader()
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) yield piece.value
}

function connectionError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code })
}
