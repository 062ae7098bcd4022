// Who may ask what: tokens, roles, links.

import assert from 'node:assert/strict'
import { route } from '../../../agent/http/route.ts'
import type { Route } from '../../../agent/http/route.ts'
import { callersOf, TABLE_ROLES } from '../../agent/http/access/access-table.ts'
import { createMemoryApp } from '../../support/memory/memory-app.ts'
import { MEMORY_IMAGE } from '../../support/memory/memory-image.ts'
import type { MemoryApp } from '../../support/memory/memory-app.ts'
import { jsonOf, post, problemOf } from './case.ts'
import type { HttpCase } from './case.ts'

interface Created {
  readonly id: string
  readonly token: string
}

/** Routes that links open: they answer who asks. */
function linkRoutes(): Route[] {
  const show = { summary: 'for a test', answers: {}, run: ({ actor }: { actor: unknown }) => Response.json(actor) }
  return [
    route({ ...show, method: 'GET', path: '/v1/images/:id/content', access: { role: 'viewer', link: 'download' } }),
    route({ ...show, method: 'POST', path: '/v1/uploads', access: { role: 'uploader', link: 'upload' } }),
    route({ ...show, method: 'PATCH', path: '/v1/uploads/:id', access: { role: 'uploader', link: 'upload' } }),
  ]
}

async function makeLink(memory: MemoryApp, body: Record<string, unknown>): Promise<URL> {
  const response = await memory.ask('/v1/links', { role: 'uploader', method: 'POST', body: JSON.stringify(body) })
  return new URL((await jsonOf<{ url: string }>(response, 201)).url)
}

