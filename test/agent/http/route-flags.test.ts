// What the table of routes says of callers besides their role. Each list is literal: a route that joins or leaves one changes who may call it.

import { expect, setDefaultTimeout, test } from 'bun:test'
import type { Route } from '../../../agent/http/route.ts'
import { openRouteTable } from './route-table.ts'

// Opening a store on a busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('who may call a route besides tokens, and from where', async () => {
  await using table = await openRouteTable()
  const named = (flag: (route: Route) => unknown): string[] =>
    table.routes
      .filter((route) => Boolean(flag(route)))
      .map(({ method, path }) => `${method} ${path}`)
      .toSorted()

  // A grant between stores reads an image, and what the agent and its store can do.
  expect(named(({ granted }) => granted)).toEqual([
    'GET /v1/images/:id',
    'GET /v1/images/:id/manifest',
    'GET /v1/store',
    'OPTIONS /v1/uploads',
    'OPTIONS /v1/uploads/:id',
    'POST /v1/slices/fetch',
  ])
  // Pages of other origins transfer bytes, and nothing else.
  expect(named(({ crossOrigin }) => crossOrigin)).toEqual([
    'DELETE /v1/uploads/:id',
    'GET /v1/exports/:id/content',
    'GET /v1/images/:id/content',
    'GET /v1/uploads/:id',
    'HEAD /v1/exports/:id/content',
    'HEAD /v1/images/:id/content',
    'HEAD /v1/uploads/:id',
    'OPTIONS /v1/uploads',
    'OPTIONS /v1/uploads/:id',
    'PATCH /v1/uploads/:id',
    'POST /v1/uploads',
  ])
  // A browser follows a link there.
  expect(named(({ plainRefusals }) => plainRefusals)).toEqual(['GET /v1/uploads'])
  expect(named(({ refusalPage }) => refusalPage)).toEqual([
    'GET /',
    'GET /page/events',
    'GET /page/images',
    'GET /page/images/:id',
    'GET /page/tasks',
    'GET /page/uploads',
    'POST /page/enter',
    'POST /page/leave',
  ])
  // Programs that ask for no HTML find nothing there.
  expect(named(({ htmlOnly }) => htmlOnly)).toEqual(['GET /'])
  // A read that is recorded with the person who asked.
  expect(named(({ namesAsker }) => namesAsker)).toEqual(['GET /v1/evidence'])
  // Refusals say the version of tus, also those before the route runs.
  expect(named(({ errorHeaders }) => errorHeaders)).toEqual([
    'DELETE /v1/uploads/:id',
    'GET /v1/uploads/:id',
    'HEAD /v1/uploads/:id',
    'OPTIONS /v1/uploads',
    'OPTIONS /v1/uploads/:id',
    'PATCH /v1/uploads/:id',
    'POST /v1/uploads',
  ])
})
