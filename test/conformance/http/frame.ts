// The frame around every route: ids, problems, methods, heads, headers, bodies.

import assert from 'node:assert/strict'
import { z } from 'zod'
import type { Route } from '../../../agent/http/route.ts'
import { route } from '../../../agent/http/route.ts'
import { problem } from '../../../protocol/problems.ts'
import { createMemoryApp } from '../../support/memory/memory-app.ts'
import { problemOf } from './case.ts'
import type { HttpCase } from './case.ts'

const nothing = { access: 'viewer', summary: 'for a test', answers: {} } as const

/** A body that records its cancellation. */
function trackedBody(onCancel: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(10)), cancel: onCancel })
}

export const FRAME_CASES: HttpCase[] = [
  {
    name: 'a valid request id is returned, and used in problems and log lines; an invalid one is replaced',
    async run() {
      await using memory = await createMemoryApp()
      const response = await memory.ask('/v1/tasks/none', { role: 'viewer', headers: { 'x-request-id': 'build-42.a:b' } })
      assert.equal(response.headers.get('x-request-id'), 'build-42.a:b')
      assert.equal((await problemOf(response, 'not-found')).requestId, 'build-42.a:b')
      assert.ok(memory.log.lines.some((line) => line.message === 'request' && line.fields['requestId'] === 'build-42.a:b'))
      for (const wrong of ['a b', '', '../x', '"x"', 'x'.repeat(65), '{"a":1}']) {
        const id = (await memory.ask('/v1/health', { headers: { 'x-request-id': wrong } })).headers.get('x-request-id') ?? ''
        assert.match(id, /^req_[0-9a-z]{26}$/)
      }
    },
  },
  {
    name: 'an unknown path is a problem whose instance has no query',
    async run() {
      await using memory = await createMemoryApp()
      const found = await problemOf(await memory.ask('/v1/nothing?link=secret'), 'not-found')
      assert.equal(found.instance, '/v1/nothing')
      assert.ok(!JSON.stringify(memory.log.lines).includes('secret'))
    },
  },
  {
    name: 'a wrong method names the right ones, and OPTIONS is answered without a token',
    async run() {
      await using memory = await createMemoryApp()
      const response = await memory.ask('/v1/tokens', { role: 'admin', method: 'PUT' })
      assert.equal(response.headers.get('allow'), 'GET, HEAD, OPTIONS, POST')
      await problemOf(response, 'method-not-allowed')
      const options = await memory.ask('/v1/tokens', { method: 'OPTIONS' })
      assert.equal(options.status, 204)
      assert.equal(options.headers.get('allow'), 'GET, HEAD, OPTIONS, POST')
    },
  },
  {
    name: 'HEAD of a GET route has its status and headers, and cancels its body',
    async run() {
      let cancelled = 0
      const routes: Route[] = [
        route({
          ...nothing,
          method: 'GET',
          path: '/t/stream',
          run: () =>
            new Response(
              trackedBody(() => cancelled++),
              { headers: { ETag: '"x"', 'Content-Length': '77' } },
            ),
        }),
        route({ ...nothing, method: 'GET', path: '/t/own', run: () => new Response('get') }),
        route({ ...nothing, method: 'HEAD', path: '/t/own', run: () => new Response(null, { headers: { 'X-Own': 'head' } }) }),
      ]
      await using memory = await createMemoryApp({ routes })
      const head = await memory.ask('/t/stream', { role: 'viewer', method: 'HEAD' })
      assert.equal(head.status, 200)
      assert.equal(head.headers.get('etag'), '"x"')
      assert.equal(head.headers.get('content-length'), '77')
      assert.equal(await head.text(), '')
      assert.equal(cancelled, 1)
      assert.equal((await memory.ask('/t/own', { role: 'viewer', method: 'HEAD' })).headers.get('x-own'), 'head')
      const refused = await memory.ask('/t/own', { method: 'HEAD' })
      assert.equal(refused.status, 401)
      assert.equal(await refused.text(), '')
    },
  },
  {
    name: 'a POST runs as the method it names, under the access of that method, and is logged as that method',
    async run() {
      const say = (method: 'GET' | 'POST' | 'DELETE', access: 'viewer' | 'operator') =>
        route({ ...nothing, access, method, path: '/t/override', run: () => new Response(method, { headers: { 'Content-Length': String(method.length) } }) })
      await using memory = await createMemoryApp({ routes: [say('GET', 'viewer'), say('POST', 'viewer'), say('DELETE', 'operator')] })
      const ask = (method: string, override: string, role: 'viewer' | 'operator' = 'viewer') =>
        memory.ask('/t/override', { role, method, headers: { 'x-http-method-override': override } })
      assert.equal(await (await ask('POST', 'GET')).text(), 'GET')
      assert.equal(await (await ask('POST', 'post')).text(), 'POST')
      await problemOf(await ask('POST', 'DELETE'), 'forbidden')
      assert.equal(await (await ask('POST', 'Delete', 'operator')).text(), 'DELETE')
      const logged = memory.log.lines.filter(({ message }) => message === 'request').map(({ fields }) => fields['method'])
      assert.deepEqual(logged, ['GET', 'POST', 'DELETE', 'DELETE'])
      // A client reads the answer to a POST to its Content-Length, which an answer without a body must not announce.
      const head = await ask('POST', 'HEAD')
      assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, null, ''])
    },
  },
  {
    name: 'a method that no path supports gets 405; an override with an invalid method or of a method other than POST gets 400',
    async run() {
      const routes = [route({ ...nothing, method: 'GET', path: '/t/get', run: () => new Response('get') })]
      await using memory = await createMemoryApp({ routes })
      const ask = (method: string, override: string) => memory.ask('/t/get', { role: 'viewer', method, headers: { 'x-http-method-override': override } })
      const none = await ask('POST', 'PUT')
      assert.equal(none.headers.get('allow'), 'GET, HEAD, OPTIONS')
      await problemOf(none, 'method-not-allowed')
      for (const wrong of ['OPTIONS', 'TRACE', 'CONNECT', 'GET, HEAD', '', '"GET"', 'x'.repeat(5000)]) {
        const found = await problemOf(await ask('POST', wrong), 'invalid-input')
        assert.ok(found.detail.includes('X-HTTP-Method-Override') && found.detail.length < 200)
      }
      for (const method of ['OPTIONS', 'DELETE', 'PUT']) await problemOf(await ask(method, 'GET'), 'invalid-input')
      assert.equal((await ask('GET', 'GET')).status, 200)
    },
  },
  {
    name: 'fixed segments take precedence over parameters, in any order of routes',
    async run() {
      const say = (text: string) => ({ ...nothing, method: 'GET' as const, run: () => new Response(text) })
      const routes: Route[] = [
        route({ ...say('parameter'), path: '/t/:id' }),
        route({ ...say('fixed'), path: '/t/fixed' }),
        route({ ...say('deep'), path: '/t/:id/deep' }),
      ]
      await using memory = await createMemoryApp({ routes })
      for (const [path, text] of [
        ['/t/fixed', 'fixed'],
        ['/t/other', 'parameter'],
        ['/t/fixed/deep', 'deep'],
      ] as const)
        assert.equal(await (await memory.ask(path, { role: 'viewer' })).text(), text)
    },
  },
  {
    name: 'two routes for one method and path are refused at the start',
    async run() {
      const twice = route({ ...nothing, method: 'GET', path: '/v1/health', run: () => new Response() })
      await assert.rejects(createMemoryApp({ routes: [twice] }), /two routes for GET \/v1\/health/)
    },
  },
  {
    name: 'an unexpected error is a 500 without details, logged once with its cause',
    async run() {
      const routes = [
        route({
          ...nothing,
          method: 'GET',
          path: '/t/broken',
          run: () => {
            throw new Error('cannot read /srv/secret/path')
          },
        }),
        // A library may throw a value that is not an Error.
        route({ ...nothing, method: 'GET', path: '/t/odd', run: () => Promise.reject('just text /srv/secret/path') }),
      ]
      await using memory = await createMemoryApp({ routes })
      for (const path of ['/t/broken', '/t/odd']) {
        const response = await memory.ask(path, { role: 'viewer' })
        assert.equal(response.status, 500)
        assert.ok(!JSON.stringify(await problemOf(response, 'internal')).includes('secret'))
      }
      const errors = memory.log.lines.filter((line) => line.level === 'error')
      assert.equal(errors.length, 2)
      assert.match(String(errors[0]?.fields['error']), /secret/)
    },
  },
  {
    name: 'disk errors are reported by kind, without paths',
    async run() {
      const fail = (code: string) => () => Promise.reject(new Error('outer', { cause: Object.assign(new Error(`${code}: write '/srv/x'`), { code }) }))
      const codes = ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'ESTALE', 'EMFILE']
      const routes = codes.map((code) => route({ ...nothing, method: 'GET', path: `/t/${code}`, run: fail(code) }))
      await using memory = await createMemoryApp({ routes })
      const seen: number[] = []
      for (const code of codes) {
        const response = await memory.ask(`/t/${code}`, { role: 'viewer' })
        seen.push(response.status)
        assert.ok(!(await response.text()).includes('/srv'))
      }
      assert.deepEqual(seen, [507, 507, 503, 503, 503, 429])
    },
  },
  {
    name: 'a refusal keeps its extra members and headers, and has Retry-After',
    async run() {
      const refuse = () => {
        throw problem('upload-locked', 'In use.', { expectedOffset: 7, action: 'Wait.' }, { headers: { 'Upload-Offset': '7', 'Retry-After': '60' } })
      }
      const errorHeaders = () => ({ 'Tus-Resumable': '1.0.0' })
      const routes = [
        route({ ...nothing, method: 'GET', path: '/t/locked', errorHeaders, run: refuse }),
        route({ ...nothing, method: 'GET', path: '/t/stopping', run: () => Promise.reject(problem('shutting-down', 'Stopping.')) }),
      ]
      await using memory = await createMemoryApp({ routes })
      const locked = await memory.ask('/t/locked', { role: 'viewer' })
      assert.equal(locked.status, 423)
      assert.equal(locked.headers.get('upload-offset'), '7')
      assert.equal(locked.headers.get('retry-after'), '60')
      const found = await problemOf(locked, 'upload-locked')
      assert.equal(found['expectedOffset'], 7)
      assert.equal(found.action, 'Wait.')
      assert.match((await memory.ask('/t/stopping', { role: 'viewer' })).headers.get('retry-after') ?? '', /^\d+$/)
      for (const refused of [
        memory.ask('/t/locked'),
        memory.ask('/t/locked', { method: 'PUT' }),
        memory.ask('/t/locked', { headers: { authorization: 'Bearer x' } }),
      ])
        assert.equal((await refused).headers.get('tus-resumable'), '1.0.0')
    },
  },
  {
    name: 'every answer has security headers, and JSON is not stored',
    async run() {
      await using memory = await createMemoryApp()
      for (const response of [await memory.ask('/v1/health'), await memory.ask('/v1/none'), await memory.ask('/v1/tasks', { role: 'viewer' })]) {
        assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
        assert.equal(response.headers.get('x-frame-options'), 'DENY')
        assert.equal(response.headers.get('referrer-policy'), 'no-referrer')
        assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'/)
        assert.equal(response.headers.get('cache-control'), 'no-store')
      }
    },
  },
  {
    name: 'a route that sets its own policy keeps it',
    async run() {
      const routes = [
        route({ ...nothing, method: 'GET', path: '/t/page', run: () => new Response('', { headers: { 'Content-Security-Policy': "default-src 'self'" } }) }),
      ]
      await using memory = await createMemoryApp({ routes })
      assert.equal((await memory.ask('/t/page', { role: 'viewer' })).headers.get('content-security-policy'), "default-src 'self'")
    },
  },
  {
    name: 'JSON bodies are bounded, typed and checked, with one entry for each wrong member',
    async run() {
      const body = z.strictObject({ name: z.string().min(1), count: z.int() })
      const routes = [route({ ...nothing, method: 'POST', path: '/t/json', body, run: (context) => Response.json(context.body) })]
      await using memory = await createMemoryApp({ routes })
      const send = (text: string, type = 'application/json') =>
        memory.ask('/t/json', { role: 'viewer', method: 'POST', body: text, headers: { 'content-type': type } })
      assert.deepEqual(await (await send('{"name":"ä","count":1}')).json(), { name: 'ä', count: 1 })
      assert.equal((await send('{"name":"x","count":1}', 'application/json; charset=utf-8')).status, 200)
      const wrong = await problemOf(await send('{"name":"","count":1.5,"other":1}'), 'invalid-input')
      assert.deepEqual((wrong['errors'] as { member: string }[]).map(({ member }) => member).toSorted(), ['count', 'name', 'other'])
      await problemOf(await send('{"name":'), 'invalid-input')
      await problemOf(await send('name=x', 'application/x-www-form-urlencoded'), 'unsupported-media-type')
      await problemOf(await send(`{"name":"${'x'.repeat(1024 * 1024)}"}`), 'payload-too-large')
      const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new TextEncoder().encode(' '.repeat(65_536))) })
      const streamed = memory.ask('/t/json', { role: 'viewer', method: 'POST', body: endless, duplex: 'half' })
      await problemOf(await streamed, 'payload-too-large')
    },
  },
  {
    name: 'the log has method, path, status, duration and caller, and never a secret',
    async run() {
      await using memory = await createMemoryApp()
      await memory.ask('/v1/tasks?state=running', { role: 'operator' })
      const line = memory.log.lines.find(({ message }) => message === 'request')
      assert.deepEqual(
        { ...line?.fields, requestId: undefined, remote: undefined, durationMs: undefined },
        {
          method: 'GET',
          path: '/v1/tasks',
          status: 200,
          actor: 'the operator',
          requestId: undefined,
          remote: undefined,
          durationMs: undefined,
        },
      )
      assert.ok(!JSON.stringify(memory.log.lines).includes(memory.tokens.operator))
    },
  },
  {
    name: 'a route can send interim responses, which are ignored without a server',
    async run() {
      const routes = [
        route({
          ...nothing,
          method: 'GET',
          path: '/t/long',
          run({ inform }) {
            inform(103, { link: '</style.css>; rel=preload' })
            return new Response('ok')
          },
        }),
      ]
      await using memory = await createMemoryApp({ routes })
      const sent: [number, Readonly<Record<string, string>>][] = []
      const connection = {
        remoteAddress: '192.0.2.1',
        inform: (status: number, headers: Readonly<Record<string, string>>) => void sent.push([status, headers]),
      }
      const request = new Request('http://localhost/t/long', { headers: { authorization: `Bearer ${memory.tokens.viewer}` } })
      assert.equal((await memory.app.fetch(request, { connection })).status, 200)
      assert.deepEqual(sent, [[103, { link: '</style.css>; rel=preload' }]])
      assert.equal((await memory.ask('/t/long', { role: 'viewer' })).status, 200)
    },
  },
]
