// How a route is described in the OpenAPI document, as literals: programs are generated from it.

import { describe, expect, test } from 'bun:test'
import { z } from 'zod'
import { describeRoutes, templateOf } from '../../../../agent/http/openapi/document.ts'
import { describeOperation } from '../../../../agent/http/openapi/operation.ts'
import { describeProblems } from '../../../../agent/http/openapi/problem-answers.ts'
import { tagOf } from '../../../../agent/http/openapi/tags.ts'
import { route } from '../../../../agent/http/route.ts'
import type { Route, RouteAccess } from '../../../../agent/http/route.ts'

const run = () => new Response(null)
const plain = (changes: Partial<Parameters<typeof route>[0]> = {}): Route =>
  route({ method: 'GET', path: '/v1/store', access: 'viewer', summary: 'Shows it', answers: { 204: { description: 'Nothing' } }, run, ...changes } as never)

interface Described {
  readonly operationId: string
  readonly description: string
  readonly security: unknown
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Readonly<Record<string, unknown>>; readonly headers?: unknown }>
  >
  readonly [name: string]: unknown
}
const described = (of: Route): Described => describeOperation(of) as unknown as Described

describe('the access of an operation', () => {
  const bearer = { bearer: [] }
  test.each<[access: RouteAccess, role: string, sentence: string, security: unknown]>([
    ['public', 'public', 'Needs no token.', [{}, bearer]],
    ['operator', 'operator', 'Needs a token with the role operator or a higher one.', [bearer]],
    [
      { role: 'uploader', link: 'upload' },
      'uploader',
      'Needs a token with the role uploader or a higher one, or a signed upload link.',
      [bearer, { link: [] }],
    ],
    [
      { role: 'operator', right: 'manage' },
      'operator',
      'Needs a token with the role operator or a higher one, or the right `manage` on the image as its owner or by a grant.',
      [bearer],
    ],
    [
      { role: 'viewer', cookie: 'slipway-agent-0' },
      'viewer',
      'Needs a token with the role viewer or a higher one, or a session of the page.',
      [bearer, { session: [] }],
    ],
    [
      { role: 'operator', own: 'its usage' },
      'operator',
      'Needs a token with the role operator or a higher one, or one with a subject, which sees its usage.',
      [bearer],
    ],
  ])('%j', (access, role, sentence, security) => {
    const operation = described(plain({ access }))
    expect([operation['x-role'], operation.description, operation.security]).toEqual([role, sentence, security])
  })

  test('follows what the route says, and precedes that grants may call it', () => {
    expect(described(plain({ description: 'First.', granted: true })).description).toBe(
      'First. Needs a token with the role viewer or a higher one. Also for a grant between stores.',
    )
  })
})

test.each([
  ['GET', '/', 'getRoot'],
  ['GET', '/v1/store', 'getV1Store'],
  ['POST', '/v1/media-groups/:id/restore', 'postV1MediaGroupsIdRestore'],
])('%s %s has the id %s', (method, path, id) => {
  expect(described(plain({ method: method as 'GET', path })).operationId).toBe(id)
})

test('parameters come from the path, the query and the headers; only those that must be sent are required', () => {
  const { parameters } = described(
    plain({
      path: '/v1/images/:id/files/:name',
      params: z.object({ id: z.string().max(5) }),
      query: z.object({ limit: z.coerce.number().int().optional(), needed: z.string() }),
      requestHeaders: [{ name: 'X-Test', description: 'A test', schema: { type: 'string' } }],
    }),
  ) as { parameters?: unknown }
  expect(parameters).toEqual([
    { name: 'id', in: 'path', required: true, schema: { type: 'string', maxLength: 5 } },
    { name: 'name', in: 'path', required: true, schema: { type: 'string' } },
    { name: 'limit', in: 'query', required: false, schema: expect.objectContaining({ type: 'integer' }) },
    { name: 'needed', in: 'query', required: true, schema: { type: 'string' } },
    { name: 'X-Test', in: 'header', required: false, description: 'A test', schema: { type: 'string' } },
  ])
  expect(described(plain())).not.toHaveProperty('parameters')
})

test('a body is required if an empty one is not valid; bytes never are', () => {
  const bodyOf = (changes: Parameters<typeof plain>[0]) => described(plain({ method: 'POST', ...changes }))['requestBody']
  expect(bodyOf({ body: z.object({ a: z.string() }) })).toMatchObject({ required: true, content: { 'application/json': { schema: { type: 'object' } } } })
  expect(bodyOf({ body: z.object({ a: z.string().optional() }) })).toMatchObject({ required: false })
  expect(bodyOf({ bodies: { 'text/x': 'Some text' } })).toEqual({
    required: false,
    content: { 'text/x': { schema: { type: 'string', format: 'binary', description: 'Some text' } } },
  })
  expect(bodyOf({})).toBeUndefined()
})

