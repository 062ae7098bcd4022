// Headers of the resumable upload draft in requests and answers, as literals.

import { describe, expect, test } from 'bun:test'
import {
  draftErrorHeaders,
  draftHeaders,
  draftRefusal,
  draftStateHeaders,
  readComplete,
  readFilename,
  readMetadata,
  requirePartialMediaType,
  speaksDraft,
  uploadLimit,
} from '../../../../agent/http/uploads/resumable-upload.ts'
import type { UploadView } from '../../../../agent/uploads/record/upload.ts'
import { problem } from '../../../../protocol/problems.ts'

const ask = (headers: Record<string, string> = {}): Request => new Request('http://127.0.0.1/v1/uploads', { method: 'POST', headers })
const VIEW: UploadView = { id: 'upl_1', offset: 5, length: 9, metadata: null, concat: null, expiresAtMs: null, imageId: null }

describe('the draft', () => {
  test.each<[headers: Record<string, string>, isDraft: boolean]>([
    [{}, false],
    [{ 'Upload-Complete': '?1' }, true],
    [{ 'Upload-Draft-Interop-Version': '6' }, true],
    [{ 'Content-Type': 'application/partial-upload' }, true],
    [{ 'Upload-Complete': '?1', 'Tus-Resumable': '1.0.0' }, false],
  ])('is spoken with %j: %p', (headers, isDraft) => expect(speaksDraft(ask(headers))).toBe(isDraft))

  test.each([
    ['?1', true],
    ['?0', false],
    [' ?1 ; a=b', true],
  ])('Upload-Complete: %s is %p', (text, isComplete) => expect(readComplete(ask({ 'Upload-Complete': text }))).toBe(isComplete))

  test('Upload-Complete is a boolean', () => {
    expect(readComplete(ask())).toBeUndefined()
    for (const text of ['1', '?2', 'true', '?1x', '??1'])
      expect(() => readComplete(ask({ 'Upload-Complete': text }))).toThrow('Upload-Complete must be ?0 or ?1')
  })

  test('has a media type for appends since version 6', () => {
    expect(() => requirePartialMediaType(ask({ 'Content-Type': 'application/partial-upload' }))).not.toThrow()
    for (const version of ['4', '5']) expect(() => requirePartialMediaType(ask({ 'Upload-Draft-Interop-Version': version }))).not.toThrow()
    for (const headers of [{ 'Upload-Draft-Interop-Version': '6' }, { 'Upload-Draft-Interop-Version': '3' }, {}])
      expect(() => requirePartialMediaType(ask(headers))).toThrow('Content-Type must be application/partial-upload; it is missing.')
  })

  test.each<[disposition: string, name: string | undefined]>([
    ['attachment; filename="a b.raw"', 'a b.raw'],
    ['attachment; filename=a.raw', 'a.raw'],
    ['filename=a.raw', 'a.raw'],
    ['attachment; filename="a\\"b.raw"', 'a"b.raw'],
    [`attachment; filename="old.raw"; filename*=UTF-8''n%C3%A4me.raw`, 'näme.raw'],
    [`attachment; filename="old.raw"; filename*=UTF-8''%FF`, 'old.raw'],
    ['attachment; filename="../../etc/passwd"', 'passwd'],
    ['attachment; filename="C:\\\\x\\\\disk.raw"', 'disk.raw'],
    ['attachment; filename="folder/"', undefined],
    ['attachment', undefined],
    ['', undefined],
  ])('%s names %p', (disposition, name) => expect(readFilename(disposition)).toBe(name))

  test('the file name becomes metadata, unless there is one', () => {
    expect(readMetadata(ask())).toBeUndefined()
    expect(readMetadata(ask({ 'Content-Disposition': 'attachment; filename=a' }))).toBe('filename YQ==')
    expect(readMetadata(ask({ 'Content-Disposition': 'attachment; filename=a', 'Upload-Metadata': 'name Yg==' }))).toBe('name Yg==,filename YQ==')
    expect(readMetadata(ask({ 'Content-Disposition': 'attachment; filename=a', 'Upload-Metadata': 'x Yg==, filename Yg==' }))).toBe('x Yg==, filename Yg==')
    expect(readMetadata(ask({ 'Content-Disposition': 'attachment; filename=a', 'Upload-Metadata': 'filename' }))).toBe('filename')
    expect(readMetadata(ask({ 'Content-Disposition': 'attachment; filename=a', 'Upload-Metadata': 'filenames Yg==' }))).toBe('filenames Yg==,filename YQ==')
  })

  test('limits are whole seconds and never negative', () => {
    expect([uploadLimit(5), uploadLimit(5, null), uploadLimit(5, 1999), uploadLimit(5, 0), uploadLimit(5, -1), uploadLimit(1e16)]).toEqual([
      'max-size=5',
      'max-size=5',
      'max-size=5, max-age=1',
      'max-size=5, max-age=0',
      'max-size=5, max-age=0',
      'max-size=999999999999999',
    ])
  })

  test('answers repeat a version that is a number', () => {
    const headers = (version?: string) => draftHeaders(ask(version === undefined ? {} : { 'Upload-Draft-Interop-Version': version }))
    expect([headers('6'), headers('123'), headers('1234'), headers('x'), headers()]).toEqual([
      { 'Cache-Control': 'no-store', 'Upload-Draft-Interop-Version': '6' },
      { 'Cache-Control': 'no-store', 'Upload-Draft-Interop-Version': '123' },
      { 'Cache-Control': 'no-store' },
      { 'Cache-Control': 'no-store' },
      { 'Cache-Control': 'no-store' },
    ])
    expect(draftErrorHeaders(ask({ 'Upload-Complete': '?1' }))).toEqual({ 'Cache-Control': 'no-store', 'Upload-Complete': '?0' })
    expect(draftErrorHeaders(ask())).toEqual({ 'Cache-Control': 'no-store' })
  })

  test('the state of an upload says whether it is complete', () => {
    expect(draftStateHeaders(VIEW, 100, 0)).toEqual({ 'Upload-Offset': '5', 'Upload-Complete': '?0', 'Upload-Limit': 'max-size=100', 'Upload-Length': '9' })
    expect(draftStateHeaders({ ...VIEW, offset: 9, imageId: 'img_1', expiresAtMs: 3000 }, 100, 1000)).toEqual({
      'Upload-Offset': '9',
      'Upload-Complete': '?1',
      'Upload-Limit': 'max-size=100, max-age=2',
      'Upload-Length': '9',
      'Content-Location': '/v1/images/img_1',
    })
    expect(draftStateHeaders({ ...VIEW, length: null }, 100, 0)).toEqual({ 'Upload-Offset': '5', 'Upload-Complete': '?0', 'Upload-Limit': 'max-size=100' })
  })

  test('refusals have the types of the draft', () => {
    const mismatch = draftRefusal(problem('offset-mismatch', 'x', { expectedOffset: 5, providedOffset: 4 }), 100)
    expect(mismatch.problem).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#mismatching-upload-offset',
      'expected-offset': 5,
      'provided-offset': 4,
    })
    expect(mismatch.problem).not.toHaveProperty('expectedOffset')
    expect(draftRefusal(problem('length-mismatch', 'x'), 100).problem).not.toHaveProperty('expected-offset')
    expect(draftRefusal(problem('upload-complete', 'x'), 100).headers).toEqual({ 'Upload-Complete': '?1' })
    expect(draftRefusal(problem('payload-too-large', 'x'), 100).headers).toEqual({ 'Upload-Limit': 'max-size=100' })
    const other = draftRefusal(problem('not-found', 'x', {}, { headers: { a: 'b' } }), 100)
    expect([other.problem.type, other.headers]).toEqual(['urn:slipway:problem:not-found', { a: 'b' }])
  })
})
