// Authenticates a request by its bearer token or signed link, and checks the role that the route requires.

import type { Role } from '../../../protocol/access.ts'
import { roleIncludes } from '../../../protocol/access.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import { ON_BEHALF_HEADER, ON_BEHALF_LENGTH_MAX, onBehalfName, parseOnBehalf } from '../../../protocol/on-behalf.ts'
import { PROOF_HEADER } from '../../../protocol/sync/grant-proof.ts'
import type { Actor, Authenticator } from '../../contract/access.ts'
import { readSessionCookie } from '../page/session-cookie.ts'
import { linkOf } from '../route.ts'
import type { Route, RouteAccess } from '../route.ts'

/** Longest credential that is checked, in characters. */
export const CREDENTIAL_LENGTH_MAX = 2048

/** The actor of public routes called without a credential. Compare it by identity, since a token may have the same name. */
export const ANONYMOUS: Actor = { name: 'anonymous', role: 'viewer' }

/**
 * Returns the actor of a request if it may use a route. `method` is the method after an override; a link is checked for it. A bearer token takes
 * precedence over a link and over a session of the page, which routes of the page accept and no other route does. An invalid token is refused even on a public route, so that its sender notices. Throws ProblemError `unauthenticated`,
 * `forbidden`, `grant-bound` or `link-expired`.
 */
export async function authenticate(
  authenticator: Authenticator,
  request: Request,
  method: string,
  route: Pick<Route, 'access' | 'granted'> & Partial<Pick<Route, 'namesAsker'>>,
): Promise<Actor> {
  const { access } = route
  const header = request.headers.get('authorization')?.trim() ?? ''
  if (header !== '') {
    const actor = requireRole(requireGranted(await byToken(authenticator, header, request.headers.get(PROOF_HEADER)), route), access)
    const isRead = method === 'GET' || method === 'HEAD'
    return isRead && route.namesAsker !== true ? actor : nameAsker(actor, request.headers.get(ON_BEHALF_HEADER))
  }
  if (access === 'public') return ANONYMOUS
  const url = new URL(request.url)
  const link = url.searchParams.get('link')
  if (link === null && typeof access === 'object' && 'cookie' in access) return requireRole(await bySession(authenticator, request, access.cookie), access)
  if (link === null) throw unauthenticated('The request has no token.', 'Bearer realm="slipway"')
  const kind = linkOf(access)
  if (kind === undefined) throw problem('forbidden', 'A link does not give access to this path.', { action: 'Use a token.' })
  if (link.length > CREDENTIAL_LENGTH_MAX) throw problem('link-expired', 'The link is not valid.')
  const outcome = await authenticator.byLink(link, { method, path: url.pathname })
  if (outcome.kind === 'refused') throw problem('link-expired', outcome.detail, outcome.action === undefined ? {} : { action: outcome.action })
  if (outcome.actor.link?.kind !== kind) throw problem('link-expired', `This is not ${kind === 'upload' ? 'an upload' : 'a download'} link.`)
  return outcome.actor
}

async function byToken(authenticator: Authenticator, header: string, proof: string | null): Promise<Actor> {
  // RFC 9110 §11.1: the scheme is case-insensitive. RFC 6750 §2.1: b64token.
  const secret = /^bearer +([A-Za-z0-9\-._~+/]+=*) *$/i.exec(header)?.[1]
  const actor = secret === undefined || secret.length > CREDENTIAL_LENGTH_MAX ? undefined : await authenticator.byToken(secret, proof)
  if (!actor) throw unauthenticated('The token is unknown or has expired.', 'Bearer realm="slipway", error="invalid_token"')
  return actor
}

async function bySession(authenticator: Authenticator, request: Request, cookie: string): Promise<Actor> {
  const secret = readSessionCookie(request, cookie)
  const actor = secret === undefined || secret.length > CREDENTIAL_LENGTH_MAX ? undefined : await authenticator.byPageSession?.(secret)
  if (actor) return actor
  if (secret === undefined) throw unauthenticated('The request has no token.', 'Bearer realm="slipway"')
  throw problem('unauthenticated', 'The session has ended.', { isSessionEnded: true }, { headers: { 'WWW-Authenticate': 'Bearer realm="slipway"' } })
}

/** Refuses a grant between stores on every route that does not say that grants may call it. */
function requireGranted(actor: Actor, { granted }: Pick<Route, 'granted'>): Actor {
  if (!actor.grant || granted) return actor
  throw problem('forbidden', 'A grant between stores only reads its images; it does not give access to this path.', { action: 'Use a token.' })
}

/** Returns the actor if its role is enough for a route, or if another rule of the route may let it in. Throws ProblemError `forbidden`. */
export function requireRole(actor: Actor, access: RouteAccess): Actor {
  const needed: Role = access === 'public' ? 'viewer' : typeof access === 'string' ? access : access.role
  const isNamed = actor.subject !== undefined || (actor.groups ?? []).length > 0
  // The image of the request decides: its look-up requires the right.
  if (typeof access === 'object' && 'right' in access && isNamed) return actor
  if (typeof access === 'object' && 'own' in access && actor.subject !== undefined) return actor
  if (!roleIncludes(actor.role, needed))
    throw problem('forbidden', `This request needs the role ${needed}; the token ${JSON.stringify(actor.name)} has the role ${actor.role}.`, {
      requiredRole: needed,
    })
  return actor
}

/**
 * Names the person for whom a bot asks, in what the request creates or changes. Decided after the role: the name changes no access. Only operators and admins may
 * name somebody; from others the header is ignored. Throws `invalid-input` for a name that is too long or not printable.
 */
function nameAsker(actor: Actor, header: string | null): Actor {
  if (header === null || actor.grant || !roleIncludes(actor.role, 'operator')) return actor
  const person = parseOnBehalf(header)
  if (person === undefined)
    throw problem('invalid-input', `The header ${ON_BEHALF_HEADER} is not a name of at most ${ON_BEHALF_LENGTH_MAX} printable characters, percent-encoded.`, {
      action: 'Correct the header, or leave it out.',
    })
  return { ...actor, name: onBehalfName(person, actor.name) }
}

function unauthenticated(detail: string, challenge: string): ProblemError {
  return problem('unauthenticated', detail, {}, { headers: { 'WWW-Authenticate': challenge } })
}
