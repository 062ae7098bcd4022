// What the page reads of the agent's routes: what each of them answers to the caller, and nothing that it refuses to the caller.

import { describe, expect, test } from 'bun:test'
import { z } from 'zod'
import { ANONYMOUS } from '../../../../agent/http/middleware/authenticate.ts'
import { createOwnRoutes } from '../../../../agent/http/page/own-routes.ts'
import type { Reader } from '../../../../agent/http/page/own-routes.ts'
import { route } from '../../../../agent/http/route.ts'
import { ROLES } from '../../../../protocol/access.ts'
import type { Role } from '../../../../protocol/access.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const NAMED = z.object({ name: z.string() })

function readerOf(role: Role): Reader {
  const request = new Request('http://store/page', { headers: { cookie: 'session=secret' } })
  const actor = { name: 'ann', role, tokenId: 'tok_1' }
  return { request, actor, requestId: 'req_1', log: createMemoryLog(), inform: () => {}, remoteAddress: '192.0.2.1' }
}

const ofRole = (role: Role) =>
  route({
    method: 'GET',
    path: `/for/${role}`,
    access: role,
    summary: 'Names its caller',
    answers: { 200: { description: 'The name', schema: NAMED } },
    run: ({ actor }) => Response.json({ name: actor.name }),
  })

describe('the routes of the page', () => {
  const routes = createOwnRoutes(() => [
    ...ROLES.map((role) => ofRole(role)),
    route({
      method: 'GET',
      path: '/echo/:id',
      access: 'viewer',
      summary: 'Repeats what it is asked',
      params: z.object({ id: z.string() }),
      query: z.object({ q: z.string().optional(), empty: z.string().optional() }),
      answers: { 200: { description: 'The request' } },
      run: ({ params, query, request, requestId, remoteAddress }) =>
        Response.json({ params, query, url: request.url, headers: Object.fromEntries(request.headers), requestId, remoteAddress }),
    }),
  ])

  // A literal table: the roles whose routes a caller of each role may read.
  test.each([
    ['viewer', ['viewer']],
    ['uploader', ['viewer', 'uploader']],
    ['operator', ['viewer', 'uploader', 'operator']],
    ['admin', ['viewer', 'uploader', 'operator', 'admin']],
  ] as const)('are open to the role %s as they are over HTTP', async (role, open) => {
    for (const needed of ROLES) {
      const outcome = await routes.read(readerOf(role), NAMED, `/for/${needed}`).then(
        ({ name }) => name,
        (error: { readonly code?: string }) => error.code,
      )
      expect([needed, outcome]).toEqual([needed, (open as readonly Role[]).includes(needed) ? 'ann' : 'forbidden'])
    }
    await expect(routes.read({ ...readerOf('viewer'), actor: ANONYMOUS }, NAMED, '/for/uploader')).rejects.toThrow()
  })

  test('are asked with their parameters and the members of the query that have a value, and without the credential of the page', async () => {
    const members = { params: { id: 'img_1' }, query: { q: 'a b', empty: '', none: undefined } }
    expect(await routes.read(readerOf('viewer'), z.unknown(), '/echo/:id', members)).toEqual({
      params: { id: 'img_1' },
      query: { q: 'a b' },
      url: 'http://store/echo/:id?q=a+b',
      headers: { accept: 'application/json' },
      requestId: 'req_1',
      remoteAddress: '192.0.2.1',
    })
  })

  test('are those of the agent: another path is a defect of the page', async () => {
    await expect(routes.read(readerOf('admin'), NAMED, '/for/nobody')).rejects.toThrow('the agent has no route GET /for/nobody')
  })
})
