// The headers of tus as literal outcomes.

import { describe, expect, test } from 'bun:test'
import { byteCount, hasMediaType, httpDate, optionsHeaders, requireBodyMediaType, requireVersion } from '../../../../agent/http/uploads/tus.ts'
import { ProblemError } from '../../../../protocol/problems.ts'

const request = (headers: Record<string, string>): Request => new Request('http://agent/v1/uploads', { headers })

function refusalOf(run: () => unknown): ProblemError {
  try {
    run()
  } catch (error) {
    if (error instanceof ProblemError) return error
    throw error
  }
  throw new Error('not refused')
}

test('a request must use tus 1.0.0, and learns that otherwise', () => {
  requireVersion(request({ 'tus-resumable': '1.0.0' }))
  const missing = refusalOf(() => requireVersion(request({})))
  const other = refusalOf(() => requireVersion(request({ 'tus-resumable': '0.2.2' })))
  expect([missing.code, missing.headers, missing.problem.detail]).toEqual([
    'unsupported-version',
    { 'Tus-Version': '1.0.0' },
    'The request has no Tus-Resumable header. This server supports 1.0.0.',
  ])
  expect(other.problem.detail).toBe('Tus-Resumable "0.2.2" is not supported. This server supports 1.0.0.')
})

describe('a byte count', () => {
  test.each([
    ['0', 0],
    ['1', 1],
    ['10', 10],
    ['9007199254740991', 9_007_199_254_740_991],
  ])('%s is one', (text, count) => {
    expect(byteCount(request({ 'upload-offset': text }), 'Upload-Offset')).toBe(count)
  })

  test.each(['', '-1', '+1', '01', '1.5', '1e3', '0x10', 'ten', '9007199254740992', '10000000000000000'])('%j is none', (text) => {
    const refusal = refusalOf(() => byteCount(request({ 'upload-offset': text }), 'Upload-Offset'))
    expect([refusal.code, refusal.problem.detail]).toEqual([
      'invalid-input',
      `Upload-Offset must be a non-negative integer up to 2^53-1, not ${JSON.stringify(text)}.`,
    ])
  })

  test('may be missing', () => {
    expect(byteCount(request({}), 'Upload-Offset')).toBeUndefined()
  })
})

test('a body is of tus or of slices, in any case', () => {
  for (const type of ['application/offset+octet-stream', ' Application/Offset+Octet-Stream ', 'application/vnd.slipway.slices'])
    requireBodyMediaType(request({ 'content-type': type }))
  const other = refusalOf(() => requireBodyMediaType(request({ 'content-type': 'text/plain' })))
  const missing = refusalOf(() => requireBodyMediaType(request({})))
  expect([other.code, other.problem.detail, missing.problem.detail]).toEqual([
    'unsupported-media-type',
    'Content-Type must be application/offset+octet-stream, not text/plain.',
    'Content-Type must be application/offset+octet-stream.',
  ])
  expect(hasMediaType(request({}), 'text/plain')).toBe(false)
})

test('a server says what it can', () => {
  expect(optionsHeaders({ maxLength: 5, checksumAlgorithms: ['sha1', 'md5'] })).toEqual({
    'Tus-Resumable': '1.0.0',
    'Cache-Control': 'no-store',
    'Tus-Version': '1.0.0',
    'Tus-Extension': 'creation,creation-with-upload,creation-defer-length,expiration,termination,checksum,concatenation',
    'Tus-Max-Size': '5',
    'Tus-Checksum-Algorithm': 'sha1,md5',
  })
})

test('an expiry is rounded down to a second', () => {
  expect(httpDate(Date.UTC(2026, 0, 2, 3, 4, 5, 999))).toBe('Fri, 02 Jan 2026 03:04:05 GMT')
})
