// Fields of requests and answers as literal outcomes: conditions, file names, the origin, the method, and the credential.

import { describe, expect, test } from 'bun:test'
import type { Actor, Authenticator, LinkRight } from '../../../agent/contract/access.ts'
import { evaluateConditions, formatHttpDate, rangeApplies } from '../../../agent/http/content/conditions.ts'
import { convertedFileName, formatDisposition, IMAGE_MEDIA_TYPES, imageContentType, imageFileName } from '../../../agent/http/content/content-headers.ts'
import { resolveMethod } from '../../../agent/http/effective-method.ts'
import { ANONYMOUS, authenticate } from '../../../agent/http/middleware/authenticate.ts'
import { contentOrigin, publicOrigin } from '../../../agent/http/public-origin.ts'
import type { RouteAccess } from '../../../agent/http/route.ts'
import { ProblemError } from '../../../protocol/problems.ts'

const ETAG = '"v1"'
/** Half a second after the time that HTTP dates can say. */
const CHANGED = { etag: ETAG, lastModifiedMs: Date.UTC(2026, 0, 2, 3, 4, 5, 500) }
const AT = 'Fri, 02 Jan 2026 03:04:05 GMT'
const BEFORE = 'Fri, 02 Jan 2026 03:04:04 GMT'
const AFTER = 'Fri, 02 Jan 2026 03:04:06 GMT'

describe('preconditions (RFC 9110 §13.2.2)', () => {
  test.each<[Record<string, string>, 'proceed' | 'not-modified' | 'failed']>([
    [{}, 'proceed'],
    [{ 'if-match': ETAG }, 'proceed'],
    [{ 'if-match': '*' }, 'proceed'],
    [{ 'if-match': '"v0", "v1"' }, 'proceed'],
    [{ 'if-match': '"v0"' }, 'failed'],
    [{ 'if-match': 'W/"v1"' }, 'failed'],
    [{ 'if-match': 'v1' }, 'failed'],
    [{ 'if-unmodified-since': AT }, 'proceed'],
    [{ 'if-unmodified-since': AFTER }, 'proceed'],
    [{ 'if-unmodified-since': BEFORE }, 'failed'],
    [{ 'if-unmodified-since': 'yesterday' }, 'proceed'],
    [{ 'if-unmodified-since': '2020-01-01' }, 'proceed'],
    [{ 'if-unmodified-since': '2020-01-01GMT' }, 'proceed'],
    // If-Match decides.
    [{ 'if-match': ETAG, 'if-unmodified-since': BEFORE }, 'proceed'],
    [{ 'if-none-match': ETAG }, 'not-modified'],
    [{ 'if-none-match': 'W/"v1"' }, 'not-modified'],
    [{ 'if-none-match': '*' }, 'not-modified'],
    [{ 'if-none-match': '"v0"' }, 'proceed'],
    [{ 'if-modified-since': AT }, 'not-modified'],
    [{ 'if-modified-since': AFTER }, 'not-modified'],
    [{ 'if-modified-since': BEFORE }, 'proceed'],
    [{ 'if-modified-since': 'yesterday' }, 'proceed'],
    // If-None-Match decides.
    [{ 'if-none-match': '"v0"', 'if-modified-since': AT }, 'proceed'],
    [{ 'if-match': '"v0"', 'if-none-match': ETAG }, 'failed'],
  ])('%j: %s', (headers, outcome) => {
    expect(evaluateConditions(new Headers(headers), CHANGED)).toBe(outcome)
  })

  test.each<[string | undefined, boolean]>([
    [undefined, true],
    [ETAG, true],
    ['"v0"', false],
    ['W/"v1"', false],
    [AT, true],
    [AFTER, false],
    [BEFORE, false],
    ['yesterday', false],
  ])('a range with If-Range %s applies: %p', (ifRange, applies) => {
    expect(rangeApplies(new Headers(ifRange === undefined ? {} : { 'if-range': ifRange }), CHANGED)).toBe(applies)
  })

  test('a time is written as RFC 9110 §5.6.7 has it', () => {
    expect(formatHttpDate(CHANGED.lastModifiedMs)).toBe(AT)
  })
})

