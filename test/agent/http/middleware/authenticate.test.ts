// Who a request is from and whether it may call a route, as literal rows: every role with every kind of route, and every kind of credential.

import { describe, expect, test } from 'bun:test'
import type { Actor, Authenticator, LinkOutcome } from '../../../../agent/contract/access.ts'
import { ANONYMOUS, authenticate, requireRole } from '../../../../agent/http/middleware/authenticate.ts'
import type { RouteAccess } from '../../../../agent/http/route.ts'
import type { Role } from '../../../../protocol/access.ts'
import { ProblemError } from '../../../../protocol/problems.ts'

const IMAGE_RIGHT = { role: 'operator', right: 'manage' } as const
const OWN = { role: 'operator', own: 'usage' } as const
const COOKIE = { role: 'viewer', cookie: 'slipway-agent-0' } as const

function codeOf(error: unknown): string {
  if (error instanceof ProblemError) return error.code
  throw error
}

function outcomeOf(actor: Actor, access: RouteAccess): string {
  try {
    return requireRole(actor, access) === actor ? 'yes' : 'another actor'
  } catch (error) {
    return codeOf(error)
  }
}

describe('a role', () => {
  const yes = 'yes'
  const no = 'forbidden'
  test.each<[role: Role, outcomes: readonly string[]]>([
    ['viewer', [yes, no, no, no]],
    ['uploader', [yes, yes, no, no]],
    ['operator', [yes, yes, yes, no]],
    ['admin', [yes, yes, yes, yes]],
  ])('%s may call routes for viewers, uploaders, operators and admins: %j', (role, outcomes) => {
    for (const [i, needed] of (['viewer', 'uploader', 'operator', 'admin'] as const).entries()) {
      expect(outcomeOf({ name: 'a', role }, needed)).toBe(outcomes[i] ?? '')
      expect(outcomeOf({ name: 'a', role }, { role: needed, link: 'download' })).toBe(outcomes[i] ?? '')
      expect(outcomeOf({ name: 'a', role }, { role: needed, cookie: 'c' })).toBe(outcomes[i] ?? '')
    }
    expect(outcomeOf({ name: 'a', role }, 'public')).toBe(yes)
  })

  test.each<[who: Partial<Actor>, byRight: string, own: string]>([
    [{}, no, no],
    [{ groups: [] }, no, no],
    [{ subject: 'ann' }, yes, yes],
    [{ groups: ['builders'] }, yes, no],
    [{ subject: 'ann', groups: [] }, yes, yes],
    [{ role: 'operator' }, yes, yes],
  ])('that is too low, with %j, comes as far as the right on an image: %s, and to what is its own: %s', (who, byRight, own) => {
    const actor: Actor = { name: 'a', role: 'uploader', ...who }
    expect([outcomeOf(actor, IMAGE_RIGHT), outcomeOf(actor, OWN)]).toEqual([byRight, own])
    // Neither helps where a route asks for a role only.
    expect(outcomeOf({ ...actor, role: 'uploader' }, 'operator')).toBe(no)
  })

  test('that is refused is told which one is needed', () => {
    try {
      requireRole({ name: 'ann', role: 'viewer' }, IMAGE_RIGHT)
      expect.unreachable()
    } catch (error) {
      const { problem } = error as ProblemError
      expect([problem['requiredRole'], problem.detail]).toEqual(['operator', 'This request needs the role operator; the token "ann" has the role viewer.'])
    }
  })
})

const opal: Actor = { name: 'opal', role: 'operator', tokenId: 'tok_opal' }
const ula: Actor = { name: 'ula', role: 'uploader', tokenId: 'tok_ula' }
const store: Actor = { name: 'grant', role: 'operator', tokenId: 'tok_g', grant: { id: 'g', images: new Set(), maker: { role: 'admin' } } }
const linked = (kind: 'upload' | 'download'): Actor => ({
  name: 'by link',
  role: 'viewer',
  link: { id: 'lnk_1', makerTokenId: 'tok_opal', maker: opal, kind, endMs: 1 },
})

const TOKENS: Readonly<Record<string, Actor>> = { 'opal.-_~+/1==': opal, ula, store }
const LINKS: Readonly<Record<string, LinkOutcome>> = {
  up: { kind: 'allowed', actor: linked('upload') },
  down: { kind: 'allowed', actor: linked('download') },
  old: { kind: 'refused', detail: 'The link has expired.', action: 'Ask ann.' },
  bad: { kind: 'refused', detail: 'The link is not valid.' },
}

