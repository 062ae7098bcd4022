// The statuses with which each route succeeds, as the OpenAPI document names them. A client that switches on a status relies on them.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { openRouteTable } from '../route-table.ts'

// Opening a store on a busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** Routes by the statuses of their answers. */
const ROUTES: Readonly<Record<string, readonly string[]>> = {
  '200': [
    'DELETE /v1/images/:id/bindings/:instance',
    'DELETE /v1/images/:id/grants/:subject',
    'GET /',
    'GET /metrics',
    'GET /page/events',
    'GET /page/icon.svg',
    'GET /page/images',
    'GET /page/images/:id',
    'GET /page/style.css',
    'GET /page/tasks',
    'GET /page/uploads',
    'GET /v1/events',
    'GET /v1/evidence',
    'GET /v1/exports',
    'GET /v1/exports/:id',
    'GET /v1/files',
    'GET /v1/host-keys',
    'GET /v1/images',
    'GET /v1/images/:id',
    'GET /v1/links',
    'GET /v1/links/:id',
    'GET /v1/media-groups',
    'GET /v1/openapi.json',
    'GET /v1/operating-systems',
    'GET /v1/schedules',
    'GET /v1/store',
    'GET /v1/tasks',
    'GET /v1/tasks/:id',
    'GET /v1/tokens',
    'GET /v1/uploads',
    'GET /v1/usage',
    'PATCH /v1/images/:id',
    'PATCH /v1/media-groups/:name',
    'PATCH /v1/schedules/:name',
    'PATCH /v1/store',
    'POST /page/leave',
    'POST /v1/images/:id/restore',
    'POST /v1/slices/fetch',
    'POST /v1/slices/missing',
    'POST /v1/store/disable',
    'POST /v1/store/enable',
    'POST /v1/store/reconnect',
    'POST /v1/tokens/:id/rotate',
    'POST /v1/unique-size',
    'PUT /v1/images/:id/bindings/:instance',
    'PUT /v1/images/:id/grants/:subject',
  ],
  '200 202': ['POST /v1/images', 'POST /v1/images/:id/exports'],
  '200 204': ['DELETE /v1/images/:id'],
  '200 204 303': ['HEAD /v1/uploads/:id'],
  '200 206 304': [
    'GET /v1/exports/:id/content',
    'GET /v1/files/content',
    'GET /v1/images/:id/content',
    'HEAD /v1/exports/:id/content',
    'HEAD /v1/files/content',
    'HEAD /v1/images/:id/content',
  ],
  '200 303': ['GET /v1/uploads/:id'],
  '200 304': ['GET /v1/images/:id/manifest'],
  '200 503': ['GET /v1/health'],
  '201': ['POST /v1/links', 'POST /v1/media-groups', 'POST /v1/sync/grants', 'POST /v1/tokens', 'POST /v1/uploads'],
  '202': [
    'POST /v1/schedules/:name/run',
    'POST /v1/store/cleanup',
    'POST /v1/store/reconcile',
    'POST /v1/sync',
    'POST /v1/tasks/:id/cancel',
    'POST /v1/tasks/:id/pause',
    'POST /v1/tasks/:id/resume',
    'POST /v1/tasks/:id/retry',
  ],
  '303': ['POST /page/enter'],
  '204': [
    'DELETE /v1/exports/:id',
    'DELETE /v1/host-keys/:host',
    'DELETE /v1/links/:id',
    'DELETE /v1/media-groups/:name',
    'DELETE /v1/tokens/:id',
    'DELETE /v1/uploads/:id',
    'OPTIONS /v1/uploads',
    'OPTIONS /v1/uploads/:id',
    'PATCH /v1/uploads/:id',
  ],
}

test('every route is documented with the statuses of its answers', async () => {
  await using table = await openRouteTable()
  const documented = table.routes.map(({ method, path, answers }) => `${Object.keys(answers).join(' ')}: ${method} ${path}`)
  const expected = Object.entries(ROUTES).flatMap(([statuses, routes]) => routes.map((route) => `${statuses}: ${route}`))
  expect(documented.toSorted()).toEqual(expected.toSorted())
})