describe('the file name of content', () => {
  test.each([
    ['debian', 'raw', 'debian.raw', 'application/octet-stream'],
    ['debian', null, 'debian.raw', 'application/octet-stream'],
    ['debian.img', 'raw', 'debian.img', 'application/octet-stream'],
    ['debian.IMG', 'qcow2', 'debian.IMG', 'application/x-qemu-disk'],
    ['debian.qcow', 'qcow2', 'debian.qcow', 'application/x-qemu-disk'],
    ['debian.raw', 'qcow2', 'debian.raw.qcow2', 'application/x-qemu-disk'],
    ['debian 12.vmdk', 'vmdk', 'debian 12.vmdk', 'application/x-vmdk-disk'],
    ['debian', 'iso', 'debian.iso', 'application/vnd.efi.iso'],
    ['a/b\\c:d*e?f"g<h>i|j', 'iso', 'a_b_c_d_e_f_g_h_i_j.iso', 'application/vnd.efi.iso'],
  ] as const)('%s as %s is %s', (name, format, fileName, type) => {
    expect([imageFileName(name, format), imageContentType(format)]).toEqual([fileName, type])
  })

  test.each([
    ['debian.raw', 'qcow2', 'debian.qcow2'],
    ['debian', 'vhd', 'debian.vhd'],
    ['debian.12', 'raw', 'debian.12.raw'],
    ['.raw', 'qcow2', '.raw.qcow2'],
    ['a/b.iso', 'vmdk', 'a_b.vmdk'],
  ] as const)('%s converted to %s is %s', (name, target, fileName) => {
    expect(convertedFileName(name, target)).toBe(fileName)
  })

  test('media types are listed without that of any bytes', () => {
    expect(IMAGE_MEDIA_TYPES).toEqual(['application/x-qemu-disk', 'application/x-vmdk-disk', 'application/vnd.efi.iso', 'application/x-vhd-disk'])
  })

  test.each([
    ['debian.raw', `attachment; filename="debian.raw"; filename*=UTF-8''debian.raw`],
    ['größe "x"%.raw', `attachment; filename="gr__e _x__.raw"; filename*=UTF-8''gr%C3%B6%C3%9Fe%20%22x%22%25.raw`],
    [`it's (1)*`, `attachment; filename="it's (1)*"; filename*=UTF-8''it%27s%20%281%29%2A`],
  ])('%s is sent as RFC 6266 has it', (name, field) => {
    expect(formatDisposition(name)).toBe(field)
  })
})

describe('the origin that a client used', () => {
  test.each<[string, Record<string, string>, string]>([
    ['http://a:8080/x', {}, 'http://a:8080'],
    ['http://a:8080/x', { 'x-forwarded-proto': 'https' }, 'https://a:8080'],
    ['http://a/x', { 'x-forwarded-proto': 'https, http', 'x-forwarded-host': 'b.example, c' }, 'https://b.example'],
    ['http://a:8080/x', { 'x-forwarded-host': 'b:99' }, 'http://b:99'],
    ['http://a:8080/x', { 'x-forwarded-host': 'b' }, 'http://b'],
    ['http://a/x', { 'x-forwarded-host': '[::1]:99' }, 'http://[::1]:99'],
    ['http://a/x', { 'x-forwarded-host': 'b/evil' }, 'http://a'],
    ['http://a/x', { 'x-forwarded-host': 'user@b' }, 'http://a'],
    ['http://a/x', { 'x-forwarded-host': 'b:123456' }, 'http://a'],
    ['http://a/x', { 'x-forwarded-proto': 'ftp' }, 'http://a'],
    ['https://a/x', { 'x-forwarded-proto': 'http' }, 'http://a'],
  ])('%s with %j is %s', (url, headers, origin) => {
    expect(publicOrigin(new Request(url, { headers }))).toBe(origin)
  })
})

