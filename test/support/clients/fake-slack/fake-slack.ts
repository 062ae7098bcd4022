// A Slack for tests, on a free port: Web API, Socket Mode over WebSocket, and signed HTTP requests. It refuses what Slack refuses, and
// records what a person would see and the errors of the bot.

import { createFakeFiles } from './files.ts'
import type { SharedFile } from './files.ts'
import { createRates, createTickets } from './limits.ts'
import { createMethods, readBody } from './methods.ts'
import { createPeople } from './people.ts'
import type { People } from './people.ts'
import type { Shown } from './shown.ts'
import { createFakeSignIn } from './sign-in.ts'
import type { FakeSignIn } from './sign-in.ts'
import { createTransport, sendSigned } from './transport.ts'
import type { SignedChange } from './transport.ts'

export interface FakeSlackOptions {
  /** Sends requests as signed HTTP to this address; without it they go over Socket Mode. */
  readonly deliverTo?: () => string
  readonly signingSecret?: string
  readonly botToken?: string
  readonly appToken?: string
  /** Channels in which the bot may not post. */
  readonly closedChannels?: readonly string[]
  /** Members of user groups by id. */
  readonly groups?: Readonly<Record<string, readonly string[]>>
  /** Scopes of the bot token. */
  readonly scopes?: readonly string[]
  /** Whether the manifest of the app enables its home tab. */
  readonly hasHomeTab?: boolean
  readonly nowMs?: () => number
  /** The address to which people who sign in are sent back. */
  readonly signInRedirect?: string
}

export interface FakeSlack extends People, AsyncDisposable {
  /** For SLACK_API_URL. */
  readonly apiUrl: string
  readonly shown: readonly Shown[]
  /** Violations of Slack's rules by the bot. */
  readonly failures: readonly string[]
  readonly calls: readonly string[]
  /** Files that somebody sees. */
  readonly files: readonly SharedFile[]
  readonly socketCount: number
  readonly signIn: FakeSignIn
  /** While it is true, posts and edits end with 503. */
  isAway: boolean
  /** Asks the bot to reconnect, or drops its connections without a message. */
  disconnect(reason: 'warning' | 'refresh_requested'): void
  drop(): void
  ping(): void
  /** Sends a signed request, any part of which may be wrong. */
  sendSigned(body: string, change?: SignedChange): Promise<Response>
}

/** Starts a Slack of one workspace with one app. */
export function createFakeSlack(options: FakeSlackOptions = {}): FakeSlack {
  const nowMs = options.nowMs ?? (() => performance.now())
  const { signingSecret = 'fake-signing-secret', botToken = 'xoxb-fake', appToken = 'xapp-fake', deliverTo } = options
  const shown: Shown[] = []
  const failures: string[] = []
  const calls: string[] = []
  let counter = 0
  let isAway = false
  const next = (prefix: string): string => `${prefix}${++counter}`
  const tickets = createTickets(nowMs)
  const transport = createTransport({ deliverTo, signingSecret, failures, next })
  const { scopes = ['commands', 'chat:write', 'usergroups:read', 'files:write'], closedChannels = [] } = options
  const files = createFakeFiles({ address: (path) => `http://127.0.0.1:${server.port}${path}`, scopes, closedChannels })
  const methods = createMethods({
    ...{ nowMs, next, shown, failures, tickets, files, rates: createRates(nowMs) },
    address: (scheme, path) => `${scheme}://127.0.0.1:${server.port}${path}`,
    closedChannels,
    groups: options.groups ?? {},
    scopes,
    hasHomeTab: options.hasHomeTab ?? true,
  })

  const signIn = createFakeSignIn(() => `http://127.0.0.1:${server.port}`, options.signInRedirect ?? '')
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request, self) {
      const signedIn = await signIn.answer(request)
      if (signedIn) return signedIn
      const { pathname } = new URL(request.url)
      if (pathname === '/link') return self.upgrade(request) ? undefined : new Response('not a WebSocket', { status: 400 })
      if (pathname.startsWith('/response/')) return methods.respond(pathname.slice('/response/'.length), await readBody(request))
      if (pathname.startsWith('/upload/')) return files.upload(pathname.slice('/upload/'.length), request)
      const method = pathname.replace(/^\/api\//, '')
      calls.push(method)
      if (isAway && method.startsWith('chat.')) return new Response('The service is not available.', { status: 503 })
      const token = request.headers.get('authorization')?.replace(/^Bearer /, '') ?? ''
      const body = await readBody(request)
      if ((token || body['token']) !== (method === 'apps.connections.open' ? appToken : botToken)) return Response.json({ ok: false, error: 'invalid_auth' })
      return methods.call(method, body)
    },
    websocket: transport.websocket,
  })
  const base = `http://127.0.0.1:${server.port}`
  const people = createPeople({ transport, tickets, methods, failures, next, responseUrl: (id) => `${base}/response/${id}` })

  return {
    ...people,
    apiUrl: `${base}/api/`,
    shown,
    failures,
    calls,
    files: files.shared,
    signIn,
    get socketCount() {
      return transport.sockets.size
    },
    get isAway() {
      return isAway
    },
    set isAway(value) {
      isAway = value
    },
    disconnect(reason) {
      for (const socket of transport.sockets) socket.send(JSON.stringify({ type: 'disconnect', reason, debug_info: { host: 'fake' } }))
    },
    drop() {
      for (const socket of transport.sockets) socket.terminate()
    },
    ping() {
      for (const socket of transport.sockets) socket.ping('ping')
    },
    sendSigned(body, change) {
      if (!deliverTo) throw new Error('deliverTo is not given')
      return sendSigned(deliverTo(), signingSecret, body, change)
    },
    async [Symbol.asyncDispose]() {
      for (const socket of transport.sockets) socket.terminate()
      await server.stop(true)
    },
  }
}
