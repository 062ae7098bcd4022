// HTTP requests from a given address of this node. The fetch of the runtime cannot choose the local address, so these go through node:http, with its
// pool of connections and with back-pressure: a body that nobody reads is not received.

import { request as requestHttp, Agent as HttpAgent } from 'node:http'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { request as requestHttps, Agent as HttpsAgent } from 'node:https'
import { isIP } from 'node:net'
import { checkServerIdentity } from 'node:tls'
import type { PeerCertificate } from 'node:tls'
import type { LocalEnd } from '../contract/connection.ts'

/** Most idle connections that are kept for each pair of addresses. */
const IDLE_CONNECTIONS_MAX = 16

export interface SendFromOptions {
  /** Certificates of authorities to trust instead of those of the runtime, in PEM. */
  readonly ca?: string
}

/**
 * Returns a function that sends a request from an address of this node to the address in a URL. Certificates must be valid for `serverName`. A body of
 * the request must be text. Rejects when no connection can be made, and with an AbortError when the signal aborts.
 */
export function createSendFrom({ ca }: SendFromOptions = {}): (url: string, init: RequestInit, end: LocalEnd) => Promise<Response> {
  const pools = {
    'http:': new HttpAgent({ keepAlive: true, maxFreeSockets: IDLE_CONNECTIONS_MAX }),
    'https:': new HttpsAgent({ keepAlive: true, maxFreeSockets: IDLE_CONNECTIONS_MAX }),
  }
  return async (text, init, { localAddress, serverName }) => {
    const url = new URL(text)
    const { body } = init
    if (body !== undefined && body !== null && typeof body !== 'string') throw new TypeError('the body of the request must be text')
    const isTls = url.protocol === 'https:'
    const options: RequestOptions & { readonly ca?: string } = {
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port || (isTls ? 443 : 80),
      path: url.pathname + url.search,
      method: init.method ?? 'GET',
      headers: { ...Object.fromEntries(new Headers(init.headers)), ...(body ? { 'content-length': String(Buffer.byteLength(body)) } : {}) },
      localAddress,
      agent: isTls ? pools['https:'] : pools['http:'],
      ...(init.signal ? { signal: init.signal } : {}),
      ...(isTls ? tlsOptions(serverName, ca) : {}),
    }
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = (isTls ? requestHttps : requestHttp)(options, resolve)
      sent.on('error', reject)
      sent.end(body ?? undefined)
    })
    return answerOf(response)
  }
}

function tlsOptions(serverName: string, ca: string | undefined) {
  return {
    // RFC 6066 §3: an address is not sent as a server name.
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    checkServerIdentity: (_host: string, certificate: PeerCertificate) => checkServerIdentity(serverName, certificate),
    ...(ca === undefined ? {} : { ca }),
  }
}

function answerOf(message: IncomingMessage): Response {
  const headers = new Headers()
  for (const [name, value] of Object.entries(message.headers)) for (const one of [value ?? []].flat()) headers.append(name, one)
  const status = message.statusCode ?? 0
  // The Response of the runtime accepts 200 to 599 only. RFC 9110 §15.3.5, §15.4.5: these have no body.
  if (status < 200 || status > 599) {
    message.destroy()
    throw new Error(`the server answered with status ${status}`)
  }
  if (status === 204 || status === 304) {
    message.resume()
    return new Response(null, { status, headers })
  }
  return new Response(bodyOf(message), { status, headers })
}

/** Returns a body that receives a piece only when one is read. It fails when the connection ends before the body does. */
function bodyOf(message: IncomingMessage): ReadableStream<Uint8Array> {
  const pieces = message[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await pieces.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: () => void message.destroy(),
    },
    { highWaterMark: 0 },
  )
}
