// A Slack for tests, on a free port: Web API, Socket Mode over WebSocket, and signed HTTP requests. It refuses what Slack refuses, and
// records what a person would see and the errors of the bot.

import { createHmac } from 'node:crypto'
import type { ServerWebSocket } from 'bun'
import { blocksRefusal, viewRefusal } from './block-rules.ts'

type Json = Record<string, unknown>

/** Slack gives up on an acknowledgement after this time, in milliseconds; triggers live as long. */
const ACK_LIMIT_MS = 3_000
const RESPONSE_URL_USES_MAX = 5
const RESPONSE_URL_LIFE_MS = 30 * 60_000
/** Messages that a channel accepts at once before it accepts one per second. */
const POST_BURST = 4
const UPDATES_PER_MINUTE = 50
/** Tier 2 of Slack's limits, with the burst that it allows. */
const GROUP_READS_PER_MINUTE = 40

/** Something a person sees. */
export interface Shown {
  readonly kind: 'response' | 'post' | 'ephemeral' | 'update' | 'modal'
  readonly channel: string
  readonly ts: string
  readonly text: string
  readonly blocks: Json[]
  readonly atMs: number
  /** For responses: whether the whole channel sees it. */
  readonly inChannel: boolean
  /** Time stamp of the message in whose thread it is. */
  readonly thread?: string
  readonly view?: Json
}

export interface Acknowledged {
  /** Body of the acknowledgement; undefined when it was empty. */
  readonly body: Json | undefined
  readonly status: number
  readonly afterMs: number
}

export interface Person {
  readonly user?: string
  readonly channel?: string
}

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
  readonly nowMs?: () => number
}

export interface FakeSlack extends AsyncDisposable {
  /** For SLACK_API_URL. */
  readonly apiUrl: string
  readonly shown: readonly Shown[]
  /** Violations of Slack's rules by the bot. */
  readonly failures: readonly string[]
  readonly calls: readonly string[]
  readonly socketCount: number
  /** While it is true, posts and edits end with 503. */
  isAway: boolean
  /** A slash command; resolves with its acknowledgement. */
  command(command: string, text: string, person?: Person): Promise<Acknowledged>
  /** Presses the button with this label in a message. */
  press(message: Shown, label: string, person?: Person): Promise<Acknowledged>
  /** Submits the last state of a modal. */
  submit(view: Json, values: Readonly<Record<string, string>>, person?: Person): Promise<Acknowledged>
  /** Asks the bot to reconnect, or drops its connections without a message. */
  disconnect(reason: 'warning' | 'refresh_requested'): void
  drop(): void
  ping(): void
  /** Sends a signed request, any part of which may be wrong. */
  sendSigned(
    body: string,
    change?: {
      readonly secret?: string
      /** Time of the signature in seconds since 1970; the present by default, to which `skewS` is added. */
      readonly atS?: number
      readonly skewS?: number
      readonly without?: string
      readonly tampered?: string
      readonly type?: string
      readonly headers?: Readonly<Record<string, string>>
    },
  ): Promise<Response>
}

interface Ticket {
  readonly bornMs: number
  uses: number
}