describe('answers', () => {
  const header = { name: 'ETag', description: 'A tag', schema: { type: 'string' } }
  test('have their content and headers, if they have any', () => {
    const { responses } = described(
      plain({
        answers: {
          200: { description: 'Found', schema: z.string(), streams: ['text/event-stream'], headers: [header] },
          201: { description: 'Bytes', mediaType: 'image/x' },
          202: { description: 'Text', mediaType: 'application/json' },
          204: { description: 'Nothing' },
        },
      }),
    )
    expect(responses['200']).toEqual({
      description: 'Found',
      headers: { ETag: { description: 'A tag', schema: { type: 'string' } } },
      content: { 'application/json': { schema: { type: 'string' } }, 'text/event-stream': { schema: { type: 'string' } } },
    })
    expect(responses['201']?.content).toEqual({ 'image/x': { schema: { type: 'string', format: 'binary', description: 'Bytes' } } })
    expect(responses['202']?.content).toEqual({ 'application/json': { schema: { type: 'object' } } })
    expect(responses['204']).toEqual({ description: 'Nothing' })
    expect(responses['default']).toEqual({ $ref: '#/components/responses/Problem' } as never)
  })

  test('that share a status with problems have both', () => {
    const { responses } = described(plain({ answers: { 503: { description: 'Not healthy', schema: z.string() } } }))
    expect(responses['503']?.description).toStartWith('Not healthy. `store-unavailable`: ')
    expect(Object.keys(responses['503']?.content ?? {})).toEqual(['application/problem+json', 'application/json'])
  })
})

describe('the problems of an operation', () => {
  const codesOf = (of: Route): string[] =>
    Object.values(describeProblems(of)).flatMap(({ description }) => [...description.matchAll(/`([\w-]+)`/g)].map(([, code = '']) => code))
  const all = ['malformed-request', 'invalid-input', 'target-too-long', 'headers-too-large', 'limit-reached', 'internal', 'store-unavailable', 'shutting-down']
  const body = ['payload-too-large', 'unsupported-media-type', 'request-timeout']

  test.each<[changes: Parameters<typeof plain>[0], further: string[]]>([
    [{ access: 'public' }, []],
    [{}, ['forbidden']],
    [{ method: 'HEAD' }, ['forbidden']],
    [{ method: 'OPTIONS' }, ['forbidden']],
    [{ method: 'DELETE' }, ['forbidden', 'insufficient-storage']],
    [{ access: { role: 'viewer', link: 'download' } }, ['forbidden', 'link-expired']],
    [{ path: '/v1/images/:id' }, ['forbidden', 'not-found']],
    [{ method: 'POST', body: z.object({}) }, ['forbidden', 'insufficient-storage', ...body]],
    [{ method: 'POST', bodies: { 'text/x': 'x' } }, ['forbidden', 'insufficient-storage', ...body]],
    [{ problems: ['conflict', 'forbidden'] }, ['forbidden', 'conflict']],
  ])('follow from %j', (changes, further) => {
    expect(codesOf(plain(changes)).toSorted()).toEqual([...all, 'unauthenticated', ...further].toSorted())
  })

  test('are listed by status in order, with a body except for HEAD', () => {
    const answers = describeProblems(plain())
    expect(Object.keys(answers)).toEqual(Object.keys(answers).toSorted())
    expect(answers['401']).toEqual({
      description: '`unauthenticated`: Missing or invalid token',
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
    })
    expect(describeProblems(plain({ method: 'HEAD' }))['401']).toEqual({ description: '`unauthenticated`: Missing or invalid token' })
  })
})

test('a document has each path once with its methods, as a template', () => {
  const { paths, openapi, info } = describeRoutes([plain({ path: '/v1/a/:id' }), plain({ method: 'DELETE', path: '/v1/a/:id' }), plain()], '1.2.3')
  expect(Object.entries(paths).map(([path, methods]) => [path, Object.keys(methods)])).toEqual([
    ['/v1/a/{id}', ['get', 'delete']],
    ['/v1/store', ['get']],
  ])
  expect([openapi, info['version']]).toEqual(['3.1.0', '1.2.3'])
  expect(templateOf('/v1/files/:path{.+}/x/:id')).toBe('/v1/files/{path}/x/{id}')
})

test.each([
  ['/', 'page'],
  ['/page/images', 'page'],
  ['/v1/images/:id/content', 'images'],
  ['/v1/media-groups', 'media-groups'],
  ['/v1/health', 'agent'],
  ['/metrics', 'agent'],
])('%s belongs to %s', (path, tag) => {
  expect(tagOf(path)).toBe(tag)
})
