// The methods of Slack's Web API that the bot uses, and response_urls. Each refuses what Slack refuses; what it accepts, a person sees.

import { blocksRefusal, viewRefusal } from './block-rules.ts'
import type { FakeFiles } from './files.ts'
import type { Rates, Tickets } from './limits.ts'
import { blocksOf, isObject, textOf } from './shown.ts'
import type { Json, Shown } from './shown.ts'

/** Longest text of a message, and of an edit, in characters. */
const POST_TEXT_MAX = 40_000
const EDIT_TEXT_MAX = 4_000

export interface MethodsDeps {
  readonly nowMs: () => number
  /** Returns an id that no other thing in the workspace has. */
  readonly next: (prefix: string) => string
  readonly shown: Shown[]
  readonly failures: string[]
  readonly rates: Rates
  readonly tickets: Tickets
  readonly files: FakeFiles
  /** Address of the server with this path. */
  readonly address: (scheme: 'http' | 'ws', path: string) => string
  readonly closedChannels: readonly string[]
  readonly groups: Readonly<Record<string, readonly string[]>>
  readonly scopes: readonly string[]
  readonly hasHomeTab: boolean
}

export interface Methods {
  /** Runs a method of the Web API. */
  call(method: string, body: Json): Response
  /** Takes a message at a response_url. */
  respond(id: string, body: Json): Response
  /** The last state of a modal or a home tab. */
  view(id: string): Json | undefined
}