describe('the method of a request', () => {
  const request = (method: string, override?: string): Request =>
    new Request('http://a/', { method, ...(override === undefined ? {} : { headers: { 'x-http-method-override': override } }) })

  test.each([
    ['POST', undefined, 'POST'],
    ['GET', undefined, 'GET'],
    ['POST', 'PATCH', 'PATCH'],
    ['POST', 'delete', 'DELETE'],
    ['POST', 'head', 'HEAD'],
    ['PATCH', 'PATCH', 'PATCH'],
    ['GET', 'get', 'GET'],
  ])('%s with %s is %s', (method, override, resolved) => {
    expect(resolveMethod(request(method, override))).toBe(resolved)
  })

  test.each([
    ['POST', 'OPTIONS', 'not "OPTIONS".'],
    ['POST', 'TRACE', 'not "TRACE".'],
    ['POST', 'x'.repeat(40), `not "${'x'.repeat(32)}".`],
    ['GET', 'DELETE', 'X-HTTP-Method-Override: DELETE was sent with GET; it applies to POST only.'],
    ['GET', 'POST', 'X-HTTP-Method-Override: POST was sent with GET; it applies to POST only.'],
  ])('%s with %s is refused', (method, override, ending) => {
    expect(() => resolveMethod(request(method, override))).toThrow(ending)
  })
})

