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
import { QUEUE_CHECKS, RATE_CHECK_MS, SERVER_LIMITS } from './limits.ts'
import type { ServerLimits } from './limits.ts'
import { isLoss, rawRefusal } from './refusal.ts'
import type { ParseFailure } from './refusal.ts'
import { TLS_OPTIONS } from './tls.ts'

export interface HttpServerDeps {
  readonly host: string
  /** 0 lets the kernel choose. */
  readonly port: number
  /** PEM texts; without them the server speaks plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined
  readonly application: Application
  readonly clock: Clock
  readonly log: Log
  readonly limits?: Partial<ServerLimits>
  /** What the kernel holds for the peers of a local port, so that readers over slow links are told from those that do not read. */
  readonly sendQueues: (localPort: number) => Promise<SendQueues>
}

export interface HttpServer extends AsyncDisposable {
  readonly port: number
  /** Requests whose answers are not sent yet. */
  readonly pending: number
  /** Takes no further connections; those that are open go on. */
  stopListening(): void
}

/** Listens. Rejects with the system's error when the address cannot be had. */
export async function openServer(deps: HttpServerDeps): Promise<HttpServer> {
  const { tls, clock, log, application } = deps
  const limits = { ...SERVER_LIMITS, ...deps.limits }
  const scheme = tls ? 'https' : 'http'
  const conversations = new Conversations(limits, log)
  const options = {
    maxHeaderSize: limits.headBytesMax,
    // RFC 9112 §3.2 is ours to hold: HTTP/1.0 has no Host.
    requireHostHeader: false,
    headersTimeout: limits.headMsMax,
    // Bodies may take days; their rate is watched.
    requestTimeout: 0,
    keepAliveTimeout: limits.idleMsMax,
    connectionsCheckingInterval: Math.max(1, Math.min(RATE_CHECK_MS, limits.headMsMax / 2)),
    noDelay: true,
  }
  const server: Server = tls ? createHttpsServer({ ...options, ...TLS_OPTIONS, ...tls }) : createHttpServer(options)
  // The timers run only while a request is in progress: an idle agent must not wake up for nothing.
  let watches: readonly Disposable[] = []
  const unwatch = (): void => {
    for (const timer of watches) timer[Symbol.dispose]()
    watches = []
  }
  const watch = (): void => {
    if (watches.length > 0) return
    watches = [
      clock.every(RATE_CHECK_MS, () => {
        if (conversations.pending === 0) unwatch()
        else conversations.checkRates(clock.monotonicMs())
      }),
      clock.every(limits.rate.windowMs / QUEUE_CHECKS, () => void observe()),
    ]
  }
  const begin =
    (expectation: Expectation) =>
    (message: IncomingMessage, response: ServerResponse): void => {
      // One packet may bring a thousand requests: those that are too many cost as little as possible.
      if (!conversations.admits(message.socket)) return
      watch()
      conversations.add(message.socket, new Exchange({ application, clock, log, limits, scheme }, message, response, expectation))
    }

  server.on('connection', (socket: Socket) => conversations.open(socket))
  server.on('request', begin('none'))
  server.on('checkContinue', begin('continue'))
  server.on('checkExpectation', begin('unknown'))
  // RFC 9110 §7.8 and §9.3.6: no protocol to change to, and no tunnels.
  server.on('connect', (_message: IncomingMessage, socket: Socket) => refuse(socket, { code: 'HPE_INVALID_METHOD', packet: CONNECT_LINE }))
  server.on('clientError', (error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket: Socket) => {
    const failure = { code: error.code ?? '', packet: error.rawPacket }
    if (isLoss(failure)) socket.destroy()
    else if (!conversations.failBody(socket)) refuse(socket, failure)
  })

  const refuse = (socket: Socket, failure: ParseFailure): void => {
    const bytes = rawRefusal(failure, limits)
    conversations.afterAnswers(socket, () => {
      if (socket.destroyed || !socket.writable) socket.destroy()
      else socket.end(bytes)
    })
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(deps.port, deps.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { port } = server.address() as AddressInfo
  let isObserving = false
  const observe = async (): Promise<void> => {
    if (isObserving || !conversations.hasBlockedAnswers) return
    isObserving = true
    conversations.observeQueues(await deps.sendQueues(port))
    isObserving = false
  }
  return {
    port,
    get pending() {
      return conversations.pending
    },
    stopListening: () => void server.close(),
    async [Symbol.asyncDispose]() {
      unwatch()
      server.close()
      server.closeAllConnections()
    },
  }
}

const CONNECT_LINE = new TextEncoder().encode('CONNECT - HTTP/1.1\r\n')