/** Creates the methods of one workspace. */
export function createMethods(deps: MethodsDeps): Methods {
  const { nowMs, next, shown, failures, rates, tickets, files, address, closedChannels, groups, scopes } = deps
  const views = new Map<string, Json>()
  const homes = new Map<string, string>()
  let posted = 0

  const show = (entry: Omit<Shown, 'atMs' | 'inChannel'> & { inChannel?: boolean }): void => void shown.push({ inChannel: false, ...entry, atMs: nowMs() })
  const refuse = (error: string, detail?: string, status = 200): Response => {
    failures.push(`${error}${detail === undefined ? '' : `: ${detail}`}`)
    return Response.json({ ok: false, error, ...(detail === undefined ? {} : { response_metadata: { messages: [`[ERROR] ${detail}`] } }) }, { status })
  }

  const answerOf = (answer: ReturnType<FakeFiles['methods'][string]>): Response =>
    'refused' in answer && Array.isArray(answer.refused) ? refuse(...(answer.refused as [string, string?])) : Response.json(answer)

  const post = (body: Json, kind: 'post' | 'ephemeral'): Response => {
    const channel = personOf(textOf(body['channel']))
    if (closedChannels.includes(channel)) return Response.json({ ok: false, error: 'not_in_channel' })
    // Only a message that stays can open a conversation with a person.
    if (kind === 'ephemeral' && channel.startsWith('U')) return Response.json({ ok: false, error: 'channel_not_found' })
    const refusal = messageRefusal(body, POST_TEXT_MAX)
    if (refusal !== undefined) return refuse(...refusal)
    const thread = textOf(body['thread_ts'])
    if (thread !== '' && !shown.some((entry) => entry.ts === thread && entry.kind === 'post' && entry.channel === channel))
      return refuse('thread_not_found', thread)
    const ts = `${1_700_000_000 + ++posted}.000100`
    show({ kind, channel, ts, text: textOf(body['text']), blocks: blocksOf(body), ...(thread === '' ? {} : { thread }) })
    return Response.json({ ok: true, channel: conversationOf(channel), ts, message_ts: ts })
  }

  const showView = (id: string, given: unknown, kind: 'modal' | 'home', user = ''): Response => {
    const refusal = viewRefusal(given, kind)
    if (refusal !== undefined) return refusal === 'view_too_large' ? refuse(refusal) : refuse('invalid_arguments', refusal)
    const external = textOf((given as Json)['external_id'])
    const isTaken = external !== '' && [...views].some(([other, view]) => other !== id && view['external_id'] === external)
    if (isTaken) return refuse('duplicate_external_id', external)
    const view: Json = { ...(given as Json), id, hash: next('hash') }
    views.set(id, view)
    show({ kind, channel: user, ts: id, text: '', blocks: blocksOf(view), view })
    return Response.json({ ok: true, view })
  }
  const isOutdated = (id: string, body: Json): boolean => body['hash'] !== undefined && body['hash'] !== views.get(id)?.['hash']

  const methods: Record<string, (body: Json) => Response> = {
    'auth.test': () =>
      Response.json({ ok: true, url: 'https://fake.slack.test/', team: 'Fake', user: 'slipway', team_id: 'T1', user_id: 'UBOT', bot_id: 'B1' }),
    'apps.connections.open': () => Response.json({ ok: true, url: address('ws', `/link?ticket=${next('ticket')}`) }),
    'chat.postMessage': (body) => post(body, 'post'),
    'chat.postEphemeral': (body) => post(body, 'ephemeral'),
    'chat.update': (body) => {
      const ts = textOf(body['ts'])
      if (shown.some((entry) => entry.ts === ts && entry.kind === 'ephemeral')) return refuse('cant_update_message', ts)
      if (!shown.some((entry) => entry.ts === ts && entry.kind === 'post' && entry.channel === personOf(textOf(body['channel']))))
        return refuse('message_not_found', ts)
      const refusal = messageRefusal(body, EDIT_TEXT_MAX)
      if (refusal !== undefined) return refuse(...refusal)
      show({ kind: 'update', channel: personOf(textOf(body['channel'])), ts, text: textOf(body['text']), blocks: blocksOf(body) })
      return Response.json({ ok: true, channel: body['channel'], ts })
    },
    'views.open': (body) => {
      const error = tickets.useTrigger(textOf(body['trigger_id']))
      return error === undefined ? showView(next('V'), body['view'], 'modal') : refuse(error)
    },
    'views.update': (body) => {
      const external = textOf(body['external_id'])
      const found = external === '' ? textOf(body['view_id']) : [...views].find(([, view]) => view['external_id'] === external)?.[0]
      if (found === undefined || !views.has(found)) return refuse('not_found', textOf(body['view_id']) || external)
      return isOutdated(found, body) ? refuse('hash_conflict', found) : showView(found, body['view'], 'modal')
    },
    'views.publish': (body) => {
      const user = textOf(body['user_id'])
      if (user === '') return refuse('invalid_arguments', 'missing required field: user_id')
      if (!deps.hasHomeTab) return refuse('not_enabled')
      const id = homes.get(user) ?? next('V')
      homes.set(user, id)
      return isOutdated(id, body) ? refuse('hash_conflict', id) : showView(id, body['view'], 'home', user)
    },
    'usergroups.users.list': (body) => {
      if (!scopes.includes('usergroups:read'))
        return Response.json({ ok: false, error: 'missing_scope', needed: 'usergroups:read', provided: scopes.join(',') })
      if (typeof body['usergroup'] !== 'string') return refuse('invalid_arguments', 'missing required field: usergroup')
      const users = groups[body['usergroup']]
      return users ? Response.json({ ok: true, users }) : Response.json({ ok: false, error: 'no_such_subteam' })
    },
  }
  return {
    call(method, body) {
      const file = files.methods[method]
      const run = file ? (given: Json) => answerOf(file(given)) : methods[method]
      if (!run) return refuse('unknown_method', method)
      const waitS = rates.take(method, textOf(body['channel']))
      if (waitS === undefined) return run(body)
      failures.push(`ratelimited: ${method}`)
      return Response.json({ ok: false, error: 'ratelimited' }, { status: 429, headers: { 'retry-after': String(waitS) } })
    },
    respond(id, body) {
      const used = tickets.useResponse(id)
      if ('error' in used) return refuse(used.error, used.error === 'used_url' ? `a response_url was used ${used.uses} times` : undefined, 404)
      const refusal = messageRefusal(body, POST_TEXT_MAX)
      if (refusal !== undefined) return refuse(...refusal)
      const isShared = body['response_type'] === 'in_channel'
      show({ kind: 'response', channel: used.channel, ts: next('r'), text: textOf(body['text']), blocks: blocksOf(body), inChannel: isShared })
      return new Response('ok')
    },
    view: (id) => views.get(id),
  }
}

/** The direct messages of a person have an id of their own; what is shown there is kept under the person. */
function conversationOf(channel: string): string {
  return channel.startsWith('U') ? `D${channel}` : channel
}

function personOf(channel: string): string {
  return channel.startsWith('DU') ? channel.slice(1) : channel
}

/** The error with which Slack refuses a message, and its detail. */
function messageRefusal(body: Json, textMax: number): [error: string, detail?: string] | undefined {
  const text = textOf(body['text'])
  if (text.length > textMax) return ['msg_too_long']
  if (body['blocks'] === undefined) return text === '' ? ['no_text'] : undefined
  const refusal = blocksRefusal(body['blocks'], 'message')
  return refusal === undefined ? undefined : ['invalid_blocks', refusal]
}

/** Reads the body of a request: JSON or a form, whose blocks and views are JSON. */
export async function readBody(request: Request): Promise<Json> {
  const text = await request.text()
  if (text === '') return {}
  if ((request.headers.get('content-type') ?? '').startsWith('application/json')) {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : {}
  }
  const form = Object.fromEntries(new URLSearchParams(text)) as Json
  for (const key of ['blocks', 'view']) if (typeof form[key] === 'string') form[key] = JSON.parse(form[key])
  return form
}
