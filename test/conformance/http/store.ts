// The store, its health, its metrics, its files, and the description of all that.

import assert from 'node:assert/strict'
import type { HealthCheck } from '../../../agent/contract/health.ts'
import { templateOf } from '../../../agent/http/openapi/document.ts'
import type { OpenApiDocument } from '../../../agent/http/openapi/document.ts'
import type { Health } from '../../../protocol/health.ts'
import { storeSchema } from '../../../protocol/store.ts'
import type { Store } from '../../../protocol/store.ts'
import type { Task } from '../../../protocol/task.ts'
import { createMemoryApp } from '../../support/memory/memory-app.ts'
import { createMemoryFiles } from '../../support/memory/memory-files.ts'
import { jsonOf, post, problemOf } from './case.ts'
import type { HttpCase } from './case.ts'

function failing(name: string, isVital: boolean): HealthCheck {
  return { name, isVital, measure: () => ({ state: 'failed', measured: 'gone', limit: null, impact: 'Nothing works.', action: 'Mount it.' }) }
}

export const STORE_CASES: HttpCase[] = [
  {
    name: 'the store shows its settings, capacity and savings',
    async run() {
      await using memory = await createMemoryApp()
      const store = storeSchema.parse(await jsonOf(await memory.ask('/v1/store', { role: 'viewer' })))
      assert.deepEqual(store.capacity, { total: 1000, used: 600, free: 400, reserved: 100, available: 250 })
      assert.deepEqual(store.slices, { count: 3, storedBytes: 200, imageBytes: 600, savingRatio: 3 })
      assert.deepEqual([store.traffic, store.scrubbedAt], [{ received: 900, served: 1200, since: '1970-01-01T00:00:05.000Z' }, null])
    },
  },
  {
    name: 'name and description change, and the store is disabled with its reason and enabled again, each with an event',
    async run() {
      await using memory = await createMemoryApp()
      assert.equal((await jsonOf<Store>(await post(memory, '/v1/store', { description: 'in the cellar' }, 'PATCH'))).description, 'in the cellar')
      const disabled = await jsonOf<Store>(await post(memory, '/v1/store/disable', { reason: 'disk swap' }))
      assert.deepEqual([disabled.enabled, disabled.disabledReason, disabled.description], [false, 'disk swap', 'in the cellar'])
      const enabled = await jsonOf<Store>(await post(memory, '/v1/store/enable'))
      assert.deepEqual([enabled.enabled, enabled.disabledReason], [true, null])
      assert.deepEqual(
        memory.events
          .after('0', { limit: 100 })
          .filter(({ type }) => type.startsWith('store.'))
          .map(({ type, actor }) => [type, actor]),
        [
          ['store.changed', 'admin'],
          ['store.disabled', 'admin'],
          ['store.enabled', 'admin'],
        ],
      )
      await problemOf(await post(memory, '/v1/store', { mount: '/' }, 'PATCH'), 'invalid-input')
      await problemOf(await post(memory, '/v1/store', {}, 'PATCH'), 'invalid-input')
    },
  },
  {
    name: 'a body that can be empty is documented as optional, and any other as required',
    async run() {
      await using memory = await createMemoryApp()
      const document = await jsonOf<OpenApiDocument>(await memory.ask('/v1/openapi.json', { role: 'viewer' }))
      const required = Object.entries(document.paths).flatMap(([path, operations]) =>
        Object.entries(operations).flatMap(([method, operation]) => {
          const body = (operation as { requestBody?: { required: boolean } }).requestBody
          return body ? [`${method} ${path} ${body.required}`] : []
        }),
      )
      assert.deepEqual(required.toSorted(), [
        'patch /v1/schedules/{name} true',
        'patch /v1/store true',
        'post /page/enter false',
        'post /page/leave false',
        'post /v1/links true',
        'post /v1/store/cleanup false',
        'post /v1/store/disable false',
        'post /v1/tokens true',
      ])
      assert.equal((await post(memory, '/v1/store/cleanup')).status, 202)
      assert.equal((await jsonOf<Store>(await post(memory, '/v1/store/disable'))).disabledReason, '')
      for (const path of ['/v1/links', '/v1/tokens']) await problemOf(await post(memory, path), 'invalid-input')
      for (const path of ['/v1/store', '/v1/schedules/scrub']) await problemOf(await post(memory, path, undefined, 'PATCH'), 'invalid-input')
    },
  },
  {
    name: 'cleanup starts a task, also as a dry run',
    async run() {
      await using memory = await createMemoryApp()
      const task = await jsonOf<Task>(await post(memory, '/v1/store/cleanup', { dryRun: true }), 202)
      assert.deepEqual((await memory.tasks.ended(task.id)).result, { params: { dryRun: true } })
      assert.equal((await jsonOf<Task>(await post(memory, '/v1/store/cleanup'), 202)).kind, 'cleanup')
    },
  },
  {
    name: 'degraded health gets 200, an error 503 with the same schema; a failed reconnect reports the reason',
    async run() {
      await using degraded = await createMemoryApp({ checks: [failing('last-scrub', false)] })
      assert.equal((await jsonOf<Health>(await degraded.ask('/v1/health', { role: 'viewer' }))).state, 'degraded')
      await using broken = await createMemoryApp({ checks: [failing('mount-path', true)] })
      const response = await broken.ask('/v1/health', { role: 'viewer' })
      assert.equal(response.headers.get('content-type')?.startsWith('application/json'), true)
      const health = await jsonOf<Health>(response, 503)
      assert.deepEqual([health.state, health.checks[0]?.action], ['error', 'Mount it.'])
      const refused = await problemOf(await post(broken, '/v1/store/reconnect'), 'store-unavailable')
      assert.equal(refused.action, 'Mount it.')
      assert.equal((await post(degraded, '/v1/store/reconnect')).status, 200)
    },
  },
  {
    name: 'a check that hangs fails after two seconds and delays no later answer',
    async run() {
      const started = Promise.withResolvers<void>()
      const hanging: HealthCheck = {
        name: 'mount-path',
        isVital: true,
        measure() {
          started.resolve()
          return new Promise(() => {})
        },
      }
      await using memory = await createMemoryApp({ checks: [hanging] })
      const first = memory.ask('/v1/health', { role: 'viewer' })
      await started.promise
      memory.clock.advance(2000)
      assert.equal((await jsonOf<Health>(await first, 503)).checks[0]?.measured, 'no answer for 2 s')
      assert.equal((await memory.ask('/v1/health')).status, 503)
    },
  },
  {
    name: 'metrics are text with help and type, and count requests by route and not by path',
    async run() {
      await using memory = await createMemoryApp()
      for (const id of ['a', 'b']) await memory.ask(`/v1/tasks/${id}`, { role: 'viewer' })
      await memory.ask('/none/1')
      const response = await memory.ask('/metrics', { role: 'viewer' })
      assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
      const text = await response.text()
      assert.match(text, /^# HELP requests_total .*\n# TYPE requests_total counter\n/)
      assert.match(text, /requests_total\{route="\/v1\/tasks\/:id",status="404"\} 2\n/)
      assert.match(text, /requests_total\{route="unmatched",status="404"\} 1\n/)
    },
  },
  {
    name: 'files are listed for viewers and sent to operators, completely, by range and by condition',
    async run() {
      await using memory = await createMemoryApp()
      const { items } = await jsonOf<{ items: unknown[] }>(await memory.ask('/v1/files?path=images', { role: 'viewer' }))
      for (const path of ['uploads', 'sync']) {
        for (const role of ['viewer', 'uploader'] as const) await problemOf(await memory.ask(`/v1/files?path=${path}`, { role }), 'forbidden')
        await problemOf(await memory.ask(`/v1/files?path=${path}`, { role: 'operator' }), 'not-found')
      }
      assert.deepEqual(items, [{ name: 'big', kind: 'file', length: 3_000_000, modifiedAt: '2026-01-01T00:00:00.000Z' }])
      const get = (headers: Record<string, string> = {}, method = 'GET') =>
        memory.ask('/v1/files/content?path=images/big', { role: 'operator', headers, method })
      const whole = await get()
      assert.equal((await whole.arrayBuffer()).byteLength, 3_000_000)
      const etag = whole.headers.get('etag') ?? ''
      assert.match(whole.headers.get('content-disposition') ?? '', /^attachment; filename="big"/)
      const part = await get({ range: 'bytes=10-19' })
      assert.deepEqual([part.status, part.headers.get('content-range'), (await part.arrayBuffer()).byteLength], [206, 'bytes 10-19/3000000', 10])
      assert.equal((await get({ range: 'bytes=10-19', 'if-range': '"other"' })).status, 200)
      const beyond = await get({ range: 'bytes=3000000-' })
      assert.equal(beyond.headers.get('content-range'), 'bytes */3000000')
      await problemOf(beyond, 'range-not-satisfiable')
      assert.equal((await get({ 'if-none-match': etag })).status, 304)
      await problemOf(await get({ 'if-match': '"other"' }), 'precondition-failed')
      const head = await get({}, 'HEAD')
      assert.deepEqual([head.status, head.headers.get('content-length'), head.headers.get('etag')], [200, '3000000', etag])
      await problemOf(await memory.ask('/v1/files/content?path=none', { role: 'operator' }), 'not-found')
      await problemOf(await memory.ask('/v1/files/content?path=%2e%2e/x', { role: 'operator' }), 'outside-mount-path')
      await problemOf(await memory.ask('/v1/files?path=a%00b', { role: 'viewer' }), 'outside-mount-path')
    },
  },
  {
    name: 'a file is closed after every kind of answer, also when the client disconnects',
    async run() {
      const files = createMemoryFiles({ small: new Uint8Array(10), big: new Uint8Array(3_000_000), empty: new Uint8Array() })
      await using memory = await createMemoryApp({ files })
      const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
        memory.ask(`/v1/files/content?path=${path}`, { role: 'operator', headers, method })
      const requests: Parameters<typeof get>[] = [
        ['small'],
        ['big'],
        ['empty'],
        ['big', {}, 'HEAD'],
        ['big', { 'if-none-match': '*' }],
        ['big', { 'if-match': '"x"' }],
      ]
      for (const request of requests) {
        await (await get(...request)).arrayBuffer()
        assert.equal(files.openCount(), 0)
      }
      const gone = await get('big')
      const reader = gone.body?.getReader()
      await reader?.read()
      assert.equal(files.openCount(), 1)
      await reader?.cancel()
      assert.equal(files.openCount(), 0)
    },
  },
  {
    name: 'a file that fails in the middle breaks the stream and never ends it',
    async run() {
      const files = createMemoryFiles({ big: new Uint8Array(3_000_000), small: new Uint8Array(500_000) }, 100_000)
      await using memory = await createMemoryApp({ files })
      const big = await memory.ask('/v1/files/content?path=big', { role: 'operator' })
      assert.equal(big.status, 200)
      await assert.rejects(big.arrayBuffer())
      assert.ok(memory.log.lines.some(({ message }) => message === 'failed to send a file'))
      assert.equal((await memory.ask('/v1/files/content?path=small', { role: 'operator' })).status, 500)
      assert.equal(files.openCount(), 0)
    },
  },
  {
    name: 'a mount path that hangs is reported after five seconds, and a file that opens later is closed',
    async run() {
      const whole = createMemoryFiles({ a: new Uint8Array(10) })
      const { promise: back, resolve: comeBack } = Promise.withResolvers<void>()
      const files = { list: () => new Promise<never>(() => {}), open: (path: string) => back.then(() => whole.open(path)) }
      await using memory = await createMemoryApp({ files })
      for (const [path, role] of [
        ['/v1/files', 'viewer'],
        ['/v1/files/content?path=a', 'operator'],
      ] as const) {
        const asked = memory.ask(path, { role })
        await memory.clock.untilSleeping(1)
        memory.clock.advance(5000)
        await problemOf(await asked, 'store-unavailable')
      }
      comeBack()
      // A file is opened and closed in the same turn of the event loop, or it stays open.
      await new Promise((resolve) => setTimeout(resolve))
      assert.equal(whole.openCount(), 0)
    },
  },
  {
    name: 'the description has every route with its role, its input and its answers',
    async run() {
      await using memory = await createMemoryApp()
      const document = await jsonOf<OpenApiDocument>(await memory.ask('/v1/openapi.json', { role: 'viewer' }))
      assert.equal(document.openapi, '3.1.0')
      const ids = new Set<string>()
      for (const one of memory.routes) {
        const operation = document.paths[templateOf(one.path)]?.[one.method.toLowerCase()] as Record<string, unknown> | undefined
        assert.ok(operation, `${one.method} ${one.path}`)
        assert.equal(operation['x-role'], typeof one.access === 'string' ? one.access : one.access.role)
        assert.ok(Array.isArray(operation['security']))
        assert.ok(!ids.has(String(operation['operationId'])))
        ids.add(String(operation['operationId']))
        const parameters = (operation['parameters'] ?? []) as { name: string; in: string; required: boolean; schema: unknown }[]
        for (const [, name] of one.path.matchAll(/:(\w+)/g))
          assert.ok(parameters.some((parameter) => parameter.in === 'path' && parameter.name === name && parameter.required))
        assert.equal('requestBody' in operation, one.body !== undefined || Object.keys(one.bodies).length > 0)
        const responses = operation['responses'] as Record<string, unknown>
        assert.ok(document.tags.some(({ name }) => [name].join() === String(operation['tags'])))
        assert.ok(String(operation['description']) !== '' && Object.keys(responses).some((status) => status.startsWith('4')))
        for (const status of Object.keys(one.answers)) assert.ok(status in responses)
        assert.deepEqual(responses['default'], { $ref: '#/components/responses/Problem' })
      }
      const events = document.paths['/v1/events']?.['get'] as { parameters: { name: string; required: boolean; schema: { type?: string } }[] }
      assert.deepEqual(events.parameters.find(({ name }) => name === 'limit')?.schema.type, 'integer')
      assert.ok(events.parameters.every(({ required }) => !required))
      for (const [, reference = ''] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
        let at: unknown = document
        for (const key of reference.split('/')) at = (at as Record<string, unknown>)[key]
        assert.ok(at !== undefined, reference)
      }
    },
  },
]
