// Longest credentials of requests, wherever they are sent: 2048 characters are looked up, and longer ones are refused unseen.

import { expect, test } from 'bun:test'
import { Hono } from 'hono'
import { authenticate } from '../../../agent/http/middleware/authenticate.ts'
import { crossOrigin } from '../../../agent/http/middleware/cross-origin.ts'
import type { AppEnvironment } from '../../../agent/http/environment.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import type { Authenticator } from '../../../agent/contract/access.ts'

const COOKIE = 'slipway-agent-00000000'

/** Knows every credential, and counts the look-ups by the length of what was looked up. */
function createScene() {
  const lengths: number[] = []
  const actor = { name: 'known', role: 'admin' } as const
  const seen = <Value>(secret: string, value: Value): Promise<Value> => {
    lengths.push(secret.length)
    return Promise.resolve(value)
  }
  const link = { id: 'lnk_1', makerTokenId: 'tok_1', maker: actor, kind: 'download', endMs: 0 } as const
  const authenticator: Authenticator = {
    byToken: (secret) => seen(secret, actor),
    byLink: (secret) => seen(secret, { kind: 'allowed', actor: { ...actor, link } } as const),
    byPageSession: (secret) => seen(secret, actor),
    originOfLink: (secret) => seen(secret, 'https://page.example'),
  }
  return { authenticator, lengths }
}

test.each<[where: string, request: (secret: string) => Request, refusal: string]>([
  ['a bearer token', (secret) => new Request('http://a/p', { headers: { authorization: `Bearer ${secret}` } }), 'unauthenticated'],
  ['a link', (secret) => new Request(`http://a/p?link=${secret}`), 'link-expired'],
  ['a session of the page', (secret) => new Request('http://a/p', { headers: { cookie: `${COOKIE}=${secret}` } }), 'unauthenticated'],
])('%s has at most 2048 characters', async (where, request, refusal) => {
  const { authenticator, lengths } = createScene()
  const access = where === 'a session of the page' ? ({ role: 'admin', cookie: COOKIE } as const) : ({ role: 'admin', link: 'download' } as const)
  const ask = (length: number): Promise<string> =>
    authenticate(authenticator, request('x'.repeat(length)), 'GET', { access, granted: false }).then(
      ({ name }) => name,
      (error: unknown) => (error instanceof ProblemError ? error.code : String(error)),
    )
  expect([await ask(2048), await ask(2049)]).toEqual(['known', refusal])
  expect(lengths).toEqual([2048])
})

test('the page of a link is looked up for a link of at most 2048 characters', async () => {
  const { authenticator, lengths } = createScene()
  const app = new Hono<AppEnvironment>()
  app.use(crossOrigin([], authenticator))
  app.get('/p', (context) => {
    context.set('pathRoutes', [{ crossOrigin: true } as never])
    return context.text('content')
  })
  const allowedFor = async (length: number): Promise<string | null> => {
    const answer = await app.request(`/p?link=${'x'.repeat(length)}`, { headers: { origin: 'https://page.example' } })
    return answer.headers.get('access-control-allow-origin')
  }
  expect([await allowedFor(2048), await allowedFor(2049)]).toEqual(['https://page.example', null])
  expect(lengths).toEqual([2048])
})
