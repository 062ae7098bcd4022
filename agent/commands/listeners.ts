// The sockets of an agent: `network.listen`, and the same port on the addresses of the data and sync networks. They
// are opened first, so that a taken port is reported before anything is changed, and respond with 503 until the store is open
// and while it drains.

import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { errorCode, errorText } from '../../protocol/errors.ts'
import { makeProblem } from '../../protocol/problems.ts'
import type { Config } from '../config.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { Application } from '../server/exchange.ts'
import { openServer } from '../server/server.ts'
import type { HttpServer } from '../server/server.ts'
import { listenHosts } from './listen-hosts.ts'
import { readSendQueues } from '../system/send-queues.ts'
import { unreadableReason } from '../system/unreadable.ts'
import { StartRefused } from './start-refused.ts'

/** How often a drain checks whether the last request has ended, in milliseconds. */
const DRAIN_LOOK_MS = 20
/** Seconds after which a client may retry at an agent that starts or stops. */
const RETRY_SECONDS = 3

export interface Listeners extends AsyncDisposable {
  /** Base URLs, that of `network.listen` first. */
  readonly urls: readonly string[]
  /** Answers requests with this application from now on. */
  serve(application: Application): void
  /** Reloads certificate and key for new connections. Throws, with the old ones in use, when they cannot be used. */
  reloadTls(): Promise<void>
  /** End of the certificate in use in milliseconds since 1970; null without TLS. */
  certificateEndMs(): number | null
  /** Answers new requests with 503; resolves when the requests in progress have ended, or after `graceMs`. */
  drain(graceMs: number): Promise<void>
}

export interface ListenersDeps {
  readonly config: Config
  readonly clock: Clock
  readonly log: Log
}

type Tls = { readonly cert: string; readonly key: string }

/** Opens all sockets. Throws StartRefused when one cannot be opened. */
export async function openListeners({ config, clock, log }: ListenersDeps): Promise<Listeners> {
  let answer: Application = () => unavailable('store-unavailable', 'The agent is starting.')
  const application: Application = (request, connection) => answer(request, connection)
  let tls = await readTls(config)

  const hosts = listenHosts(config)
  let servers: HttpServer[] = []
  /** Servers with a former certificate, whose last requests may still be in progress. */
  const former: HttpServer[] = []
  const open = (host: string, port: number): Promise<HttpServer> => openServer({ host, port, tls, application, clock, log, sendQueues: readSendQueues })
  const closeAll = async (): Promise<void> => void (await Promise.all([...servers, ...former].map((server) => server[Symbol.asyncDispose]())))
  let port = config.network.listen.port
  for (const host of hosts) {
    try {
      servers.push(await open(host, port))
      // With port 0 the kernel chooses once, and all addresses have the same port.
      port = servers[0]?.port ?? port
    } catch (error) {
      await closeAll()
      throw refuseListen(host, port, error)
    }
  }
  const scheme = tls ? 'https' : 'http'

  return {
    urls: hosts.map((host) => `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`),
    serve: (next) => void (answer = next),

    async reloadTls() {
      if (!tls) return
      tls = await readTls(config)
      // Requests in progress end on the old sockets with the old certificate.
      const next: HttpServer[] = []
      for (const [i, server] of servers.entries()) {
        server.stopListening()
        former.push(server)
        next.push(await open(hosts[i] ?? '', port))
      }
      servers = next
      log.info('certificate and key were reloaded')
    },

    certificateEndMs: () => (tls ? new X509Certificate(tls.cert).validToDate.getTime() : null),

    async drain(graceMs) {
      answer = () => unavailable('shutting-down', 'The agent is stopping.')
      const endMs = clock.monotonicMs() + graceMs
      const pending = (): number => [...servers, ...former].reduce((sum, server) => sum + server.pending, 0)
      while (pending() > 0 && clock.monotonicMs() < endMs) await clock.sleep(DRAIN_LOOK_MS)
      if (pending() > 0) log.warn('requests were aborted because they did not end in time', { count: pending() })
    },

    [Symbol.asyncDispose]: closeAll,
  }
}

/** Reads certificate and key of the configuration; undefined without TLS. Throws StartRefused when they cannot be used. */
export async function readTls({ tls }: Config): Promise<Tls | undefined> {
  if (!tls) return undefined
  const [cert, key] = await Promise.all([readPem('tls.cert', tls.cert), readPem('tls.key', tls.key)])
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    throw new StartRefused(`tls.cert and tls.key cannot be used together (${errorText(error)}). Name a certificate and its own key, both PEM.`, {
      cause: error,
    })
  }
  return { cert, key }
}

async function readPem(key: string, path: string): Promise<string> {
  try {
    return await Bun.file(path).text()
  } catch (error) {
    const reason = unreadableReason(path)
    if (reason !== undefined) throw new StartRefused(`${key} "${path}" cannot be read: ${reason}`, { cause: error })
    throw new StartRefused(`${key} "${path}" cannot be read (${errorCode(error) ?? errorText(error)}). Name a PEM file that exists.`, { cause: error })
  }
}

function refuseListen(host: string, port: number, error: unknown): Error {
  const address = `${host}:${port}`
  switch (errorCode(error) ?? '') {
    case 'EADDRINUSE':
      return new StartRefused(`The address ${address} is taken by another process. Stop that process, or set network.listen to another port.`, { cause: error })
    case 'EADDRNOTAVAIL':
      return new StartRefused(`This node does not have the address ${host}. Set network.listen to one of its addresses.`, { cause: error })
    case 'EACCES':
      return new StartRefused(`The agent may not listen on ${address}. Set network.listen to a port above 1023.`, { cause: error })
    default:
      return new StartRefused(`The agent cannot listen on ${address}: ${errorText(error)}. Correct network.listen, tls.cert and tls.key.`, {
        cause: error,
      })
  }
}

function unavailable(code: 'store-unavailable' | 'shutting-down', detail: string): Response {
  const action = 'Try again in a few seconds; nothing acknowledged is lost.'
  return Response.json(makeProblem(code, detail, { action }), {
    status: 503,
    headers: { 'content-type': 'application/problem+json', 'retry-after': String(RETRY_SECONDS), connection: 'close', 'tus-resumable': '1.0.0' },
  })
}