/** Asks with these fields. Returns the actor's name, or the code of the problem, and what was looked up. */
async function ask(
  fields: Record<string, string>,
  access: RouteAccess,
  { path = '/v1/images/a', method = 'GET', granted = false, namesAsker }: { path?: string; method?: string; granted?: boolean; namesAsker?: boolean } = {},
) {
  const asked: unknown[] = []
  const authenticator: Authenticator = {
    byToken: async (secret, proof) => (asked.push(['token', secret, proof]), TOKENS[secret]),
    byLink: async (link, of) => (asked.push(['link', link, of]), LINKS[link] ?? { kind: 'refused', detail: 'unknown' }),
    byPageSession: async (secret) => (asked.push(['session', secret]), secret === 'good' ? opal : undefined),
  }
  const route = { access, granted, ...(namesAsker === undefined ? {} : { namesAsker }) }
  try {
    const actor = await authenticate(authenticator, new Request(`http://store${path}`, { headers: fields }), method, route)
    return { who: actor === ANONYMOUS ? 'nobody' : actor.name, asked, challenge: undefined, problem: undefined }
  } catch (error) {
    const { headers, problem } = error as ProblemError
    return { who: codeOf(error), asked, challenge: headers?.['WWW-Authenticate'], problem }
  }
}

const bearer = (secret: string): Record<string, string> => ({ authorization: `Bearer ${secret}` })

describe('a bearer token', () => {
  test.each<[header: string, who: string]>([
    ['Bearer ula', 'ula'],
    ['bearer   ula  ', 'ula'],
    ['Bearer opal.-_~+/1==', 'opal'],
    ['Bearer unknown', 'unauthenticated'],
    ['Bearer', 'unauthenticated'],
    ['Bearer u l a', 'unauthenticated'],
    ['Bearer ula, Bearer opal', 'unauthenticated'],
    ['Basic ula', 'unauthenticated'],
    ['ula', 'unauthenticated'],
    ['  ', 'unauthenticated'],
  ])('in %j is %s', async (authorization, who) => {
    expect((await ask({ authorization }, 'viewer')).who).toBe(who)
  })

  test('that is not valid is refused on a public route too, where none is needed', async () => {
    expect((await ask({}, 'public')).who).toBe('nobody')
    expect((await ask(bearer('ula'), 'public')).who).toBe('ula')
    const refused = await ask(bearer('unknown'), 'public')
    expect([refused.who, refused.challenge]).toEqual(['unauthenticated', 'Bearer realm="slipway", error="invalid_token"'])
  })

  test('must have the role of the route', async () => {
    expect((await ask(bearer('ula'), 'operator')).who).toBe('forbidden')
    expect((await ask(bearer('ula'), 'admin', { method: 'POST' })).who).toBe('forbidden')
  })

  test('is looked up with the proof of a store, and comes before a link', async () => {
    const { who, asked } = await ask({ ...bearer('ula'), 'slipway-proof': 'p' }, { role: 'viewer', link: 'download' }, { path: '/v1/images/a?link=down' })
    expect([who, asked]).toEqual(['ula', [['token', 'ula', 'p']]])
  })

  test('of another store opens only the routes that grants may call', async () => {
    expect((await ask(bearer('store'), 'viewer')).who).toBe('forbidden')
    expect((await ask(bearer('store'), 'public')).who).toBe('forbidden')
    expect((await ask(bearer('store'), 'viewer', { granted: true })).who).toBe('grant')
  })
})

