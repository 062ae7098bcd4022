// Access to every route of the real table, for every method, every X-HTTP-Method-Override and every caller. The routes
// have a store of their own below them, so that a request that should not be let in would do what it asks for.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Hono } from 'hono'
import type { StoreParts } from '../../../../agent/commands/parts/store-parts.ts'
import type { AppEnvironment } from '../../../../agent/http/environment.ts'
import type { Route } from '../../../../agent/http/route.ts'
import type { LinkOrder } from '../../../../agent/access/links.ts'
import { ACCESS_TABLE, CALLERS, METHODS, OVERRIDES } from './access-table.ts'
import type { Caller } from './access-table.ts'
import { openRouteTable } from '../route-table.ts'
import type { RouteTable } from '../route-table.ts'

/** What became of a request before its route ran. */
type Outcome = 'let in' | 'no credential' | 'refused' | 'no such method' | 'wrong override'

const IMAGE = 'img_0123456789abcdefghjkmnpqrs'
const TUS = { 'tus-resumable': '1.0.0', 'upload-length': '10' }

let table: RouteTable
let parts: StoreParts
let routes: readonly Route[]
let app: Hono<AppEnvironment>
let uploadPath = ''
const credentials = new Map<Caller, { readonly authorization?: string; readonly search: string }>()

beforeAll(async () => {
  table = await openRouteTable()
  ;({ parts, routes, app } = table)
  await makeCredentials()
})

afterAll(() => table[Symbol.asyncDispose]())

async function makeCredentials(): Promise<void> {
  const { links, tokens } = parts.access
  const maker = { name: 'test', role: 'admin' } as const
  credentials.set('nobody', { search: '' })
  for (const role of ['viewer', 'uploader', 'operator', 'admin'] as const) {
    const { token } = await tokens.create({ name: `the ${role}`, role }, maker)
    credentials.set(role, { authorization: `Bearer ${token}`, search: '' })
  }
  const admin = await parts.access.authenticator.byToken(credentials.get('admin')?.authorization?.slice('Bearer '.length) ?? '')
  const link = async (order: LinkOrder): Promise<string> => new URL((await links.create(order, admin ?? maker)).path, 'http://localhost').search
  credentials.set('fresh upload link', { search: await link({ kind: 'upload', ttlSeconds: 3600 }) })
  credentials.set('download link', { search: await link({ kind: 'download', image: IMAGE, ttlSeconds: 3600 }) })
  const used = await link({ kind: 'upload', ttlSeconds: 3600 })
  const created = await app.request(`/v1/uploads${used}`, { method: 'POST', headers: TUS })
  uploadPath = new URL(created.headers.get('location') ?? '', 'http://localhost').pathname
  credentials.set('used upload link', { search: used })
  const grant = await parts.access.grants.create({ images: [IMAGE], hours: 1 }, admin ?? maker)
  credentials.set('grant', { authorization: `Bearer ${grant.token}`, search: '' })
}

/** A path that the route has: the links' upload and image where the path is theirs, and a name that does not exist elsewhere. */
function pathOf(pattern: string): string {
  if (pattern === '/v1/uploads/:id') return uploadPath
  if (pattern === '/v1/files/content') return `${pattern}?path=store.json`
  return pattern.replace('/v1/images/:id/content', `/v1/images/${IMAGE}/content`).replaceAll(/:\w+/g, 'none')
}

async function ask(pattern: string, method: string, override: string | undefined, caller: Caller): Promise<Outcome> {
  const { authorization, search: link = '' } = credentials.get(caller) ?? {}
  // Public routes take no link: test/agent/http/query.test.ts has their refusal, which an answer to HEAD cannot tell from a wrong override.
  const search = Object.values(ACCESS_TABLE[pattern] ?? {}).some((callers) => callers.includes('nobody')) ? '' : link
  const path = pathOf(pattern)
  const headers: Record<string, string> = { ...TUS, ...(authorization === undefined ? {} : { authorization }) }
  // The first page is for browsers only.
  if (pattern === '/') headers['accept'] = 'text/html'
  if (override !== undefined) headers['x-http-method-override'] = override
  const response = await app.request(path.includes('?') ? path + search.replace('?', '&') : path + search, { method, headers })
  const text = await response.text()
  // An answer to HEAD has no body: its status tells enough.
  const code = /"type":"urn:slipway:problem:([\w-]+)"/.exec(text)?.[1]
  if (response.status === 401) return 'no credential'
  if (response.status === 403 && (code === undefined || code === 'forbidden' || code === 'link-expired')) return 'refused'
  if (response.status === 405) return 'no such method'
  if (response.status === 400 && (method === 'HEAD' ? override !== undefined : text.includes('X-HTTP-Method-Override'))) return 'wrong override'
  return 'let in'
}

function expected(pattern: string, method: string, override: string | undefined, caller: Caller): Outcome {
  const named = override === undefined ? method : OVERRIDES[override]
  if (named === undefined || (method !== 'POST' && named !== method)) return 'wrong override'
  if (named === 'OPTIONS') return 'let in'
  const callers = ACCESS_TABLE[pattern]?.[named]
  if (callers === undefined) return 'no such method'
  if (callers.includes(caller)) return 'let in'
  return caller === 'nobody' ? 'no credential' : 'refused'
}

describe('access', () => {
  test('is written down for every route, and for nothing else', () => {
    const found = routes.filter(({ method }) => method !== 'OPTIONS').map(({ method, path }) => `${method} ${path}`)
    // HEAD is answered wherever GET is.
    const all = new Set(found.flatMap((line) => (line.startsWith('GET ') ? [line, line.replace('GET', 'HEAD')] : [line])))
    const written = Object.entries(ACCESS_TABLE).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`))
    expect([...all].toSorted()).toEqual(written.toSorted())
  })

  test('of a grant between stores is to what a copy needs and to what is public, and to nothing else', () => {
    const granted = routes.filter((route) => route.granted).map(({ method, path }) => `${method} ${path}`)
    expect(granted.toSorted()).toEqual([
      'GET /v1/images/:id',
      'GET /v1/images/:id/manifest',
      'GET /v1/store',
      'OPTIONS /v1/uploads',
      'OPTIONS /v1/uploads/:id',
      'POST /v1/slices/fetch',
    ])
  })

  test.each(Object.keys(ACCESS_TABLE))('to %s is what the table says, with every method, override and caller', async (pattern) => {
    const wrong: string[] = []
    for (const method of METHODS)
      for (const override of [undefined, ...Object.keys(OVERRIDES)])
        for (const caller of CALLERS) {
          const [outcome, wanted] = [await ask(pattern, method, override, caller), expected(pattern, method, override, caller)]
          if (outcome !== wanted) wrong.push(`${method} as ${JSON.stringify(override)} by ${caller}: ${outcome}, not ${wanted}`)
        }
    expect(wrong.slice(0, 10)).toEqual([])
  })

  test('is not given to a public method that names another one, which does nothing', async () => {
    const before = parts.uploads.stats().unfinished
    const created = await app.request('/v1/uploads', { method: 'OPTIONS', headers: { ...TUS, 'x-http-method-override': 'POST' } })
    expect([created.status, created.headers.get('location')]).toEqual([400, null])
    for (const override of ['DELETE', 'PATCH', 'HEAD']) {
      const headers = { ...TUS, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream', 'x-http-method-override': override }
      const answer = await app.request(uploadPath, { method: 'OPTIONS', headers })
      expect([override, answer.status, answer.headers.get('upload-offset')]).toEqual([override, 400, null])
    }
    expect(parts.uploads.stats().unfinished).toBe(before)
  })
})
