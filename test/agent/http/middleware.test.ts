// What every request goes through: ids, authentication, problems, the log, and the method that runs.

import { describe, expect, test } from 'bun:test'
import { z } from 'zod'
import type { Actor, LinkOutcome } from '../../../agent/contract/access.ts'
import { createApp } from '../../../agent/http/app.ts'
import type { ObservedRequest } from '../../../agent/http/middleware/access-log.ts'
import { route } from '../../../agent/http/route.ts'
import type { RouteAccess } from '../../../agent/http/route.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'

const VIEWER: Actor = { name: 'v', role: 'viewer', tokenId: 'tok_1' }
const LINK: Actor = { ...VIEWER, link: { id: 'l', makerTokenId: 't', maker: VIEWER, kind: 'download', endMs: 0 } }

interface Setting {
  readonly access?: RouteAccess
  readonly actor?: Actor
  readonly link?: LinkOutcome
  readonly granted?: boolean
  readonly run?: (actor: Actor) => Response
}

function open({ access = 'viewer', actor = VIEWER, link, granted = false, run }: Setting = {}) {
  const clock = createManualClock()
  const log = createMemoryLog()
  const observed: ObservedRequest[] = []
  const secrets: string[] = []
  const links: unknown[] = []
  let cancelled = 0
  const body = () => new ReadableStream({ cancel: () => void cancelled++ })
  const answers = { 200: { description: 'x' } }
  const ran: Actor[] = []
  const app = createApp({
    routes: [
      route({
        ...{ path: '/v1/thing/:id', access, summary: 'x', answers, granted, errorHeaders: () => ({ 'X-Protocol': '1' }) },
        method: 'GET',
        params: z.object({ id: z.string().max(9) }),
        run({ actor: who }) {
          ran.push(who)
          clock.advance(1234)
          return run?.(who) ?? new Response(body(), { headers: { 'Content-Length': '5', 'Content-Type': 'application/json' } })
        },
      }),
      route({ path: '/v1/thing/:id', access, summary: 'x', answers, method: 'DELETE', run: () => new Response('deleted') }),
      route({ path: '/v1/thing/fixed', access, summary: 'x', answers, method: 'GET', run: () => new Response('fixed') }),
      route({ path: '/v1/health', access: 'public', summary: 'x', answers, method: 'GET', run: ({ actor: who }) => Response.json(who) }),
    ],
    authenticator: {
      async byToken(secret) {
        secrets.push(secret)
        return secret.startsWith('good') ? actor : undefined
      },
      async byLink(text, target) {
        links.push([text, target])
        return link ?? { kind: 'allowed', actor: LINK }
      },
    },
    log,
    clock,
    observe: (request) => void observed.push(request),
  })
  const ask = (path = '/v1/thing/a', init: RequestInit = {}, token: string | undefined = 'good') =>
    app.request(path, {
      ...init,
      headers: { ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...(init.headers as Record<string, string>) },
    })
  return { ask, log, observed, secrets, links, ran, cancelled: () => cancelled }
}

