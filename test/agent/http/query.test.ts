// The query of every route: members that the route names are accepted, any other is refused, and so is one that is given twice.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { OpenApiDocument } from '../../../agent/http/openapi/document.ts'
import type { Problem } from '../../../protocol/problems.ts'
import { openRouteTable } from './route-table.ts'
import type { RouteTable } from './route-table.ts'

/** An operation of the OpenAPI document, its path with names that do not exist. */
interface Operation {
  readonly method: string
  readonly path: string
  /** Query members with a value that is valid for each. */
  readonly members: Readonly<Record<string, string>>
  readonly takesLink: boolean
}

/** Values for members whose schema refuses an arbitrary text. */
const VALUES: Readonly<Record<string, string>> = {
  limit: '5',
  severity: 'info',
  status: 'available',
  kind: 'iso',
  format: 'raw',
  state: 'running',
  permanent: 'false',
  since: '0',
  path: 'store.json',
  as: 'qcow2',
}

let table: RouteTable
let operations: readonly Operation[]
let authorization: string

beforeAll(async () => {
  table = await openRouteTable()
  const { token } = await table.parts.access.tokens.create({ name: 'test', role: 'admin' }, { name: 'test', role: 'admin' })
  authorization = `Bearer ${token}`
  const document = (await (await ask('GET', '/v1/openapi.json')).json()) as OpenApiDocument
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => operationOf(method.toUpperCase(), path, operation as Described)),
  )
})

afterAll(() => table[Symbol.asyncDispose]())

interface Described {
  readonly parameters?: readonly { readonly in: string; readonly name: string }[]
  readonly security: readonly Readonly<Record<string, unknown>>[]
}

function operationOf(method: string, path: string, { parameters = [], security }: Described): Operation {
  const names = parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name)
  return {
    method,
    path: path.replaceAll(/\{\w+\}/g, 'none'),
    members: Object.fromEntries(names.map((name) => [name, VALUES[name] ?? 'x'])),
    takesLink: security.some((scheme) => 'link' in scheme),
  }
}

async function ask(method: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  // The first page is for browsers only.
  const accept = /^\/(?:\?|$)/.test(path) ? { accept: 'text/html, application/problem+json' } : {}
  return table.app.request(path, { method, headers: { authorization, 'tus-resumable': '1.0.0', ...accept, ...headers } })
}

/** The refusal of a query; undefined for every other answer, and for HEAD without its body. */
async function refusalOf(method: string, target: string): Promise<Problem | undefined> {
  const response = await ask(method, target)
  const text = response.body === null ? '' : await response.text()
  if (response.status !== 400) return undefined
  if (method === 'HEAD') return { type: 'urn:slipway:problem:invalid-input', title: '', status: 400, detail: '', action: '' }
  const problem = JSON.parse(text) as Problem & { readonly errors?: readonly { readonly in: string }[] }
  return problem.errors?.some((error) => error.in === 'query') ? problem : undefined
}

const withQuery = (path: string, members: Readonly<Record<string, string>>): string => {
  const text = new URLSearchParams(members).toString()
  return text === '' ? path : `${path}?${text}`
}

