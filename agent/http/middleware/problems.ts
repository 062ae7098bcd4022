// Answers every error of the application with application/problem+json (RFC 9457), and logs it once.

import type { Context } from 'hono'
import { problem } from '../../../protocol/problems.ts'
import { problemOf } from '../../contract/failures.ts'
import { acceptsHtml } from '../accepts-html.ts'
import type { AppEnvironment } from '../environment.ts'
import { LINK_MEMBER } from '../query.ts'
import type { Route } from '../route.ts'

/** Default of Retry-After in seconds (RFC 9110 §10.2.3). */
const RETRY_AFTER_SECONDS = 5
const RETRY_STATUSES: ReadonlySet<number> = new Set([423, 429, 503])

/** Returns the answer for an error of a route. Messages and paths of unexpected errors appear in the log only. */
export function answerError(error: unknown, context: Context<AppEnvironment>): Response {
  const refusal = problemOf(error)
  const { requestId, log, route, pathRoutes } = context.var
  if (refusal.problem.status >= 500 && refusal.cause !== undefined) {
    // A body that ended early because its client disconnected is not a failure of the agent.
    log[context.req.raw.signal.aborted ? 'info' : 'error']('request failed', { path: context.req.path, error: refusal.cause })
  }
  const document = { ...refusal.problem, instance: context.req.path, requestId }
  const isPlain = route !== undefined && isOpenedInBrowser(route, context.req.raw)
  const headers = new Headers({ 'Content-Type': isPlain ? 'text/plain; charset=utf-8' : 'application/problem+json', 'Cache-Control': 'no-store' })
  if (RETRY_STATUSES.has(document.status)) headers.set('Retry-After', String(RETRY_AFTER_SECONDS))
  const errorHeaders = (route ?? pathRoutes?.find((candidate) => candidate.errorHeaders))?.errorHeaders
  for (const [name, value] of Object.entries({ ...errorHeaders?.(context.req.raw), ...refusal.headers })) headers.set(name, value)
  const page = route?.refusalPage && isForPerson(context.req.raw) ? route.refusalPage(refusal.problem, context.req.raw) : undefined
  if (page) {
    for (const [name, value] of page.headers) headers.set(name, value)
    return new Response(context.req.method === 'HEAD' ? null : page.body, { status: document.status, headers })
  }
  const body = isPlain ? `This link cannot be used.\n\n${document.detail}\n${document.action}\n` : JSON.stringify(document)
  return new Response(context.req.method === 'HEAD' ? null : body, { status: document.status, headers })
}

/** Whether the sender asks for a page, and not for problem documents by name. */
function isForPerson(request: Request): boolean {
  return acceptsHtml(request) && !/\bapplication\/problem\+json\b/i.test(request.headers.get('accept') ?? '')
}

/** Whether a person opened a link in a browser, who reads text better than JSON. */
function isOpenedInBrowser({ plainRefusals }: Route, request: Request): boolean {
  if (!plainRefusals || !acceptsHtml(request)) return false
  return new URL(request.url).searchParams.has(LINK_MEMBER)
}

/** Returns the answer for a path without a route. */
export function answerNotFound(context: Context<AppEnvironment>): Response {
  return answerError(problem('not-found', `There is nothing at ${context.req.path}.`, { action: 'See /v1/openapi.json for the paths of this agent.' }), context)
}
