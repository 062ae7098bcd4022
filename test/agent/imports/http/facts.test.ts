// What the heads of answers say: versions, ranges, names, refusals, and where redirects lead.

import { describe, expect, test } from 'bun:test'
import { contentRange, factsOf, ifRange, requireContent, validatorOf } from '../../../../agent/imports/http/facts.ts'
import { redirectOf } from '../../../../agent/imports/http/http-requests.ts'
import { SourceInterrupted } from '../../../../agent/imports/source.ts'
import { ProblemError } from '../../../../protocol/problems.ts'

const head = (status: number, headers: Record<string, string> = {}) => ({ status, headers: new Map(Object.entries(headers)) })
const answer = (status: number, headers: Record<string, string>, length: number | null) => ({
  ...head(status, headers),
  length,
  isFramed: true,
  keepsConnection: true,
  body: (async function* () {})(),
})
const FILE = new URL('https://mirror.example/images/debian%2012.qcow2?x=1')
const MODIFIED = 'Sat, 21 Nov 2026 10:00:00 GMT'

test.each([
  [{ etag: '"abc"', 'last-modified': MODIFIED }, 'etag "abc"', '"abc"'],
  [{ etag: 'W/"abc"', 'last-modified': MODIFIED }, `modified ${MODIFIED}`, MODIFIED],
  [{ 'last-modified': MODIFIED }, `modified ${MODIFIED}`, MODIFIED],
] as const)('the version of %j', (headers, validator, condition) => {
  expect(validatorOf(new Map(Object.entries(headers)))).toBe(validator)
  expect(ifRange(validator)).toBe(condition)
})

test.each([[{}], [{ etag: 'W/"abc"' }], [{ etag: 'abc' }], [{ etag: '"a"b"' }], [{ etag: `"${'x'.repeat(513)}"` }], [{ 'last-modified': 'yesterday\u0007' }]])(
  '%j tells no version',
  (headers) => {
    expect(validatorOf(new Map(Object.entries(headers)))).toBeNull()
  },
)

test.each([
  [206, 'bytes 0-0/10', { start: 0, end: 1, total: 10 }],
  [206, 'bytes 5-9/*', { start: 5, end: 10, total: null }],
  [206, 'bytes 5-9/9', undefined],
  [206, 'bytes 9-5/10', undefined],
  [206, 'bytes=0-0/10', undefined],
  [206, 'bytes */10', undefined],
  [200, 'bytes 0-0/10', undefined],
] as const)('the range of %d %s', (status, text, expected) => {
  expect(contentRange(head(status, { 'content-range': text }))).toEqual(expected as never)
})

describe('facts', () => {
  test('of a server with ranges', () => {
    expect(factsOf(answer(206, { 'content-range': 'bytes 0-0/100', etag: '"a"' }, 1), FILE)).toEqual({
      length: 100,
      filename: 'debian 12.qcow2',
      validator: 'etag "a"',
      canResume: true,
    })
  })

  test.each([
    ['without a version', answer(206, { 'content-range': 'bytes 0-0/100' }, 1), 100],
    ['without a total length', answer(206, { 'content-range': 'bytes 0-0/*', etag: '"a"' }, 1), null],
    ['without ranges', answer(200, { etag: '"a"' }, 100), 100],
    ['without a length', answer(200, { etag: '"a"' }, null), null],
  ] as const)('%s: no resumption', (_what, response, length) => {
    expect(factsOf(response, FILE)).toMatchObject({ length, canResume: false })
  })

  test.each([
    [{ 'content-disposition': 'attachment; filename="a b.img"' }, 'a b.img'],
    [{ 'content-disposition': "attachment; filename=x.img; filename*=UTF-8''%C3%A4.img" }, 'ä.img'],
    [{ 'content-disposition': 'attachment; filename="../../etc/passwd"' }, 'passwd'],
    [{ 'content-disposition': 'attachment; filename="a\u0007\u202eb.img"' }, 'ab.img'],
    [{ 'content-disposition': "attachment; filename*=UTF-8''%ff.img" }, '%ff.img'],
    [{ 'content-disposition': `attachment; filename="${'x'.repeat(300)}"` }, 'x'.repeat(255)],
    [{}, 'debian 12.qcow2'],
  ])('the file name of %j', (headers, expected) => {
    expect(factsOf(answer(200, headers as Record<string, string>, 1), FILE).filename).toBe(expected)
  })

  test('an address without a path has no file name', () => {
    expect(factsOf(answer(200, {}, 1), new URL('https://mirror.example/')).filename).toBeNull()
  })
})

test.each([408, 425, 429, 500, 502, 503, 504])('status %d may pass', (status) => {
  expect(() => requireContent(head(status))).toThrow(SourceInterrupted)
})

test.each([201, 204, 304, 400, 401, 403, 404, 405, 410, 416, 451, 501, 505])('status %d is a refusal', (status) => {
  expect(() => requireContent(head(status))).toThrow(ProblemError)
})

test.each([
  ['identity', false],
  ['IDENTITY', false],
  ['gzip', true],
  ['br', true],
  ['gzip, identity', true],
])('Content-Encoding %s is refused: %p', (coding, isRefused) => {
  const check = () => requireContent(head(200, { 'content-encoding': coding }))
  if (isRefused) expect(check).toThrow('Content-Encoding')
  else expect(check()).toBeUndefined()
})

describe('a redirect', () => {
  const redirect = (from: string, location: string) => redirectOf(head(302, { location }), new URL(from))?.href

  test.each([
    ['http://a.example/x', 'https://b.example/y?z=1#fragment', 'https://b.example/y?z=1'],
    ['https://a.example/x/y', '../z', 'https://a.example/z'],
    ['https://a.example/x', '//b.example/y', 'https://b.example/y'],
    ['http://a.example/x', 'http://b.example/y', 'http://b.example/y'],
  ])('from %s to %s leads to %s', (from, location, expected) => {
    expect(redirect(from, location)).toBe(expected)
  })

  test.each([
    ['https://a.example/x', 'http://a.example/x'],
    ['https://a.example/x', 'ftp://a.example/x'],
    ['https://a.example/x', 'file:///etc/passwd'],
    ['https://a.example/x', 'data:,x'],
    ['https://a.example/x', 'javascript:alert(1)'],
    ['https://a.example/x', 'https://ann@b.example/'],
    ['https://a.example/x', 'https://:pw@b.example/'],
    ['https://a.example/x', 'https://'],
  ])('from %s to %s is refused', (from, location) => {
    expect(() => redirect(from, location)).toThrow('A redirect of the source')
  })

  test('needs a Location', () => {
    expect(() => redirectOf(head(301), new URL('https://a.example/'))).toThrow('has no valid Location')
  })

  test.each([200, 206, 300, 304, 404])('status %d is none', (status) => {
    expect(redirectOf(head(status, { location: '/x' }), new URL('https://a.example/'))).toBeUndefined()
  })
})
