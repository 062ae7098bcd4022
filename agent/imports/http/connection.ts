// A connection to a web server for imports: HTTP/1.1 over TCP or TLS to one checked address (RFC 9112). It is our own client because an import needs what
// the fetch of the runtime does not give: a connection to a given address without a pool, limits on time and on the head, and back-pressure.

import { connect as connectTcp, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { errorCode } from '../../../protocol/errors.ts'
import type { Clock } from '../../contract/runtime.ts'
import { SourceInterrupted } from '../source.ts'
import { readResponse } from './response.ts'
import type { HttpResponse } from './response.ts'
import { createSocketBytes } from './socket-bytes.ts'

/** Longest wait for a connection with TLS handshake, and for the head of an answer, in milliseconds. */
export const CONNECT_MS = 10_000
export const HEAD_MS = 30_000

export interface ConnectionOptions {
  readonly clock: Pick<Clock, 'sleep'>
  /** Certificates of authorities to trust instead of those of the runtime, in PEM. */
  readonly ca?: string | undefined
  readonly connectMs?: number
  readonly headMs?: number
}

/** One connection, which carries one request after the other. The signal it was opened with ends it. */
export interface HttpConnection extends Disposable {
  /** Whether the connection can carry another request: the last answer was read to its end, and the server keeps the connection open. */
  readonly isIdle: boolean
  /** Sends GET and returns the answer once its head arrived. Throws SourceInterrupted. */
  get(url: URL, headers: Readonly<Record<string, string>>): Promise<HttpResponse>
}

/** Connects to the first address that answers. Throws SourceInterrupted when none does. */
export async function openConnection(url: URL, addresses: readonly string[], options: ConnectionOptions, signal: AbortSignal): Promise<HttpConnection> {
  let failure: unknown
  for (const address of addresses) {
    signal.throwIfAborted()
    try {
      return createConnection(await connect(url, address, options, signal), options, signal)
    } catch (error) {
      signal.throwIfAborted()
      failure ??= error
    }
  }
  if (failure instanceof SourceInterrupted) throw failure
  throw new SourceInterrupted(connectFailure(failure), { cause: failure })
}

async function connect(url: URL, address: string, { clock, ca, connectMs = CONNECT_MS }: ConnectionOptions, signal: AbortSignal): Promise<Socket> {
  const isTls = url.protocol === 'https:'
  const port = Number(url.port || (isTls ? 443 : 80))
  const name = url.hostname.replace(/^\[(.*)\]$/, '$1')
  // The name of the URL is what the certificate must have. RFC 6066 §3: an address is not sent as a server name.
  const servername = isIP(name) === 0 ? { servername: name } : {}
  const socket = isTls
    ? connectTls({ host: address, port, ...servername, ALPNProtocols: ['http/1.1'], rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) })
    : connectTcp({ host: address, port })
  const settled = new AbortController()
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once(isTls ? 'secureConnect' : 'connect', resolve)
      socket.once('error', reject)
      socket.once('close', () => reject(new SourceInterrupted('it closed the connection')))
      const late = clock.sleep(connectMs, AbortSignal.any([signal, settled.signal]))
      late.then(() => reject(new SourceInterrupted(`it did not accept a connection within ${connectMs / 1000} s`)), reject)
    })
    return socket
  } catch (error) {
    // Errors after the first one have no listener otherwise.
    socket.on('error', () => {})
    socket.destroy()
    throw error
  } finally {
    settled.abort()
  }
}

function createConnection(socket: Socket, { clock, headMs = HEAD_MS }: ConnectionOptions, signal: AbortSignal): HttpConnection {
  const bytes = createSocketBytes(socket)
  let isBusy = false
  let isKept = true
  const end = (): void => {
    signal.removeEventListener('abort', end)
    bytes.destroy()
  }
  signal.addEventListener('abort', end, { once: true })

  /** Ends the connection when the head takes too long. */
  const headWithin = async (read: () => Promise<HttpResponse>): Promise<HttpResponse> => {
    const arrived = new AbortController()
    let isLate = false
    const late = clock.sleep(headMs, arrived.signal).then(() => {
      isLate = true
      end()
    })
    // Rejected when the head arrived in time.
    late.catch(() => {})
    try {
      return await read()
    } catch (error) {
      end()
      throw isLate ? new SourceInterrupted(`it did not answer within ${headMs / 1000} s`) : error
    } finally {
      arrived.abort()
    }
  }
  return {
    get isIdle() {
      return isKept && !isBusy && !bytes.isEnded
    },
    async get(url, headers) {
      isBusy = true
      const response = await headWithin(() => {
        socket.write(requestHead(url, headers), 'latin1')
        return readResponse(bytes)
      })
      const release = (isComplete: boolean): void => {
        isBusy = false
        isKept &&= isComplete && response.keepsConnection
        if (!isKept) end()
      }
      return { ...response, body: releasing(response.body, release) }
    },
    [Symbol.dispose]: end,
  }
}

/** Calls `release` when a body has ended, with whether it was read to its end. */
async function* releasing(body: AsyncIterable<Uint8Array>, release: (isComplete: boolean) => void): AsyncGenerator<Uint8Array> {
  let isComplete = false
  try {
    yield* body
    isComplete = true
  } finally {
    release(isComplete)
  }
}

/** Returns a request without a body (RFC 9112 §3). A URL has no characters that could end a line. */
function requestHead(url: URL, headers: Readonly<Record<string, string>>): string {
  const fields = { Host: url.host, 'User-Agent': 'slipway', Accept: '*/*', 'Accept-Encoding': 'identity', ...headers }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('')}\r\n`
}

/** Returns why a connection failed, as a clause. Only codes are named, so no text of the other side is repeated. */
function connectFailure(error: unknown): string {
  const code = errorCode(error)
  if (code === undefined) return 'it cannot be reached'
  return /CERT|SIGNED|ALTNAME|TLS|SSL|ISSUER/.test(code) ? `its certificate is not valid for its name (${code})` : `it cannot be reached (${code})`
}
