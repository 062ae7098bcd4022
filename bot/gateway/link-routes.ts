// Routes of upload links: the page, the state that it follows, and the uploads, which the gateway relays to the agent. The address is the credential.

import { Hono } from 'hono'
import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { Fetch, Peer } from '../../protocol/client/exchange.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { Problem } from '../../protocol/problems.ts'
import { firstUploadLines, nextUploadLines } from '../../protocol/upload-lines.ts'
import type { Fleet } from '../fleet/fleet.ts'
import type { StoreRecord } from '../fleet/registry.ts'
import type { Clock } from '../system/clock.ts'
import type { Log } from '../system/log.ts'
import type { Slots } from '../system/slots.ts'
import { createAgentUploads } from './agent-uploads.ts'
import { answerTus } from './answer-tus.ts'
import type { UploadAssets } from './assets.ts'
import { ASSETS_PATH } from './assets.ts'
import type { Html } from '../../protocol/views/html/html.ts'
import { linkPage, troublePage } from './link-page.tsx'
import { readLinkState } from './link-state.ts'
import type { Audience, LinkState } from './link-state.ts'
import { pageHeaders } from './page-headers.ts'
import { pagePath } from '../links/upload-pages.ts'
import type { UploadPage, UploadPages } from '../links/upload-pages.ts'
import type { UploadTurns } from './upload-turns.ts'

/** Time an agent has for the head of an answer without a body, in milliseconds. */
const ANSWER_MS_MAX = 10_000

export interface GatewayDeps {
  readonly pages: UploadPages
  readonly fleet: Pick<Fleet, 'contact' | 'registry'>
  readonly turns: UploadTurns
  readonly slots: Slots
  readonly clock: Clock
  readonly log: Log
  readonly assets: () => Promise<UploadAssets>
  /** Origin at which people reach the bot. */
  readonly origin: () => string
  readonly fetch?: Fetch
}

/** What the server passes with each request. */
export interface GatewayEnvironment {
  readonly Bindings: {
    /** Sets the seconds without a byte after which a connection ends; 0 for none. Absent in tests without a socket. */
    readonly server?: { timeout(request: Request, seconds: number): void }
  }
}

/** A link whose store is registered. */
interface Found {
  readonly secret: string
  readonly page: UploadPage
  readonly store: StoreRecord
  /** The agent; the link is the only credential. */
  readonly peer: Peer
}

/** Returns the routes. */
export function linkRoutes(deps: GatewayDeps): Hono<GatewayEnvironment> {
  const routes = new Hono<GatewayEnvironment>()
  const find = (secret: string): Found | undefined => {
    const page = deps.pages.find(secret)
    const store = page && deps.fleet.registry.find(page.store)
    return page && store && { secret, page, store, peer: { baseUrl: store.url, answerTimeoutMs: ANSWER_MS_MAX, ...(deps.fetch ? { fetch: deps.fetch } : {}) } }
  }
  const uploadsPath = (secret: string): string => `${pagePath(secret)}/files`
  const stateOf = (found: Found, audience: Audience = 'link'): Promise<LinkState> =>
    readLinkState({ ...found, audience, fleet: deps.fleet, uploadsPath: uploadsPath(found.secret) })

  routes.get('/u/:secret', async (context) => {
    const assets = await deps.assets()
    const found = find(context.req.param('secret'))
    if (!found) return showTrouble(context, problem('link-expired', 'This address is not that of an upload link, or its store was removed.').problem, assets)
    try {
      const state = await stateOf(found)
      return await context.html(showLink(deps, found, { state, assets }), 200, pageHeaders([found.page.origin]))
    } catch (error) {
      return showTrouble(context, problemOf(error, found.store), assets)
    }
  })
  routes.get('/u/:secret/state', async (context) => {
    const found = find(context.req.param('secret'))
    try {
      if (!found) throw problem('link-expired', 'The link is not valid.')
      return Response.json(await stateOf(found, context.req.query('for') === 'store' ? 'store' : 'link'), { headers: { 'Cache-Control': 'no-store' } })
    } catch (error) {
      return answerProblem(found ? problemOf(error, found.store) : asProblem(error))
    }
  })
  routes.all('/u/:secret/files/:id?', async (context) => {
    const { secret, id } = context.req.param()
    const found = find(secret ?? '')
    if (!found) return answerProblem(problem('link-expired', 'The link is not valid.').problem)
    const request = context.req.raw
    const slot = deps.slots.take(`${found.store.name} ${found.page.link}`)
    if (!slot) {
      await request.body?.cancel()
      return answerProblem(problem('limit-reached', 'Too many uploads are in progress through the bot.').problem)
    }
    try {
      // The agent ends a body that is silent for a minute. The limit of the server would end one that is slow.
      context.env?.server?.timeout(request, 0)
      return await answerTus(request, {
        uploads: createAgentUploads({ peer: found.peer, link: found.secret, storeName: found.store.name, signal: request.signal }),
        ...deps,
        id,
        lengthMax: 0,
        location: (created) => `${uploadsPath(found.secret)}/${created}`,
      })
    } finally {
      slot[Symbol.dispose]()
    }
  })
  routes.get(`${ASSETS_PATH}-*`, async (context) => {
    const asset = (await deps.assets()).files.get(context.req.path)
    if (!asset) return new Response('Not found\n', { status: 404 })
    return new Response(asset.bytes, {
      headers: { 'Content-Type': asset.type, 'Cache-Control': 'public, max-age=31536000, immutable', 'X-Content-Type-Options': 'nosniff' },
    })
  })
  return routes
}

function showLink({ origin }: GatewayDeps, { secret, store }: Found, { state, assets }: { state: LinkState; assets: UploadAssets }): Html {
  const uploads = `${pagePath(secret)}/files`
  const base = origin()
  const lines = state.upload ? nextUploadLines(base + state.upload.path) : firstUploadLines(base + uploads, state.name !== null)
  return linkPage(state, { assets, lines, order: { state: `${pagePath(secret)}/state`, uploads, store: store.name } })
}

function showTrouble(context: Context, { title, detail, action, status }: Problem, assets: UploadAssets): Response | Promise<Response> {
  const headers = { ...pageHeaders([]), ...(status === 503 ? { 'Retry-After': '5' } : {}) }
  return context.html(troublePage({ title, sentence: detail, action }, assets), status as ContentfulStatusCode, headers)
}

function answerProblem(document: Problem): Response {
  const headers = {
    'Content-Type': 'application/problem+json',
    'Cache-Control': 'no-store',
    ...(document.status === 503 || document.status === 429 ? { 'Retry-After': '5' } : {}),
  }
  return new Response(JSON.stringify(document), { status: document.status, headers })
}

/** Returns the problem of an agent for whoever has a link. An agent that does not answer is not their fault, and loses nothing. */
function problemOf(error: unknown, store: StoreRecord): Problem {
  if (!(error instanceof ProblemError)) throw error
  if (error.code !== 'peer-unreachable' || error.isFromPeer) return error.problem
  const action = 'Open the page again in a few minutes: an upload that began continues where it stopped.'
  return problem('store-unavailable', `${store.name} does not answer at the moment. What has arrived there is kept.`, {
    title: 'Store does not answer',
    action,
  }).problem
}

function asProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem
  throw error
}
