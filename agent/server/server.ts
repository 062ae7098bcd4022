// The HTTP server of an agent: node:http or node:https on Bun underneath, Web Requests and Responses above (docs/decisions/0009).

import { createServer as createHttpServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Clock, Log } from '../contract/runtime.ts'
import { Conversations } from './conversations.ts'
import type { SendQueues } from './conversations.ts'
import { Exchange } from './exchange.ts'
import type { Application, Expectation } from './exchange.ts'
import { RATE_CHECK_MS, SERVER_LIMITS } from './limits.ts'
import type { ServerLimits } from './limits.ts'
import { createRateWatch } from './rate-watch.ts'
import { isLoss, rawRefusal } from './refusal.ts'
import type { ParseFailure } from './refusal.ts'
import { TLS_OPTIONS } from './tls.ts'

export interface HttpServerDeps {
  readonly host: string
  /** 0 lets the kernel choose a port. */
  readonly port: number
  /** PEM texts; without them the server speaks plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined
  readonly application: Application
  readonly clock: Clock
  readonly log: Log
  readonly limits?: Partial<ServerLimits>
  /** Returns what the kernel has queued for the peers of a local port, which distinguishes slow readers from peers that do not read. */
  readonly sendQueues: (localPort: number) => Promise<SendQueues>
}

export interface HttpServer extends AsyncDisposable {
  readonly port: number
  /** Requests whose answers are not sent completely. */
  readonly pending: number
  /** Accepts no further connections; open ones continue. */
  stopListening(): void
}

/** Starts to listen. Rejects with the system's error when the address is not available. */
export async function openServer(deps: HttpServerDeps): Promise<HttpServer> {
  const { tls, clock, log, application } = deps
  const limits = { ...SERVER_LIMITS, ...deps.limits }
  const conversations = new Conversations(limits, log)
  const server = createNodeServer(tls, limits)
  const watch = createRateWatch({ clock, limits, conversations, sendQueues: () => deps.sendQueues(port) })
  const exchange = { application, clock, log, limits, scheme: tls ? 'https' : 'http' } as const
  const begin =
    (expectation: Expectation) =>
    (message: IncomingMessage, response: ServerResponse): void => {
      // One packet may contain a thousand requests, so refusing those beyond the limit must be cheap.
      if (!conversations.admits(message.socket)) return
      watch.start()
      conversations.add(message.socket, new Exchange(exchange, message, response, expectation))
    }
  const refuse = (socket: Socket, failure: ParseFailure): void => {
    const bytes = rawRefusal(failure, limits)
    conversations.afterAnswers(socket, () => {
      if (socket.destroyed || !socket.writable) socket.destroy()
      else socket.end(bytes)
    })
  }

  server.on('connection', (socket: Socket) => conversations.open(socket))
  server.on('request', begin('none'))
  server.on('checkContinue', begin('continue'))
  server.on('checkExpectation', begin('unknown'))
  // RFC 9110 §7.8 and §9.3.6: the server supports neither upgrades nor tunnels.
  server.on('connect', (_message: IncomingMessage, socket: Socket) => refuse(socket, { code: 'HPE_INVALID_METHOD', packet: CONNECT_LINE }))
  server.on('clientError', (error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket: Socket) => {
    const failure = { code: error.code ?? '', packet: error.rawPacket }
    if (isLoss(failure)) socket.destroy()
    else if (!conversations.failBody(socket)) refuse(socket, failure)
  })

  const port = await listen(server, deps)
  return {
    port,
    get pending() {
      return conversations.pending
    },
    stopListening: () => void server.close(),
    async [Symbol.asyncDispose]() {
      watch[Symbol.dispose]()
      server.close()
      server.closeAllConnections()
    },
  }
}

function createNodeServer(tls: HttpServerDeps['tls'], limits: ServerLimits): Server {
  const options = {
    maxHeaderSize: limits.headBytesMax,
    // The agent itself checks RFC 9112 §3.2: HTTP/1.0 has no Host.
    requireHostHeader: false,
    headersTimeout: limits.headMsMax,
    // Bodies may take days; rate-watch.ts checks their rate instead.
    requestTimeout: 0,
    keepAliveTimeout: limits.idleMsMax,
    connectionsCheckingInterval: Math.max(1, Math.min(RATE_CHECK_MS, limits.headMsMax / 2)),
    noDelay: true,
  }
  return tls ? createHttpsServer({ ...options, ...TLS_OPTIONS, ...tls }) : createHttpServer(options)
}

/** Listens and returns the port. */
async function listen(server: Server, { host, port }: Pick<HttpServerDeps, 'host' | 'port'>): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return (server.address() as AddressInfo).port
}

const CONNECT_LINE = new TextEncoder().encode('CONNECT - HTTP/1.1\r\n')