describe('the credential of a request', () => {
  const VIEWER: Actor = { name: 'v', role: 'viewer' }
  const actors: Readonly<Record<string, Actor>> = {
    slp_v: VIEWER,
    slp_o: { name: 'o', role: 'operator' },
    slp_a: { name: 'a', role: 'admin' },
    slp_grant: { name: 'grant', role: 'viewer', grant: {} as never },
    slp_s: { name: 's', role: 'viewer', subject: 'alice' },
    slp_g: { name: 'g', role: 'viewer', groups: ['team'] },
    slp_e: { name: 'e', role: 'viewer', groups: [] },
    ['x'.repeat(2048)]: { name: 'long', role: 'admin' },
    ['x'.repeat(2049)]: { name: 'longer', role: 'admin' },
  }
  const authenticator: Authenticator = {
    byToken: async (secret) => actors[secret],
    async byLink(link, { method, path }) {
      if (link === 'old') return { kind: 'refused', detail: 'The link has expired.' }
      const kind = link.startsWith('up') ? 'upload' : 'download'
      const right: LinkRight = { id: link, makerTokenId: 't', maker: VIEWER, kind, endMs: 0 }
      return { kind: 'allowed', actor: { name: `${kind} ${method} ${path}`, role: 'viewer', link: right } }
    },
  }
  const ask = async (headers: Record<string, string>, access: RouteAccess, query = '', granted = false): Promise<string> => {
    try {
      return (await authenticate(authenticator, new Request(`http://a/p${query}`, { headers }), 'HEAD', { access, granted })).name
    } catch (error) {
      return error instanceof ProblemError ? `${error.problem.status} ${error.problem.type.replace('urn:slipway:problem:', '')}` : String(error)
    }
  }

  test.each<[string | undefined, RouteAccess, string]>([
    ['Bearer slp_v', 'viewer', 'v'],
    ['bEaReR   slp_v  ', 'viewer', 'v'],
    ['Bearer slp_v', 'operator', '403 forbidden'],
    ['Bearer slp_v', 'admin', '403 forbidden'],
    ['Bearer slp_o', 'operator', 'o'],
    ['Bearer slp_o', 'admin', '403 forbidden'],
    ['Bearer slp_a', 'admin', 'a'],
    ['Bearer slp_v', 'public', 'v'],
    [undefined, 'public', 'anonymous'],
    ['', 'public', 'anonymous'],
    [undefined, 'viewer', '401 unauthenticated'],
    ['Bearer nobody', 'viewer', '401 unauthenticated'],
    ['Bearer nobody', 'public', '401 unauthenticated'],
    ['Bearer slp_v x', 'viewer', '401 unauthenticated'],
    ['Basic slp_v', 'viewer', '401 unauthenticated'],
    ['slp_v', 'viewer', '401 unauthenticated'],
    [`Bearer ${'x'.repeat(2048)}`, 'admin', 'long'],
    [`Bearer ${'x'.repeat(2049)}`, 'admin', '401 unauthenticated'],
  ])('%p for %p: %s', async (authorization, access, outcome) => {
    expect(await ask(authorization === undefined ? {} : { authorization }, access)).toBe(outcome)
  })

  test.each<[string, Record<string, string>, RouteAccess, string]>([
    ['?link=down', {}, { role: 'operator', link: 'download' }, 'download HEAD /p'],
    ['?link=up', {}, { role: 'operator', link: 'upload' }, 'upload HEAD /p'],
    ['?link=up', {}, { role: 'viewer', link: 'download' }, '403 link-expired'],
    ['?link=down', {}, { role: 'viewer', link: 'upload' }, '403 link-expired'],
    ['?link=old', {}, { role: 'viewer', link: 'download' }, '403 link-expired'],
    ['?link=', {}, { role: 'viewer', link: 'download' }, 'download HEAD /p'],
    ['', {}, { role: 'viewer', link: 'download' }, '401 unauthenticated'],
    ['?link=down', {}, 'viewer', '403 forbidden'],
    ['?link=down', {}, 'public', 'anonymous'],
    [`?link=${'d'.repeat(2048)}`, {}, { role: 'viewer', link: 'download' }, 'download HEAD /p'],
    [`?link=${'d'.repeat(2049)}`, {}, { role: 'viewer', link: 'download' }, '403 link-expired'],
    // A token takes precedence, also an unknown one.
    ['?link=down', { authorization: 'Bearer slp_v' }, { role: 'operator', link: 'download' }, '403 forbidden'],
    ['?link=down', { authorization: 'Bearer nobody' }, { role: 'viewer', link: 'download' }, '401 unauthenticated'],
  ])('%s with %j for %j: %s', async (query, headers, access, outcome) => {
    expect(await ask(headers, access, query)).toBe(outcome)
  })

  test.each([
    ['slp_v', '403 forbidden'],
    ['slp_s', 's'],
    ['slp_g', 'g'],
    ['slp_e', '403 forbidden'],
    ['slp_o', 'o'],
  ])('%s on a route whose image decides: %s', async (token, outcome) => {
    expect(await ask({ authorization: `Bearer ${token}` }, { role: 'operator', right: 'manage' })).toBe(outcome)
  })

  test('a grant between stores opens the routes that say so, within its role, and no other', async () => {
    const headers = { authorization: 'Bearer slp_grant' }
    expect([
      await ask(headers, 'viewer', '', true),
      await ask(headers, 'viewer'),
      await ask(headers, 'public'),
      await ask(headers, 'operator', '', true),
    ]).toEqual(['grant', '403 forbidden', '403 forbidden', '403 forbidden'])
  })

  test('a public caller without a credential is the anonymous one', async () => {
    expect(await authenticate(authenticator, new Request('http://a/'), 'GET', { access: 'public', granted: false })).toBe(ANONYMOUS)
    expect(ANONYMOUS.role).toBe('viewer')
  })
})

test('a link names the data network, unless the client is there already or behind a proxy', () => {
  const at = (url: string, headers: Record<string, string> = {}, data = ['http://10.8.0.5:8420', 'http://10.8.0.6:8420']): string =>
    contentOrigin(new Request(url, { headers }), data)
  expect(at('http://10.1.0.5:8420/v1/links')).toBe('http://10.8.0.5:8420')
  expect(at('http://10.8.0.6:8420/v1/links')).toBe('http://10.8.0.6:8420')
  expect(at('http://10.1.0.5:8420/v1/links', {}, [])).toBe('http://10.1.0.5:8420')
  expect(at('http://10.1.0.5:8420/v1/links', { 'x-forwarded-host': 'images.example', 'x-forwarded-proto': 'https' })).toBe('https://images.example')
})
