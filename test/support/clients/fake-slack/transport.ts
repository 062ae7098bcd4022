// How requests of people reach the bot: as envelopes of Socket Mode, or as signed HTTP.

import { createHmac } from 'node:crypto'
import type { ServerWebSocket } from 'bun'
import { ACK_LIMIT_MS } from './limits.ts'
import type { Json } from './shown.ts'

export interface Acknowledged {
  /** Body of the acknowledgement; undefined when it was empty. */
  readonly body: Json | undefined
  readonly status: number
  readonly afterMs: number
}

/** What may be wrong about a signed request. */
export interface SignedChange {
  readonly secret?: string
  /** Time of the signature in seconds since 1970; the present by default, to which `skewS` is added. */
  readonly atS?: number
  readonly skewS?: number
  readonly without?: string
  readonly tampered?: string
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Signs a request as Slack does and sends it to the bot; any part may be wrong. */
export async function sendSigned(to: string, signingSecret: string, body: string, change: SignedChange = {}): Promise<Response> {
  const ts = String((change.atS ?? Math.floor(Date.now() / 1000)) + (change.skewS ?? 0))
  const signature = `v0=${createHmac('sha256', change.secret ?? signingSecret)
    .update(`v0:${ts}:${body}`)
    .digest('hex')}`
  const headers = new Headers({
    ...change.headers,
    'content-type': change.type ?? 'application/x-www-form-urlencoded',
    'x-slack-signature': signature,
    'x-slack-request-timestamp': ts,
  })
  if (change.without !== undefined) headers.delete(change.without)
  return fetch(to, { method: 'POST', headers, body: change.tampered ?? body })
}

/** The type of an envelope of Socket Mode. */
export type EnvelopeType = 'slash_commands' | 'interactive' | 'events_api'

export interface TransportDeps {
  readonly deliverTo: (() => string) | undefined
  readonly signingSecret: string
  readonly failures: string[]
  readonly next: (prefix: string) => string
}

export interface Transport {
  readonly sockets: ReadonlySet<ServerWebSocket>
  /** For Bun.serve. */
  readonly websocket: {
    open(socket: ServerWebSocket): void
    message(socket: ServerWebSocket, text: string | Buffer): void
    close(socket: ServerWebSocket): void
  }
  /** Sends a request and resolves with its acknowledgement. `retry` is the number of the repetition of an event. */
  deliver(type: EnvelopeType, payload: Json, retry?: number): Promise<Acknowledged>
}

/** Creates the transport to one bot. */
export function createTransport({ deliverTo, signingSecret, failures, next }: TransportDeps): Transport {
  const sockets = new Set<ServerWebSocket>()
  const waiting = new Map<string, (body: Json | undefined) => void>()
  const ended = (begunMs: number, status: number, body: Json | undefined): Acknowledged => {
    const afterMs = performance.now() - begunMs
    if (afterMs > ACK_LIMIT_MS) failures.push(`late ack: ${Math.round(afterMs)} ms`)
    return { status, body, afterMs }
  }
  const post = async (to: string, type: EnvelopeType, payload: Json, retry: number | undefined): Promise<Acknowledged> => {
    const begunMs = performance.now()
    const headers = retry === undefined ? {} : { 'x-slack-retry-num': String(retry), 'x-slack-retry-reason': 'http_timeout' }
    const response = await sendSigned(to, signingSecret, httpBody(type, payload), {
      headers,
      ...(type === 'events_api' ? { type: 'application/json' } : {}),
      // Slack signs a repetition again, at another time.
      ...(retry === undefined ? {} : { skewS: -retry }),
    })
    const text = await response.text()
    return ended(begunMs, response.status, text.startsWith('{') ? (JSON.parse(text) as Json) : undefined)
  }
  return {
    sockets,
    websocket: {
      open(socket) {
        sockets.add(socket)
        const debug = { host: 'fake', approximate_connection_time: 18_060 }
        socket.send(JSON.stringify({ type: 'hello', num_connections: sockets.size, connection_info: { app_id: 'A1' }, debug_info: debug }))
      },
      message(_socket, text) {
        const message = JSON.parse(String(text)) as { envelope_id?: string; payload?: Json }
        if (message.envelope_id !== undefined) waiting.get(message.envelope_id)?.(message.payload)
      },
      close: (socket) => void sockets.delete(socket),
    },
    async deliver(type, payload, retry) {
      if (deliverTo) return post(deliverTo(), type, payload, retry)
      const begunMs = performance.now()
      const [socket] = sockets
      if (!socket) throw new Error('the bot is not connected')
      const id = next('envelope')
      const { promise, resolve } = Promise.withResolvers<Json | undefined>()
      waiting.set(id, resolve)
      const repeated = retry === undefined ? {} : { retry_attempt: retry, retry_reason: 'timeout' }
      socket.send(JSON.stringify({ type, envelope_id: id, payload, accepts_response_payload: type !== 'events_api', ...repeated }))
      const body = await promise
      waiting.delete(id)
      return ended(begunMs, 200, body)
    },
  }
}

function httpBody(type: EnvelopeType, payload: Json): string {
  if (type === 'events_api') return JSON.stringify(payload)
  const form = type === 'slash_commands' ? (payload as Record<string, string>) : { payload: JSON.stringify(payload) }
  return new URLSearchParams(form).toString()
}