describe('a query', () => {
  test('with a member that the route does not know is refused, on every route, before anything is done', async () => {
    const wrong: string[] = []
    for (const { method, path, members } of operations) {
      if (method === 'OPTIONS') continue
      const problem = await refusalOf(method, withQuery(path, { ...members, nothingLikeIt: '1' }))
      if (problem?.type !== 'urn:slipway:problem:invalid-input') wrong.push(`${method} ${path} accepts it`)
      else if (method !== 'HEAD' && !problem.detail.includes('"nothingLikeIt"')) wrong.push(`${method} ${path}: ${problem.detail}`)
    }
    expect(wrong).toEqual([])
    expect(operations.length).toBeGreaterThan(35)
  })

  test('with the members of the OpenAPI document is accepted, on every route', async () => {
    const wrong: string[] = []
    let count = 0
    for (const { method, path, members } of operations) {
      for (const [name, value] of Object.entries(members)) {
        count++
        const required = path === '/v1/files/content' ? { path: 'store.json' } : {}
        const problem = await refusalOf(method, withQuery(path, { ...required, [name]: value }))
        if (problem?.detail.includes('not known') || problem?.detail.includes('not a query member')) wrong.push(`${method} ${path}: ${problem.detail}`)
      }
    }
    expect(wrong).toEqual([])
    expect(count).toBeGreaterThan(20)
  })

  test('with a misspelt member is answered with the nearest one', async () => {
    const wrong: string[] = []
    for (const { method, path, members } of operations) {
      for (const name of Object.keys(members)) {
        const problem = await refusalOf(method, withQuery(path, { [`${name}x`]: '1' }))
        if (method !== 'HEAD' && !problem?.detail.includes(`did you mean "${name}"`)) wrong.push(`${method} ${path}: ${problem?.detail}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test('with a repeated member is refused', async () => {
    const wrong: string[] = []
    for (const { method, path, members } of operations) {
      for (const [name, value] of Object.entries(members)) {
        const problem = await refusalOf(method, `${withQuery(path, members)}&${name}=${value}`)
        if (method !== 'HEAD' && !problem?.detail.includes('more than once')) wrong.push(`${method} ${path} ${name}: ${problem?.detail}`)
      }
    }
    expect(wrong).toEqual([])
  })

  test.each([
    ['GET', '/v1/images/none/content?format=qcow2', 'The query member "format" is not known; known are "as", "link".'],
    ['GET', '/v1/tasks?subject=debian', 'The query member "subject" is not known; known are "limit", "cursor", "state", "kind".'],
    ['GET', '/v1/images?mediagroup=debian', 'The query member "mediagroup" is not known; did you mean "mediaGroup"?'],
    ['GET', '/v1/images?Owner=a', 'The query member "Owner" is not known; did you mean "owner"?'],
    ['GET', '/metrics?name=x', 'The query member "name" is not known; none is accepted here.'],
    ['POST', '/v1/uploads?lnk=x', 'The query member "lnk" is not known; did you mean "link"?'],
    ['PATCH', '/v1/uploads/none?offset=5', 'The query member "offset" is not known; the only one is "link".'],
    ['GET', '/v1/store?', undefined],
    ['GET', '/v1/store?&&', undefined],
    ['GET', '/v1/store?=', 'The query member "" is not known; none is accepted here.'],
    ['GET', '/v1/store?constructor', 'The query member "constructor" is not known; none is accepted here.'],
  ])('of %s %s', async (method, target, detail) => {
    expect((await refusalOf(method, target))?.detail).toBe(detail)
  })

  test('with a link is accepted only by routes that allow links', async () => {
    const wrong: string[] = []
    for (const { method, path, takesLink, members } of operations) {
      if (method === 'OPTIONS') continue
      // Values of other members may be refused for themselves.
      const isRefused = (await refusalOf(method, withQuery(path, takesLink ? { link: 'x' } : { ...members, link: 'x' }))) !== undefined
      // HEAD of an upload that does not exist is refused for that: only its status is seen.
      if (isRefused === takesLink) wrong.push(`${method} ${path}: ${isRefused ? 'refused' : 'accepted'}`)
    }
    expect(wrong).toEqual([])
  })

  test('of OPTIONS is ignored: a preflight has the query of the request that follows, whose refusal a page can read', async () => {
    for (const path of ['/v1/uploads?x=1', '/v1/uploads/none?x=1', '/v1/images?x=1']) expect((await ask('OPTIONS', path)).status).toBe(204)
  })

  test('does not change the refusal of a path or method that does not exist', async () => {
    expect((await ask('GET', '/v1/nothing?x=1')).status).toBe(404)
    expect((await ask('PUT', '/v1/images?x=1')).status).toBe(405)
    expect((await table.app.request('/v1/images?x=1')).status).toBe(401)
  })

  test('of the longest target is refused in a short answer', async () => {
    const long = await (await ask('GET', `/v1/images?${'owner'.repeat(1600)}=1`)).text()
    expect(long).toContain('is not known')
    expect(long.length).toBeLessThan(2000)
    const many = await (await ask('GET', `/v1/images?${Array.from({ length: 2000 }, (_, n) => `m${n}`).join('&')}`)).text()
    expect(many).toContain('"m0\\" is not known')
    expect(many.length).toBeLessThan(2000)
  })
})

describe('a JSON body', () => {
  test.each([
    ['PATCH', '/v1/store', { nam: 'x' }, 'The body member "nam" is not known; did you mean "name"?'],
    ['PATCH', '/v1/images/none', { requirements: { cpu: 1 } }, 'The body member "requirements.cpu" is not known'],
    ['POST', '/v1/links', { kind: 'upload', maxlength: 5 }, 'The body member "maxlength" is not known; did you mean "maxLength"?'],
    [
      'POST',
      '/v1/links',
      { kind: 'upload', image: 'x' },
      'The body member "image" is not known; known are "kind", "name", "draft", "maxLength", "origin", "ttlSeconds".',
    ],
    ['POST', '/v1/tokens', { nmae: 'x', role: 'viewer' }, 'The body member "nmae" is not known; did you mean "name"?'],
    ['POST', '/v1/store/cleanup', { ['x'.repeat(5000)]: 1 }, `The body member "${'x'.repeat(64)}…" is not known`],
  ])('of %s %s with an unknown member is answered with the nearest one', async (method, path, body, detail) => {
    const response = await table.app.request(path, { method, headers: { authorization }, body: JSON.stringify(body) })
    const problem = (await response.json()) as Problem
    expect([response.status, problem.detail]).toEqual([400, expect.stringContaining(detail)])
    expect(problem.detail.length).toBeLessThan(400)
  })
})
