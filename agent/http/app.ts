// The application of an agent: dispatches requests to routes, and adds request ids, the log, authentication and problems. Web APIs only; it runs on
// Bun and on Deno.

import { Hono } from 'hono'
import type { Context } from 'hono'
import { problem } from '../../protocol/problems.ts'
import type { Authenticator } from '../contract/access.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import { acceptsHtml } from './accepts-html.ts'
import { resolveMethod } from './effective-method.ts'
import type { AppEnvironment } from './environment.ts'
import { createBodyRoom } from './json-body.ts'
import type { BodyRoom } from './json-body.ts'
import { accessLog } from './middleware/access-log.ts'
import type { ObservedRequest } from './middleware/access-log.ts'
import { crossOrigin } from './middleware/cross-origin.ts'
import { authenticate } from './middleware/authenticate.ts'
import { answerError, answerNotFound } from './middleware/problems.ts'
import { requestId } from './middleware/request-id.ts'
import { securityHeaders } from './middleware/security-headers.ts'
import type { Route } from './route.ts'

export interface AppDeps {
  readonly routes: readonly Route[]
  readonly authenticator: Authenticator
  readonly log: Log
  readonly clock: Clock
  /** Origins of pages that may call cross-origin routes from a browser, such as `https://console.example`; `*` for any. */
  readonly origins?: readonly string[]
  /** Called for every answered request, for the metrics. */
  readonly observe?: (request: ObservedRequest) => void
}

/**
 * Creates the application. Throws when two routes have the same method and path.
 *
 * @example
 * const app = createApp({ routes, authenticator, log, clock })
 * const response = await app.fetch(request, { connection })
 */
export function createApp(deps: AppDeps): Hono<AppEnvironment> {
  const app = new Hono<AppEnvironment>()
  app.use(requestId(deps))
  app.use(accessLog(deps))
  app.use(securityHeaders())
  app.use(crossOrigin(deps.origins ?? [], deps.authenticator))
  app.onError(answerError)
  app.notFound(answerNotFound)
  const parts = { ...deps, bodyRoom: createBodyRoom() }
  for (const [path, routes] of groupByPath(deps.routes)) app.all(path, (context) => dispatch(parts, routes, context))
  return app
}

/** Groups routes by path. Paths with fixed segments come before paths with parameters that would also match. */
function groupByPath(routes: readonly Route[]): [string, Route[]][] {
  const groups = new Map<string, Route[]>()
  for (const route of routes) {
    const group = groups.get(route.path) ?? []
    if (group.some((other) => other.method === route.method)) throw new Error(`two routes for ${route.method} ${route.path}`)
    groups.set(route.path, [...group, route])
  }
  // A ':' sorts before letters. Replaced by the highest character, a parameter sorts after any fixed segment.
  const key = (path: string): string => path.replaceAll(/:[^/]*/g, '\uffff').replaceAll('*', '\uffff\uffff')
  return [...groups].toSorted(([a], [b]) => (key(a) < key(b) ? -1 : 1))
}

type AppParts = AppDeps & { readonly bodyRoom: BodyRoom }

async function dispatch(deps: AppParts, routes: readonly Route[], context: Context<AppEnvironment>): Promise<Response> {
  try {
    return await answer(deps, routes, context)
  } catch (error) {
    return answerError(error, context)
  }
}

async function answer(deps: AppParts, routes: readonly Route[], context: Context<AppEnvironment>): Promise<Response> {
  const request = context.req.raw
  context.set('pathRoutes', routes)
  const method = resolveMethod(request)
  context.set('method', method)
  const route = findRoute(routes, method)
  const allow = allowedMethods(routes)
  if (!route) {
    if (method === 'OPTIONS') return new Response(null, { status: 204, headers: { Allow: allow } })
    throw problem('method-not-allowed', `${context.req.path} does not support ${method}.`, {}, { headers: { Allow: allow } })
  }
  if (route.htmlOnly && !acceptsHtml(request)) return answerNotFound(context)
  context.set('route', route)
  const actor = await authenticate(deps.authenticator, request, method, route)
  context.set('actor', actor)
  const response = await route.handle(request, context.req.param(), {
    actor,
    requestId: context.var.requestId,
    log: context.var.log,
    bodyRoom: deps.bodyRoom,
    remoteAddress: context.env?.connection?.remoteAddress,
    inform: (status, headers) => context.env?.connection?.inform(status, headers),
  })
  if (method === 'OPTIONS') response.headers.set('Allow', allow)
  return method === 'HEAD' ? withoutBody(response, request.method) : response
}

/** Returns the route of a method. Without a route for HEAD, returns the one for GET. */
function findRoute(routes: readonly Route[], method: string): Route | undefined {
  const own = routes.find((candidate) => candidate.method === method)
  return own ?? (method === 'HEAD' ? routes.find((candidate) => candidate.method === 'GET') : undefined)
}

/** Returns the head of an answer (RFC 9110 §9.3.2). Cancels the body, which releases its resources. */
async function withoutBody(response: Response, wireMethod: string): Promise<Response> {
  await response.body?.cancel()
  const head = new Response(null, response)
  // RFC 9112 §6.3: after a POST, even one that is overridden to HEAD, a client would wait for Content-Length bytes.
  if (wireMethod !== 'HEAD') head.headers.delete('Content-Length')
  return head
}

/** Returns the value of Allow (RFC 9110 §10.2.1). OPTIONS is answered for every path. */
function allowedMethods(routes: readonly Route[]): string {
  const methods = new Set<string>(routes.map((route) => route.method))
  if (methods.has('GET')) methods.add('HEAD')
  methods.add('OPTIONS')
  return [...methods].toSorted().join(', ')
}
