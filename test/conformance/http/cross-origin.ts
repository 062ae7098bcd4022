// What pages of other origins are granted (CORS), and what OPTIONS lists.

import assert from 'node:assert/strict'
import { route } from '../../../agent/http/route.ts'
import type { Route } from '../../../agent/http/route.ts'
import { createMemoryApp } from '../../support/memory/memory-app.ts'
import type { HttpCase } from './case.ts'

const ORIGIN = 'https://console.example'
const PREFLIGHT = { 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization,range' }

function openRoutes(): Route[] {
  const common = { access: 'viewer', summary: 'for a test', answers: {}, path: '/t/open', crossOrigin: true, run: () => new Response('open') } as const
  return [
    route({ ...common, method: 'GET' }),
    route({ ...common, method: 'DELETE' }),
    route({ ...common, method: 'OPTIONS', access: 'public', run: () => new Response(null, { status: 204, headers: { 'X-Own': 'yes' } }) }),
    route({ ...common, method: 'GET', path: '/t/plain', crossOrigin: true }),
    route({ ...common, method: 'GET', path: '/t/closed', crossOrigin: false }),
  ]
}

export const CROSS_ORIGIN_CASES: HttpCase[] = [
  {
    name: 'a page of an allowed origin can read answers and refusals with their headers, without cookies',
    async run() {
      await using memory = await createMemoryApp({ routes: openRoutes(), origins: [ORIGIN] })
      for (const role of ['viewer', undefined] as const) {
        const { headers } = await memory.ask('/t/open', { ...(role === undefined ? {} : { role }), headers: { origin: ORIGIN } })
        assert.equal(headers.get('access-control-allow-origin'), ORIGIN)
        assert.equal(headers.get('access-control-allow-credentials'), null)
        assert.equal(headers.get('cross-origin-resource-policy'), 'cross-origin')
        assert.match(headers.get('vary') ?? '', /Origin/)
        for (const name of ['ETag', 'Content-Range', 'Accept-Ranges', 'Repr-Digest', 'Upload-Offset', 'Location'])
          assert.match(headers.get('access-control-expose-headers') ?? '', new RegExp(`\\b${name}\\b`))
      }
    },
  },
  {
    name: 'a preflight is answered without a token, with methods and headers',
    async run() {
      await using memory = await createMemoryApp({ routes: openRoutes(), origins: ['*'] })
      for (const path of ['/t/open', '/t/plain']) {
        const response = await memory.ask(path, { method: 'OPTIONS', headers: { origin: ORIGIN, ...PREFLIGHT } })
        assert.equal(response.status, 204)
        assert.equal(response.headers.get('access-control-allow-origin'), ORIGIN)
        assert.match(response.headers.get('access-control-allow-methods') ?? '', /\bGET\b.*\bHEAD\b/)
        for (const name of ['Authorization', 'Range', 'If-Range', 'Tus-Resumable'])
          assert.match(response.headers.get('access-control-allow-headers') ?? '', new RegExp(`\\b${name}\\b`))
      }
    },
  },
  {
    name: 'other origins, other routes and an agent without origins allow nothing',
    async run() {
      const granted = async (origins: readonly string[], path: string, origin: string): Promise<boolean> => {
        await using memory = await createMemoryApp({ routes: openRoutes(), origins })
        const answers = [
          await memory.ask(path, { role: 'viewer', headers: { origin } }),
          await memory.ask(path, { method: 'OPTIONS', headers: { origin, ...PREFLIGHT } }),
        ]
        return answers.some(({ headers }) => [...headers.keys()].some((name) => name.startsWith('access-control-')))
      }
      assert.equal(await granted([ORIGIN], '/t/open', ORIGIN), true)
      for (const origin of ['https://elsewhere.example', `${ORIGIN}.evil.example`, 'null', 'http://console.example'])
        assert.equal(await granted([ORIGIN], '/t/open', origin), false)
      assert.equal(await granted([ORIGIN], '/t/closed', ORIGIN), false)
      assert.equal(await granted([], '/t/open', ORIGIN), false)
    },
  },
  {
    name: 'the page for which an upload link was made can use the link, also when it has ended, and nothing else',
    async run() {
      await using memory = await createMemoryApp({ routes: openRoutes() })
      const create = async (order: Record<string, unknown>): Promise<Response> =>
        memory.ask('/v1/links', { method: 'POST', role: 'uploader', body: JSON.stringify({ kind: 'upload', ...order }) })
      const made = (await (await create({ origin: ORIGIN })).json()) as { id: string; url: string }
      const without = (await (await create({})).json()) as { url: string }
      const granted = async (path: string, origin: string): Promise<readonly (string | null)[]> => {
        const answers = [await memory.ask(path, { headers: { origin } }), await memory.ask(path, { method: 'OPTIONS', headers: { origin, ...PREFLIGHT } })]
        return answers.map(({ headers }) => headers.get('access-control-allow-origin'))
      }
      const { search } = new URL(made.url)
      assert.deepEqual(await granted(`/t/open${search}`, ORIGIN), [ORIGIN, ORIGIN])
      assert.deepEqual(await granted(`/t/open${search}`, 'https://elsewhere.example'), [null, null])
      assert.deepEqual(await granted(`/t/closed${search}`, ORIGIN), [null, null])
      for (const path of ['/t/open', `/t/open${new URL(without.url).search}`, '/t/open?link=slu_wrong', `/t/open?link=${'x'.repeat(3000)}`])
        assert.deepEqual(await granted(path, ORIGIN), [null, null])
      await memory.ask(`/v1/links/${made.id}`, { method: 'DELETE', role: 'uploader' })
      assert.deepEqual(await granted(`/t/open${search}`, ORIGIN), [ORIGIN, ORIGIN])
    },
  },
  {
    name: 'an origin of a link is one as browsers write it',
    async run() {
      await using memory = await createMemoryApp()
      const answer = async (origin: string): Promise<number> =>
        (await memory.ask('/v1/links', { method: 'POST', role: 'uploader', body: JSON.stringify({ kind: 'upload', origin }) })).status
      for (const origin of ['https://console.example', 'http://127.0.0.1:8422', 'http://[::1]:8422', `https://${'a'.repeat(262)}`])
        assert.equal(await answer(origin), 201)
      for (const origin of ['*', 'null', '', 'console.example', 'https://a/', 'https://A.example', 'https://a b', 'ftp://a', `https://${'a'.repeat(263)}`])
        assert.equal(await answer(origin), 400)
    },
  },
  {
    name: 'OPTIONS lists the methods of the path, also when a route answers it',
    async run() {
      await using memory = await createMemoryApp({ routes: openRoutes() })
      const own = await memory.ask('/t/open', { method: 'OPTIONS' })
      assert.deepEqual([own.headers.get('x-own'), own.headers.get('allow')], ['yes', 'DELETE, GET, HEAD, OPTIONS'])
      assert.equal((await memory.ask('/t/plain', { method: 'OPTIONS' })).headers.get('allow'), 'GET, HEAD, OPTIONS')
    },
  },
]