export const ACCESS_CASES: HttpCase[] = [
  {
    name: 'every route lets in the roles of the table: no token gets 401, a lesser one 403',
    async run() {
      await using memory = await createMemoryApp()
      let refusals = 0
      for (const { method, path: pattern } of memory.routes) {
        const callers = callersOf(method, pattern)
        const path = pattern.replaceAll(/:\w+/g, 'x')
        // The first page is for browsers only.
        const headers = path === '/' ? { accept: 'text/html, application/problem+json' } : {}
        const needed = TABLE_ROLES.find((role) => callers.includes(role))
        // An answer to HEAD has no problem document, so only its status is compared.
        const refusedWith = async (answer: Response, code: 'unauthenticated' | 'forbidden'): Promise<unknown> => {
          assert.equal(answer.status, code === 'forbidden' ? 403 : 401, `${method} ${path}`)
          return method === 'HEAD' ? needed : (await problemOf(answer, code))['requiredRole']
        }
        if (!callers.includes('nobody')) {
          const missing = await memory.ask(path, { method, headers })
          assert.equal(missing.headers.get('www-authenticate'), 'Bearer realm="slipway"', `${method} ${path}`)
          await refusedWith(missing, 'unauthenticated')
        }
        for (const role of TABLE_ROLES) {
          const answer = await memory.ask(path, { method, role, headers })
          if (callers.includes(role)) {
            assert.ok(answer.status !== 401 && answer.status !== 403, `${method} ${path} as ${role}: ${answer.status}`)
            await answer.body?.cancel()
            continue
          }
          assert.equal(await refusedWith(answer, 'forbidden'), needed)
          refusals++
        }
      }
      assert.ok(refusals > 25, `${refusals} refusals`)
    },
  },
  {
    name: 'only health, and what a browser needs to enter a token, is public; health shows its checks to those with a token only',
    async run() {
      await using memory = await createMemoryApp()
      assert.deepEqual(
        memory.routes.filter((one) => one.access === 'public').map((one) => one.path),
        ['/v1/health', '/page/enter', '/page/style.css', '/page/icon.svg'],
      )
      const anonymous = await jsonOf<{ state: string; checks: unknown[] }>(await memory.ask('/v1/health'))
      assert.deepEqual([anonymous.state, anonymous.checks], ['running', []])
      assert.equal((await jsonOf<{ checks: unknown[] }>(await memory.ask('/v1/health', { role: 'viewer' }))).checks.length, 1)
    },
  },
  {
    name: 'a wrong credential is refused everywhere, also where none is needed',
    async run() {
      await using memory = await createMemoryApp()
      const wrong = [
        'Bearer slp_wrong',
        'Bearer',
        'Basic dXNlcjpwYXNz',
        `Bearer ${memory.tokens.admin}x`,
        `Bearer ${'x'.repeat(5000)}`,
        `Token ${memory.tokens.admin}`,
      ]
      for (const authorization of wrong)
        for (const path of ['/v1/health', '/v1/tasks']) {
          const response = await memory.ask(path, { headers: { authorization } })
          assert.match(response.headers.get('www-authenticate') ?? '', /error="invalid_token"/)
          await problemOf(response, 'unauthenticated')
        }
      assert.equal((await memory.ask('/v1/tasks', { headers: { authorization: `bearer   ${memory.tokens.viewer}` } })).status, 200)
    },
  },
  {
    name: 'a token is made, shown once, used, and ends by its time or by deletion',
    async run() {
      await using memory = await createMemoryApp()
      const made = await jsonOf<Created>(await post(memory, '/v1/tokens', { name: 'pipeline', role: 'uploader', ttlSeconds: 60 }), 201)
      assert.match(made.token, /^slp_[\w-]{43}$/)
      const listed = await (await memory.ask('/v1/tokens', { role: 'admin' })).text()
      assert.ok(listed.includes('pipeline') && !listed.includes(made.token))
      const use = (secret: string) => memory.ask('/v1/tasks', { headers: { authorization: `Bearer ${secret}` } })
      assert.equal((await use(made.token)).status, 200)
      memory.clock.advance(60_000)
      await problemOf(await use(made.token), 'unauthenticated')
      const other = await jsonOf<Created>(await post(memory, '/v1/tokens', { name: 'other', role: 'viewer' }), 201)
      assert.equal((await post(memory, `/v1/tokens/${other.id}`, undefined, 'DELETE')).status, 204)
      await problemOf(await use(other.token), 'unauthenticated')
      await problemOf(await post(memory, `/v1/tokens/${other.id}`, undefined, 'DELETE'), 'not-found')
      await problemOf(await post(memory, '/v1/tokens', { name: 'x', role: 'root' }), 'invalid-input')
    },
  },
  {
    name: 'the last admin token that does not end by itself stays',
    async run() {
      await using memory = await createMemoryApp()
      await post(memory, '/v1/tokens', { name: 'short', role: 'admin', ttlSeconds: 3600 })
      const { items } = await jsonOf<{ items: { id: string; name: string }[] }>(await memory.ask('/v1/tokens', { role: 'admin' }))
      const last = items.find((token) => token.name === 'admin')
      await problemOf(await post(memory, `/v1/tokens/${last?.id}`, undefined, 'DELETE'), 'conflict')
      await jsonOf(await post(memory, '/v1/tokens', { name: 'second', role: 'admin' }), 201)
      assert.equal((await post(memory, `/v1/tokens/${last?.id}`, undefined, 'DELETE')).status, 204)
    },
  },
  {
    name: 'a download link opens the content of its image by GET and HEAD, and nothing else',
    async run() {
      await using memory = await createMemoryApp({ routes: linkRoutes() })
      const link = await makeLink(memory, { kind: 'download', image: 'debian', ttlSeconds: 60 })
      assert.equal(link.pathname, `/v1/images/${MEMORY_IMAGE}/content`)
      const actor = await jsonOf<{ name: string; link: { image: string } }>(await memory.ask(link.href))
      assert.deepEqual([actor.name, actor.link.image], ['the uploader', MEMORY_IMAGE])
      assert.equal((await memory.ask(link.href, { method: 'HEAD' })).status, 200)
      await problemOf(await memory.ask(`/v1/images/img_other/content${link.search}`), 'link-expired')
      await problemOf(await memory.ask(`/v1/uploads${link.search}`, { method: 'POST' }), 'link-expired')
      await problemOf(await memory.ask(`/v1/tasks${link.search}`), 'forbidden')
      await problemOf(await memory.ask('/v1/links', { role: 'uploader', method: 'POST', body: '{"kind":"download","image":"none"}' }), 'not-found')
    },
  },
  {
    name: 'a link ends with its time, with its signature changed, and with the token of its maker',
    async run() {
      await using memory = await createMemoryApp({ routes: linkRoutes() })
      const link = await makeLink(memory, { kind: 'download', image: 'debian', ttlSeconds: 60 })
      const [payload = '', signature = ''] = (link.searchParams.get('link') ?? '').split('.')
      const forged = btoa(atob(payload.replaceAll('-', '+').replaceAll('_', '/')).replace(/"end":\d+/, '"end":9999999999999')).replace(/=+$/, '')
      for (const text of [
        `${forged}.${signature}`,
        `${payload}.${signature.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'))}`,
        payload,
        '',
        '.',
        'x'.repeat(4000),
      ])
        await problemOf(await memory.ask(`${link.pathname}?link=${text}`), 'link-expired')
      memory.clock.advance(59_999)
      assert.equal((await memory.ask(link.href)).status, 200)
      memory.clock.advance(1)
      await problemOf(await memory.ask(link.href), 'link-expired')

      const made = await jsonOf<Created>(await post(memory, '/v1/tokens', { name: 'maker', role: 'uploader' }), 201)
      const headers = { authorization: `Bearer ${made.token}`, 'content-type': 'application/json' }
      const second = await memory.ask('/v1/links', { method: 'POST', body: '{"kind":"download","image":"debian"}', headers })
      const { url } = await jsonOf<{ url: string }>(second, 201)
      assert.equal((await memory.ask(url)).status, 200)
      await post(memory, `/v1/tokens/${made.id}`, undefined, 'DELETE')
      await problemOf(await memory.ask(url), 'link-expired')
    },
  },
  {
    name: 'an upload link tells its limits to the route, and is made for the host that was asked',
    async run() {
      await using memory = await createMemoryApp({ routes: linkRoutes() })
      const response = await memory.ask('/v1/links', {
        role: 'operator',
        method: 'POST',
        body: JSON.stringify({ kind: 'upload', name: 'debian 13', maxLength: 1000 }),
        headers: { 'x-forwarded-proto': 'https, http', 'x-forwarded-host': 'images.example.org' },
      })
      const { url } = await jsonOf<{ url: string }>(response, 201)
      assert.ok(url.startsWith('https://images.example.org/v1/uploads?link='))
      const { pathname, search } = new URL(url)
      const actor = await jsonOf<{ role: string; link: Record<string, unknown> }>(await memory.ask(pathname + search, { method: 'POST' }))
      assert.equal(actor.role, 'uploader')
      assert.deepEqual([actor.link['kind'], actor.link['maxLength'], actor.link['imageName']], ['upload', 1000, 'debian 13'])
      await problemOf(await memory.ask(`/v1/uploads/upl_1${search}`, { method: 'PATCH' }), 'link-expired')
      await problemOf(await memory.ask('/v1/links', { role: 'viewer', method: 'POST', body: '{"kind":"upload"}' }), 'forbidden')
    },
  },
]