/** Starts a Slack of one workspace with one app. */
export function createFakeSlack(options: FakeSlackOptions = {}): FakeSlack {
  const nowMs = options.nowMs ?? (() => performance.now())
  const { signingSecret = 'fake-signing-secret', botToken = 'xoxb-fake', appToken = 'xapp-fake' } = options
  const scopes = options.scopes ?? ['commands', 'chat:write', 'usergroups:read']
  const shown: Shown[] = []
  const failures: string[] = []
  const calls: string[] = []
  const triggers = new Map<string, Ticket>()
  const responseUrls = new Map<string, Ticket & { channel: string }>()
  const sockets = new Set<ServerWebSocket<unknown>>()
  const waiting = new Map<string, (body: Json | undefined) => void>()
  const posts = new Map<string, number[]>()
  const views = new Map<string, Json>()
  let updates: number[] = []
  let groupReads: number[] = []
  let counter = 0
  let isAway = false
  const next = (prefix: string): string => `${prefix}${++counter}`

  const show = (entry: Omit<Shown, 'atMs' | 'inChannel'> & { inChannel?: boolean }): void => void shown.push({ inChannel: false, ...entry, atMs: nowMs() })
  const refuse = (error: string, detail?: string): Response => {
    failures.push(`${error}${detail === undefined ? '' : `: ${detail}`}`)
    return Response.json({ ok: false, error, ...(detail === undefined ? {} : { response_metadata: { messages: [`[ERROR] ${detail}`] } }) })
  }
  const tooFast = (method: string): Response => {
    failures.push(`ratelimited: ${method}`)
    return Response.json({ ok: false, error: 'ratelimited' }, { status: 429, headers: { 'retry-after': '1' } })
  }

  const post = (body: Json, kind: 'post' | 'ephemeral'): Response => {
    const channel = textOf(body['channel'])
    if (options.closedChannels?.includes(channel)) return Response.json({ ok: false, error: 'not_in_channel' })
    const recent = (posts.get(channel) ?? []).filter((at) => nowMs() - at < 1000 * POST_BURST)
    if (recent.length >= POST_BURST) return tooFast(kind === 'post' ? 'chat.postMessage' : 'chat.postEphemeral')
    posts.set(channel, [...recent, nowMs()])
    const refusal = messageRefusal(body)
    if (refusal !== undefined) return refuse('invalid_blocks', refusal)
    const thread = textOf(body['thread_ts'])
    if (thread !== '' && !shown.some((entry) => entry.ts === thread && entry.kind === 'post' && entry.channel === channel))
      return refuse('thread_not_found', thread)
    const ts = `${1_700_000_000 + ++counter}.000100`
    show({ kind, channel, ts, text: textOf(body['text']), blocks: blocksOf(body), ...(thread === '' ? {} : { thread }) })
    return Response.json({ ok: true, channel, ts, message_ts: ts })
  }

  const methods: Record<string, (body: Json) => Response> = {
    'auth.test': () =>
      Response.json({ ok: true, url: 'https://fake.slack.test/', team: 'Fake', user: 'slipway', team_id: 'T1', user_id: 'UBOT', bot_id: 'B1' }),
    'apps.connections.open': () => Response.json({ ok: true, url: `ws://127.0.0.1:${server.port}/link?ticket=${next('ticket')}` }),
    'chat.postMessage': (body) => post(body, 'post'),
    'chat.postEphemeral': (body) => post(body, 'ephemeral'),
    'chat.update': (body) => {
      updates = updates.filter((at) => nowMs() - at < 60_000)
      if (updates.length >= UPDATES_PER_MINUTE) return tooFast('chat.update')
      updates.push(nowMs())
      const ts = textOf(body['ts'])
      if (!shown.some((entry) => entry.ts === ts && entry.kind === 'post')) return refuse('message_not_found', ts)
      const refusal = messageRefusal(body)
      if (refusal !== undefined) return refuse('invalid_blocks', refusal)
      show({ kind: 'update', channel: textOf(body['channel']), ts, text: textOf(body['text']), blocks: blocksOf(body) })
      return Response.json({ ok: true, channel: body['channel'], ts })
    },
    'views.open': (body) => {
      const trigger = triggers.get(textOf(body['trigger_id']))
      if (!trigger) return refuse('invalid_trigger_id')
      if (trigger.uses > 0) return refuse('exchanged_trigger_id')
      if (nowMs() - trigger.bornMs > ACK_LIMIT_MS) return refuse('expired_trigger_id')
      trigger.uses++
      return showView(next('V'), body['view'])
    },
    'usergroups.users.list': (body) => {
      if (!scopes.includes('usergroups:read'))
        return Response.json({ ok: false, error: 'missing_scope', needed: 'usergroups:read', provided: scopes.join(',') })
      if (typeof body['usergroup'] !== 'string') return refuse('invalid_arguments', 'missing required field: usergroup')
      groupReads = groupReads.filter((at) => nowMs() - at < 60_000)
      if (groupReads.length >= GROUP_READS_PER_MINUTE) return tooFast('usergroups.users.list')
      groupReads.push(nowMs())
      const users = options.groups?.[body['usergroup']]
      return users ? Response.json({ ok: true, users }) : Response.json({ ok: false, error: 'no_such_subteam' })
    },
    'views.update': (body) => {
      const id = textOf(body['view_id'])
      return views.has(id) ? showView(id, body['view']) : refuse('not_found', id)
    },
  }
  const showView = (id: string, given: unknown): Response => {
    const refusal = viewRefusal(given)
    if (refusal !== undefined) return refuse('invalid_arguments', refusal)
    const view: Json = { ...(given as Json), id, hash: next('hash') }
    views.set(id, view)
    show({ kind: 'modal', channel: '', ts: id, text: '', blocks: blocksOf(view), view })
    return Response.json({ ok: true, view })
  }

  const respond = async (id: string, request: Request): Promise<Response> => {
    const ticket = responseUrls.get(id)
    if (!ticket || nowMs() - ticket.bornMs > RESPONSE_URL_LIFE_MS) return refuse('expired_url')
    if (++ticket.uses > RESPONSE_URL_USES_MAX) {
      failures.push(`used_url: a response_url was used ${ticket.uses} times`)
      return Response.json({ ok: false, error: 'used_url' }, { status: 404 })
    }
    const body = (await request.json()) as Json
    const refusal = messageRefusal(body)
    if (refusal !== undefined) return refuse('invalid_blocks', refusal)
    show({
      kind: 'response',
      channel: ticket.channel,
      ts: next('r'),
      text: textOf(body['text']),
      blocks: blocksOf(body),
      inChannel: body['response_type'] === 'in_channel',
    })
    return new Response('ok')
  }

  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request, self) {
      const url = new URL(request.url)
      if (url.pathname === '/link') return self.upgrade(request) ? undefined : new Response('not a WebSocket', { status: 400 })
      if (url.pathname.startsWith('/response/')) return respond(url.pathname.slice('/response/'.length), request)
      const method = url.pathname.replace(/^\/api\//, '')
      const run = methods[method]
      if (!run) return refuse('unknown_method', method)
      calls.push(method)
      if (isAway && method.startsWith('chat.')) return new Response('The service is not available.', { status: 503 })
      const token = request.headers.get('authorization')?.replace(/^Bearer /, '') ?? ''
      const body = await readBody(request)
      if ((token || body['token']) !== (method === 'apps.connections.open' ? appToken : botToken)) return Response.json({ ok: false, error: 'invalid_auth' })
      return run(body)
    },
    websocket: {
      open(socket) {
        sockets.add(socket)
        socket.send(
          JSON.stringify({
            type: 'hello',
            num_connections: sockets.size,
            connection_info: { app_id: 'A1' },
            debug_info: { host: 'fake', approximate_connection_time: 18060 },
          }),
        )
      },
      message(_socket, text) {
        const message = JSON.parse(String(text)) as { envelope_id?: string; payload?: Json }
        if (message.envelope_id !== undefined) waiting.get(message.envelope_id)?.(message.payload)
      },
      close: (socket) => void sockets.delete(socket),
    },
  })
  const base = `http://127.0.0.1:${server.port}`

  const deliver = async (type: 'slash_commands' | 'interactive', payload: Json): Promise<Acknowledged> => {
    const begunMs = performance.now()
    const ended = (status: number, body: Json | undefined): Acknowledged => {
      const afterMs = performance.now() - begunMs
      if (afterMs > ACK_LIMIT_MS) failures.push(`late ack: ${Math.round(afterMs)} ms`)
      return { status, body, afterMs }
    }
    if (options.deliverTo) {
      const form =
        type === 'slash_commands' ? new URLSearchParams(payload as Record<string, string>) : new URLSearchParams({ payload: JSON.stringify(payload) })
      const response = await sendSigned(form.toString())
      const text = await response.text()
      return ended(response.status, text.startsWith('{') ? (JSON.parse(text) as Json) : undefined)
    }
    const [socket] = sockets
    if (!socket) throw new Error('the bot is not connected')
    const id = next('envelope')
    const { promise, resolve } = Promise.withResolvers<Json | undefined>()
    waiting.set(id, resolve)
    socket.send(JSON.stringify({ type, envelope_id: id, payload, accepts_response_payload: true }))
    const body = await promise
    waiting.delete(id)
    return ended(200, body)
  }

  const sendSigned: FakeSlack['sendSigned'] = (body, change = {}) => {
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
    if (!options.deliverTo) throw new Error('deliverTo is not given')
    return fetch(options.deliverTo(), { method: 'POST', headers, body: change.tampered ?? body })
  }

  /** Returns the members of every request of a person: a new trigger and, where Slack sends one, a new response_url. */
  const identity = ({ user = 'U1', channel = 'C1' }: Person): { trigger: string; responseUrl: string; user: string; channel: string } => {
    const trigger = next('trigger')
    const responseId = next('response')
    triggers.set(trigger, { bornMs: nowMs(), uses: 0 })
    responseUrls.set(responseId, { bornMs: nowMs(), uses: 0, channel })
    return { trigger, responseUrl: `${base}/response/${responseId}`, user, channel }
  }

  return {
    apiUrl: `${base}/api/`,
    shown,
    failures,
    calls,
    get socketCount() {
      return sockets.size
    },
    get isAway() {
      return isAway
    },
    set isAway(value) {
      isAway = value
    },
    command(command, text, person = {}) {
      const { trigger, responseUrl, user, channel } = identity(person)
      return deliver('slash_commands', {
        token: 'legacy',
        team_id: 'T1',
        team_domain: 'fake',
        channel_id: channel,
        channel_name: 'ops',
        user_id: user,
        user_name: `name-${user}`,
        command,
        text,
        api_app_id: 'A1',
        is_enterprise_install: 'false',
        response_url: responseUrl,
        trigger_id: trigger,
      })
    },
    press(message, label, person = {}) {
      const { trigger, responseUrl, user } = identity(person)
      const elements = message.blocks.flatMap((block) => (block['type'] === 'actions' ? (block['elements'] as Json[]) : []))
      const button = elements.find((element) => (element['text'] as Json)['text'] === label)
      if (!button) throw new Error(`no button "${label}" among ${elements.map((element) => String((element['text'] as Json)['text'])).join(', ')}`)
      return deliver('interactive', {
        type: 'block_actions',
        team: { id: 'T1', domain: 'fake' },
        user: { id: user, username: `name-${user}`, name: `name-${user}`, team_id: 'T1' },
        api_app_id: 'A1',
        token: 'legacy',
        container: { type: 'message', message_ts: message.ts, channel_id: message.channel, is_ephemeral: message.kind !== 'post' },
        trigger_id: trigger,
        channel: { id: message.channel, name: 'ops' },
        message: { ts: message.ts, text: message.text },
        state: { values: {} },
        response_url: responseUrl,
        actions: [{ type: 'button', action_id: button['action_id'], block_id: 'b', value: button['value'], text: button['text'], action_ts: '1' }],
      })
    },
    submit(view, values, person = {}) {
      const { trigger, user } = identity(person)
      const state = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, { [key]: { type: 'plain_text_input', value } }]))
      return deliver('interactive', {
        type: 'view_submission',
        team: { id: 'T1', domain: 'fake' },
        user: { id: user, username: `name-${user}`, name: `name-${user}`, team_id: 'T1' },
        api_app_id: 'A1',
        token: 'legacy',
        trigger_id: trigger,
        view: { ...(views.get(textOf(view['id'])) ?? view), state: { values: state } },
        response_urls: [],
      })
    },
    disconnect(reason) {
      for (const socket of sockets) socket.send(JSON.stringify({ type: 'disconnect', reason, debug_info: { host: 'fake' } }))
    },
    drop() {
      for (const socket of sockets) socket.terminate()
    },
    ping() {
      for (const socket of sockets) socket.ping('ping')
    },
    sendSigned,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.terminate()
      await server.stop(true)
    },
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value)
}