describe('a credential', () => {
  test('of 2,048 characters is checked, and a longer one is not', async () => {
    const it = open()
    expect((await it.ask(undefined, {}, `good${'x'.repeat(2044)}`)).status).toBe(200)
    expect((await it.ask(undefined, {}, `good${'x'.repeat(2045)}`)).status).toBe(401)
    expect(it.secrets).toHaveLength(1)
  })

  test.each(['Bearer good', 'bearer   good', 'BEARER good=='])('"%s" is a token', async (authorization) => {
    expect((await open().ask('/v1/thing/a', { headers: { authorization } }, undefined)).status).toBe(200)
  })

  test.each(['Basic good', 'Bearer', 'Bearer go od', 'Bearer gööd', 'Bearer =good', 'xBearer good'])('"%s" is not', async (authorization) => {
    const it = open()
    const answer = await it.ask('/v1/thing/a', { headers: { authorization: encodeURI(authorization).replaceAll('%20', ' ') } }, undefined)
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="slipway", error="invalid_token"'])
    expect(it.ran).toEqual([])
  })

  test('that is missing or wrong is refused, a wrong one also where none is needed', async () => {
    const it = open()
    const none = await it.ask(undefined, {}, '')
    expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="slipway", error="invalid_token"'])
    const missing = await it.ask('/v1/thing/a', { headers: { authorization: '' } }, undefined)
    expect([missing.status, missing.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="slipway"'])
    expect((await it.ask('/v1/health', {}, 'bad')).status).toBe(401)
    expect(await (await it.ask('/v1/health', { headers: { authorization: '' } }, undefined)).json()).toEqual({ name: 'anonymous', role: 'viewer' })
  })

  test('of a lower role is refused, unless the image or its own things decide', async () => {
    const refused = await open({ access: 'operator' }).ask()
    expect(await refused.json()).toMatchObject({
      status: 403,
      detail: 'This request needs the role operator; the token "v" has the role viewer.',
      requiredRole: 'operator',
    })
    const EDIT = { role: 'operator', right: 'manage' } as const
    const OWN = { role: 'operator', own: 'its uploads' } as const
    const named = { ...VIEWER, subject: 'ann' }
    const grouped = { ...VIEWER, groups: ['web'] }
    const statuses = await Promise.all(
      [
        { access: EDIT },
        { access: EDIT, actor: { ...VIEWER, groups: [] } },
        { access: EDIT, actor: named },
        { access: EDIT, actor: grouped },
        { access: OWN },
        { access: OWN, actor: grouped },
        { access: OWN, actor: named },
        { access: 'operator' as const, actor: named },
      ].map(async (setting) => (await open(setting).ask()).status),
    )
    expect(statuses).toEqual([403, 403, 200, 200, 403, 403, 200, 403])
  })

  test('that is a grant between stores is refused where routes do not say otherwise', async () => {
    const grant = { ...VIEWER, grant: { id: 'g', images: new Set<string>(), maker: VIEWER } }
    expect((await open({ actor: grant }).ask()).status).toBe(403)
    expect((await open({ actor: grant, granted: true }).ask()).status).toBe(200)
  })
})

describe('a link', () => {
  const access = { role: 'viewer', link: 'download' } as const
  const linked = (setting: Setting, link: string, method = 'GET') => {
    const it = open(setting)
    return { ...it, answer: it.ask(`/v1/thing/a?link=${link}`, { method, headers: { authorization: '' } }, undefined) }
  }

  test('is checked for the method and the path', async () => {
    const it = linked({ access }, 'abc')
    expect((await it.answer).status).toBe(200)
    expect(it.links).toEqual([['abc', { method: 'GET', path: '/v1/thing/a' }]])
    expect(it.ran).toEqual([LINK])
  })

  test('is refused where none is allowed, when it is too long, refused or of the other kind', async () => {
    expect(await (await linked({}, 'abc').answer).json()).toMatchObject({ status: 403, detail: 'A link does not give access to this path.' })
    const long = linked({ access }, 'x'.repeat(2049))
    expect((await long.answer).status).toBe(403)
    expect(long.links).toEqual([])
    expect((await linked({ access }, 'x'.repeat(2048)).answer).status).toBe(200)
    const refused = linked({ access, link: { kind: 'refused', detail: 'It has expired.' } }, 'abc')
    expect(await (await refused.answer).json()).toMatchObject({ detail: 'It has expired.' })
    const upload = linked({ access: { role: 'viewer', link: 'upload' } }, 'abc')
    expect(await (await upload.answer).json()).toMatchObject({ detail: 'This is not an upload link.' })
  })
})

describe('a request id', () => {
  test.each([
    ['a', true],
    ['a'.repeat(64), true],
    ['a'.repeat(65), false],
    ['build:7.1-x_y', true],
    ['-a', false],
    ['a b', false],
    ['a"b', false],
  ])('"%s" of a client is used: %p', async (id, isUsed) => {
    const it = open()
    const answer = await it.ask(undefined, { headers: { 'x-request-id': id } })
    const used = answer.headers.get('x-request-id') ?? ''
    expect(used === id).toBe(isUsed)
    if (!isUsed) expect(used).toMatch(/^req_[0-9a-z]{26}$/)
    expect(it.log.lines[0]?.fields['requestId']).toBe(used)
  })
})

describe('a problem', () => {
  test.each<[ProblemCode, number, string | null]>([
    ['upload-locked', 423, '5'],
    ['limit-reached', 429, '5'],
    ['store-unavailable', 503, '5'],
    ['not-found', 404, null],
    ['internal', 500, null],
  ])('%s is answered with %d and Retry-After %p', async (code, status, retryAfter) => {
    const it = open({
      run() {
        throw problem(code, 'The detail.', {}, { headers: { 'X-Own': 'a' } })
      },
    })
    const answer = await it.ask()
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([status, retryAfter])
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      'x-own': 'a',
      'x-protocol': '1',
    })
    expect(await answer.json()).toMatchObject({
      type: `urn:slipway:problem:${code}`,
      detail: 'The detail.',
      instance: '/v1/thing/a',
      requestId: answer.headers.get('x-request-id'),
    })
    expect(it.log.lines.some(({ level }) => level === 'error')).toBe(false)
  })

  test('of an unexpected error does not tell its message, which is logged', async () => {
    const it = open({
      run() {
        throw new Error('/srv/secret is broken')
      },
    })
    const answer = await it.ask()
    expect(answer.status).toBe(500)
    expect(await answer.text()).not.toContain('/srv/secret')
    expect(it.log.lines[0]).toMatchObject({
      level: 'error',
      message: 'request failed',
      fields: { path: '/v1/thing/a', error: { message: '/srv/secret is broken' } },
    })
    const gone = AbortSignal.abort()
    await it.ask(undefined, { signal: gone })
    expect(it.log.lines.filter(({ message }) => message === 'request failed').map(({ level }) => level)).toEqual(['error', 'info'])
  })

  test('has no body in the answer to HEAD', async () => {
    const it = open()
    const answer = await it.ask('/v1/thing/0123456789', { method: 'HEAD' })
    expect([answer.status, await answer.text()]).toEqual([400, ''])
    expect((await it.ask('/v1/nothing')).status).toBe(404)
  })
})