describe('the person for whom a bot asks', () => {
  const FOR_ANN = { 'slipway-on-behalf-of': 'ann' }
  test.each<[secret: string, options: { method: string; namesAsker?: boolean; granted?: boolean }, who: string]>([
    ['opal.-_~+/1==', { method: 'POST' }, 'ann via opal'],
    ['opal.-_~+/1==', { method: 'DELETE' }, 'ann via opal'],
    ['opal.-_~+/1==', { method: 'GET' }, 'opal'],
    ['opal.-_~+/1==', { method: 'HEAD' }, 'opal'],
    ['opal.-_~+/1==', { method: 'GET', namesAsker: true }, 'ann via opal'],
    ['opal.-_~+/1==', { method: 'GET', namesAsker: false }, 'opal'],
    ['ula', { method: 'POST' }, 'ula'],
    ['store', { method: 'POST', granted: true }, 'grant'],
  ])('is named by %s, %j: %s', async (secret, options, who) => {
    expect((await ask({ ...bearer(secret), ...FOR_ANN }, 'uploader', options)).who).toBe(who)
  })

  test('has a name that can be printed', async () => {
    expect((await ask({ ...bearer('opal.-_~+/1=='), 'slipway-on-behalf-of': '%00' }, 'viewer', { method: 'POST' })).who).toBe('invalid-input')
    expect((await ask(bearer('opal.-_~+/1=='), 'viewer', { method: 'POST' })).who).toBe('opal')
  })
})

describe('a link', () => {
  const DOWNLOAD = { role: 'viewer', link: 'download' } as const
  const UPLOAD = { role: 'uploader', link: 'upload' } as const
  test.each<[link: string, access: RouteAccess, who: string, detail: string | undefined]>([
    ['down', DOWNLOAD, 'by link', undefined],
    ['up', UPLOAD, 'by link', undefined],
    ['up', DOWNLOAD, 'link-expired', 'This is not a download link.'],
    ['down', UPLOAD, 'link-expired', 'This is not an upload link.'],
    ['old', DOWNLOAD, 'link-expired', 'The link has expired.'],
    ['bad', DOWNLOAD, 'link-expired', 'The link is not valid.'],
    ['down', 'viewer', 'forbidden', 'A link does not give access to this path.'],
    ['down', IMAGE_RIGHT, 'forbidden', 'A link does not give access to this path.'],
    ['down', COOKIE, 'forbidden', 'A link does not give access to this path.'],
    ['down', 'public', 'nobody', undefined],
  ])('%s for %j: %s', async (link, access, who, detail) => {
    const answer = await ask({}, access, { path: `/v1/images/a?link=${link}` })
    expect([answer.who, answer.problem?.detail]).toEqual([who, detail as never])
  })

  test('is checked for the method that will run, and the path', async () => {
    const { asked } = await ask({}, UPLOAD, { path: '/v1/uploads/u?link=up', method: 'DELETE' })
    expect(asked).toEqual([['link', 'up', { method: 'DELETE', path: '/v1/uploads/u' }]])
  })

  test('that was refused says what to do, if more can be said', async () => {
    expect((await ask({}, DOWNLOAD, { path: '/v1/images/a?link=old' })).problem?.action).toBe('Ask ann.')
    expect((await ask({}, DOWNLOAD, { path: '/v1/images/a?link=bad' })).problem?.action).toBe('Ask for a new link.')
  })
})

describe('without a credential', () => {
  test('every route but a public one is closed', async () => {
    for (const access of ['viewer', 'admin', IMAGE_RIGHT, OWN, { role: 'viewer', link: 'download' }] as const) {
      const { who, challenge, asked } = await ask({ cookie: 'slipway-agent-0=good' }, access)
      expect([who, challenge, asked]).toEqual(['unauthenticated', 'Bearer realm="slipway"', []])
    }
  })

  test.each<[cookie: string | undefined, access: RouteAccess, who: string, isEnded: unknown]>([
    ['slipway-agent-0=good', COOKIE, 'opal', undefined],
    ['slipway-agent-0=good', { role: 'admin', cookie: 'slipway-agent-0' }, 'forbidden', undefined],
    ['slipway-agent-0=old', COOKIE, 'unauthenticated', true],
    ['slipway-agent-0=', COOKIE, 'unauthenticated', undefined],
    ['slipway-agent-1=good', COOKIE, 'unauthenticated', undefined],
    [undefined, COOKIE, 'unauthenticated', undefined],
  ])('the cookie %j opens a route of the page, %j: %s', async (cookie, access, who, isEnded) => {
    const answer = await ask(cookie === undefined ? {} : { cookie }, access)
    expect([answer.who, answer.problem?.['isSessionEnded']]).toEqual([who, isEnded as never])
    if (who === 'unauthenticated') expect(answer.challenge).toBe('Bearer realm="slipway"')
  })
})
