// What a browser may do with an answer: the headers that are set where a route sets none, and those that a route decides itself.

import { expect, test } from 'bun:test'
import { z } from 'zod'
import { route } from '../../../agent/http/route.ts'
import { createMemoryApp } from '../../support/memory/memory-app.ts'

const answers = { 200: { description: 'An answer', schema: z.object({}) } }
const ROUTES = [
  route({ method: 'GET', path: '/v1/json', access: 'viewer', summary: 'JSON', answers, run: () => Response.json({}) }),
  route({
    method: 'GET',
    path: '/v1/text',
    access: 'viewer',
    summary: 'Text',
    answers,
    run: () => new Response('a', { headers: { 'Content-Type': 'text/plain' } }),
  }),
  route({
    method: 'GET',
    path: '/v1/own',
    access: 'viewer',
    summary: 'Headers of its own',
    answers,
    run: () => Response.json({}, { headers: { 'Cache-Control': 'private, no-cache', 'Content-Security-Policy': "default-src 'self'" } }),
  }),
]

test.each([
  ['/v1/json', 'no-store', "default-src 'none'; frame-ancestors 'none'; sandbox"],
  ['/v1/text', null, "default-src 'none'; frame-ancestors 'none'; sandbox"],
  ['/v1/own', 'private, no-cache', "default-src 'self'"],
])('the headers of %s', async (path, cacheControl, policy) => {
  await using app = await createMemoryApp({ routes: ROUTES })
  const { headers } = await app.ask(path, { role: 'viewer' })
  const names = ['cache-control', 'content-security-policy', 'x-content-type-options', 'x-frame-options', 'referrer-policy', 'cross-origin-resource-policy']
  expect(names.map((name) => headers.get(name))).toEqual([cacheControl, policy, 'nosniff', 'DENY', 'no-referrer', 'same-origin'])
})