describe('the method', () => {
  test('HEAD runs GET, keeps its headers and cancels its body', async () => {
    const it = open()
    const answer = await it.ask(undefined, { method: 'HEAD' })
    expect([answer.status, answer.headers.get('content-length'), await answer.text(), it.cancelled()]).toEqual([200, '5', '', 1])
    const overridden = await it.ask(undefined, { method: 'POST', headers: { 'x-http-method-override': 'head' } })
    expect([overridden.status, overridden.headers.get('content-length'), it.cancelled()]).toEqual([200, null, 2])
  })

  test('that a path lacks is refused with those that it has', async () => {
    const it = open()
    const answer = await it.ask(undefined, { method: 'PUT' })
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'DELETE, GET, HEAD, OPTIONS'])
    const options = await it.ask(undefined, { method: 'OPTIONS', headers: { authorization: '' } }, undefined)
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'DELETE, GET, HEAD, OPTIONS'])
    expect(await (await it.ask(undefined, { method: 'POST', headers: { 'x-http-method-override': 'DELETE' } })).text()).toBe('deleted')
  })

  test('of a fixed path comes before one with a parameter', async () => {
    expect(await (await open().ask('/v1/thing/fixed')).text()).toBe('fixed')
  })
})

describe('the log', () => {
  test('has one line for each request, by what came of it', async () => {
    const it = open()
    await it.ask('/v1/thing/a?link=secret')
    await it.ask('/v1/thing/a')
    await it.ask('/v1/health')
    await it.ask('/v1/health', {}, 'bad')
    await it.ask('/v1/nothing')
    const lines = it.log.lines.filter(({ message }) => message === 'request')
    expect(lines.map(({ level, fields }) => [level, fields['path'], fields['status'], fields['durationMs'], fields['actor']])).toEqual([
      ['info', '/v1/thing/a', 400, 0, 'v'],
      ['info', '/v1/thing/a', 200, 1234, 'v'],
      ['debug', '/v1/health', 200, 0, 'v'],
      ['info', '/v1/health', 401, 0, undefined],
      ['info', '/v1/nothing', 404, 0, undefined],
    ])
    expect(JSON.stringify(lines)).not.toContain('secret')
    expect(it.observed.map(({ method, route: path, status, seconds }) => [method, path, status, seconds])).toEqual([
      ['GET', '/v1/thing/:id', 400, 0],
      ['GET', '/v1/thing/:id', 200, 1.234],
      ['GET', '/v1/health', 200, 0],
      ['GET', '/v1/health', 401, 0],
      ['GET', 'unmatched', 404, 0],
    ])
  })

  test('warns of failures', async () => {
    const it = open({ run: () => new Response(null, { status: 500 }) })
    await it.ask()
    expect(it.log.lines.at(-1)).toMatchObject({ level: 'warn', message: 'request' })
    const well = open({ run: () => new Response(null, { status: 499 }) })
    await well.ask()
    expect(well.log.lines.at(-1)?.level).toBe('info')
  })
})
