// The headers of uploads as the OpenAPI document shows them to those who write clients.

import { expect, test } from 'bun:test'
import type { RouteHeader } from '../../../../agent/http/route.ts'
import { UPLOAD_ANSWER_HEADERS, UPLOAD_REQUEST_HEADERS } from '../../../../agent/http/uploads/upload-headers.ts'

const ofAppend: readonly RouteHeader[] = UPLOAD_REQUEST_HEADERS.append
const ofCreation: readonly RouteHeader[] = UPLOAD_REQUEST_HEADERS.create

test('an append names its version, offset, length, digests and protocol', () => {
  expect(ofAppend.map(({ name, schema }) => [name, schema])).toEqual([
    ['Tus-Resumable', { type: 'string', enum: ['1.0.0'] }],
    ['Upload-Offset', { type: 'integer', minimum: 0, maximum: 9_007_199_254_740_991 }],
    ['Upload-Length', { type: 'integer', minimum: 0, maximum: 9_007_199_254_740_991 }],
    ['Upload-Checksum', { type: 'string', pattern: '^(?:sha1|sha256|md5|crc32) [A-Za-z0-9+/]+={0,2}$' }],
    ['Upload-Draft-Interop-Version', { type: 'string' }],
    ['Upload-Complete', { type: 'string', enum: ['?0', '?1'] }],
    ['Content-Digest', { type: 'string' }],
    ['Repr-Digest', { type: 'string' }],
  ])
})

test('a creation may have 16 KiB of metadata, and its answer says where the upload is', () => {
  expect(ofCreation.find(({ name }) => name === 'Upload-Metadata')?.schema).toEqual({ type: 'string', maxLength: 16_384 })
  expect(UPLOAD_ANSWER_HEADERS.create.map(({ name }) => name)).toEqual([
    'Tus-Resumable',
    'Location',
    'Upload-Offset',
    'Upload-Expires',
    'Content-Location',
    'Upload-Draft-Interop-Version',
    'Upload-Complete',
    'Upload-Limit',
  ])
})