function blocksOf(body: Json): Json[] {
  return (body['blocks'] as Json[] | undefined) ?? []
}

function messageRefusal(body: Json): string | undefined {
  const text = textOf(body['text'])
  if (text.length > 40_000) return 'msg_too_long'
  if (body['blocks'] === undefined) return text === '' ? 'no_text' : undefined
  return blocksRefusal(body['blocks'], 'message')
}

async function readBody(request: Request): Promise<Json> {
  const text = await request.text()
  if (text === '') return {}
  if ((request.headers.get('content-type') ?? '').startsWith('application/json')) return JSON.parse(text) as Json
  const form = Object.fromEntries(new URLSearchParams(text)) as Json
  for (const key of ['blocks', 'view']) if (typeof form[key] === 'string') form[key] = JSON.parse(form[key])
  return form
}

/** Returns all text of blocks that a person reads where Slack shows no dates in the zone of the reader, one piece per line. */
export function visibleText(shown: Pick<Shown, 'blocks'>): string {
  const texts: string[] = []
  const walk = (value: unknown, key: string): void => {
    if (typeof value === 'string' && key === 'text')
      texts.push(
        value
          .replaceAll(/<!date\^\d+\^[^|>]*\|([^>]*)>/g, '$1')
          .replaceAll('&lt;', '<')
          .replaceAll('&gt;', '>')
          .replaceAll('&amp;', '&'),
      )
    else if (Array.isArray(value)) for (const item of value) walk(item, key)
    else if (typeof value === 'object' && value !== null) for (const [name, member] of Object.entries(value)) walk(member, name)
  }
  walk(shown.blocks, '')
  return texts.join('\n')
}
