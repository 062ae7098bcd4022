// Headers of tus requests and answers, as literals.

import { describe, expect, test } from 'bun:test'
import type { UploadBody } from '../../../agent/uploads/append-body.ts'
import type { UploadView } from '../../../agent/uploads/record/upload.ts'
import { tusUploads } from '../../../agent/http/routes/uploads/tus-uploads.ts'
import type { TusUploadsDeps } from '../../../agent/http/routes/uploads/tus-uploads.ts'
import { byteCount, httpDate, requireBodyMediaType, requireVersion } from '../../../agent/http/uploads/tus.ts'
import { readDigests } from '../../../agent/http/uploads/upload-digests.ts'
import { uploadLocations } from '../../../agent/http/uploads/upload-protocol.ts'
import type { UploadContext } from '../../../agent/http/uploads/upload-protocol.ts'

const OFFSET = 'application/offset+octet-stream'
const TUS = { 'Tus-Resumable': '1.0.0' }
const ask = (headers: Record<string, string> = {}, init: RequestInit = {}): Request =>
  new Request('http://127.0.0.1/v1/uploads?link=abc', { method: 'POST', ...init, headers })

describe('a byte count', () => {
  test.each([
    ['0', 0],
    ['1', 1],
    ['9007199254740991', 9_007_199_254_740_991],
  ])('%s is %d', (text, count) => expect(byteCount(ask({ 'Upload-Length': text }), 'Upload-Length')).toBe(count))

  test.each(['', '-1', '01', '1.0', '1e3', '0x1', '9007199254740992', '99999999999999999'])('"%s" is refused', (text) => {
    expect(() => byteCount(ask({ 'Upload-Length': text }), 'Upload-Length')).toThrow('Upload-Length must be a non-negative integer up to 2^53-1')
  })

  test('may be missing', () => expect(byteCount(ask(), 'Upload-Length')).toBeUndefined())
})

describe('tus', () => {
  test('has one version and two media types', () => {
    expect(() => requireVersion(ask(TUS))).not.toThrow()
    expect(() => requireVersion(ask())).toThrow('The request has no Tus-Resumable header. This server supports 1.0.0.')
    expect(() => requireVersion(ask({ 'Tus-Resumable': '0.2' }))).toThrow('Tus-Resumable "0.2" is not supported.')
    for (const type of [OFFSET, ` ${OFFSET.toUpperCase()} `, 'application/vnd.slipway.slices'])
      expect(() => requireBodyMediaType(ask({ 'Content-Type': type }))).not.toThrow()
    expect(() => requireBodyMediaType(ask())).toThrow('Content-Type must be application/offset+octet-stream.')
    expect(() => requireBodyMediaType(ask({ 'Content-Type': 'text/plain' }))).toThrow('application/offset+octet-stream, not text/plain.')
    expect([httpDate(1999), httpDate(2000)]).toEqual(['Thu, 01 Jan 1970 00:00:01 GMT', 'Thu, 01 Jan 1970 00:00:02 GMT'])
  })

  test('one checksum of the body is enough', () => {
    const sha1 = `sha1 ${Buffer.alloc(20, 1).toString('base64')}`
    const content = `sha-256=:${Buffer.alloc(32, 2).toString('base64')}:`
    expect(readDigests(ask()).checksum).toBeUndefined()
    expect(readDigests(ask({ 'Upload-Checksum': sha1 }))).toMatchObject({ checksum: { algorithm: 'sha1' }, digest: undefined })
    expect(readDigests(ask({ 'Content-Digest': content })).checksum).toMatchObject({ algorithm: 'sha256' })
    expect(readDigests(ask({ 'Repr-Digest': content }))).toEqual({ checksum: undefined, digest: `sha256:${'02'.repeat(32)}` })
    expect(() => readDigests(ask({ 'Upload-Checksum': sha1, 'Content-Digest': content }))).toThrow('send only one of them')
  })
})

const VIEW: UploadView = { id: 'upl_1', offset: 5, length: 9, metadata: null, concat: null, expiresAtMs: null, imageId: null }

/** tus on uploads that answer with a view; `asked` is what they were asked. */
function open(view: Partial<UploadView> & { readonly isShort?: boolean } = {}) {
  const asked: { order?: unknown; body?: UploadBody | undefined; append?: unknown; removed?: unknown } = {}
  const answer = { ...VIEW, isShort: false, ...view }
  const uploads = {
    async create(order: unknown, body: UploadBody | undefined) {
      Object.assign(asked, { order, body })
      return answer
    },
    show: async () => answer,
    async append(id: string, order: { readonly offset: number; readonly body: UploadBody }) {
      Object.assign(asked, { append: { id, offset: order.offset }, body: order.body })
      return answer
    },
    remove: async (id: string) => void Object.assign(asked, { removed: id }),
  } as unknown as TusUploadsDeps['uploads']
  const context = (headers: Record<string, string>, init: RequestInit = {}, link = false): UploadContext => {
    const request = ask({ ...TUS, ...headers }, init)
    const right = { id: 'l', makerTokenId: 't', maker: { role: 'admin' }, kind: 'upload', endMs: 0 } as const
    return { request, url: new URL(request.url), actor: { name: 'a', role: 'uploader', ...(link ? { link: right } : {}) }, inform: () => {} }
  }
  return { asked, tus: tusUploads({ uploads, location: uploadLocations() }), context }
}

const heads = ({ status, headers }: Response) => [status, Object.fromEntries(headers)]

describe('a creation', () => {
  test('answers with the URL of the upload, which keeps a link', async () => {
    const it = open()
    expect(heads(await it.tus.create(it.context({ 'Upload-Length': '9' })))).toEqual([
      201,
      { 'cache-control': 'no-store', location: '/v1/uploads/upl_1', 'tus-resumable': '1.0.0', 'upload-offset': '5' },
    ])
    const linked = await it.tus.create(it.context({ 'Upload-Length': '9' }, {}, true))
    expect(linked.headers.get('location')).toBe('/v1/uploads/upl_1?link=abc')
    expect(it.asked.order).toMatchObject({ length: 9, metadata: undefined, concat: undefined, digest: undefined })
  })

  test.each<[headers: Record<string, string>, refusal: string]>([
    [{}, 'Send exactly one of Upload-Length and Upload-Defer-Length.'],
    [{ 'Upload-Length': '9', 'Upload-Defer-Length': '1' }, 'Send exactly one of Upload-Length and Upload-Defer-Length.'],
    [{ 'Upload-Defer-Length': '2' }, 'Upload-Defer-Length must be 1, not "2".'],
    [{ 'Upload-Concat': 'final;/v1/uploads/upl_00000000000000000000000001', 'Upload-Length': '9' }, 'send neither Upload-Length nor Upload-Defer-Length.'],
    [
      { 'Upload-Concat': 'final;/v1/uploads/upl_00000000000000000000000001', 'Upload-Defer-Length': '1' },
      'send neither Upload-Length nor Upload-Defer-Length.',
    ],
    [{ 'Upload-Concat': 'partial' }, 'Send exactly one of Upload-Length and Upload-Defer-Length.'],
  ])('with %j is refused', async (headers, refusal) => {
    const it = open()
    await expect(it.tus.create(it.context(headers))).rejects.toThrow(refusal)
    expect(it.asked.order).toBeUndefined()
  })

  test.each<[headers: Record<string, string>, order: Record<string, unknown>]>([
    [{ 'Upload-Defer-Length': '1' }, { length: null }],
    [{ 'Upload-Length': '0' }, { length: 0 }],
    [
      { 'Upload-Concat': 'partial', 'Upload-Length': '9' },
      { length: 9, concat: { kind: 'partial' } },
    ],
    [{ 'Upload-Length': '9', 'Upload-Metadata': 'name YQ==' }, { metadata: 'name YQ==' }],
  ])('with %j orders %j', async (headers, order) => {
    const it = open()
    await it.tus.create(it.context(headers))
    expect(it.asked.order).toMatchObject(order)
  })

  test('takes first bytes with their media type only', async () => {
    const it = open()
    const create = (headers: Record<string, string>, init: RequestInit) => it.tus.create(it.context({ 'Upload-Length': '9', ...headers }, init))
    await create({ 'Content-Type': OFFSET, 'Content-Length': '5' }, { body: 'bytes' })
    expect(it.asked.body).toMatchObject({ length: 5, declaredLength: undefined, isSlices: false })
    await create({ 'Content-Type': 'text/plain', 'Content-Length': '0' }, { body: 'x' })
    expect(it.asked.body).toBeUndefined()
    await create({ 'Content-Type': 'text/plain' }, { body: 'x' })
    expect(it.asked.body).toBeUndefined()
    await expect(create({ 'Content-Type': 'text/plain', 'Content-Length': '1' }, { body: 'x' })).rejects.toThrow('that is sent with the creation must be')
    const final = it.context({ 'Upload-Concat': 'final;/v1/uploads/upl_00000000000000000000000001', 'Content-Length': '1' }, { body: 'x' })
    await expect(it.tus.create(final)).rejects.toThrow('A final upload accepts no bytes.')
  })
})

describe('an append', () => {
  const patch = (headers: Record<string, string>) => ({ 'Content-Type': OFFSET, 'Upload-Offset': '5', ...headers })

  test('passes on offset, length and digests', async () => {
    const it = open({ offset: 9, imageId: 'img_1', expiresAtMs: 1_767_225_600_999 })
    const answer = await it.tus.append(it.context(patch({ 'Content-Length': '4', 'Upload-Length': '9' }), { body: 'more' }), 'upl_1')
    expect(it.asked.append).toEqual({ id: 'upl_1', offset: 5 })
    expect(it.asked.body).toMatchObject({ length: 4, declaredLength: 9, isSlices: false })
    expect(heads(answer)).toEqual([
      204,
      {
        'cache-control': 'no-store',
        'content-location': '/v1/images/img_1',
        'tus-resumable': '1.0.0',
        'upload-expires': 'Thu, 01 Jan 2026 00:00:00 GMT',
        'upload-offset': '9',
      },
    ])
  })

  test('whose body was not read to its end closes the connection', async () => {
    const it = open({ isShort: true })
    expect((await it.tus.append(it.context(patch({})), 'upl_1')).headers.get('connection')).toBe('close')
  })

  test('needs an offset and its media type, and no slices by a link', async () => {
    const it = open()
    await expect(it.tus.append(it.context({ 'Content-Type': OFFSET }), 'upl_1')).rejects.toThrow('The request has no Upload-Offset header.')
    await expect(it.tus.append(it.context({ 'Upload-Offset': '5' }), 'upl_1')).rejects.toThrow('Content-Type must be')
    const slices = patch({ 'Content-Type': 'application/vnd.slipway.slices' })
    await expect(it.tus.append(it.context(slices, {}, true), 'upl_1')).rejects.toThrow('An upload link accepts application/offset+octet-stream only.')
    expect(it.asked.append).toBeUndefined()
    await it.tus.append(it.context(slices), 'upl_1')
    expect(it.asked.body?.isSlices).toBe(true)
    await it.tus.append(it.context(patch({ 'Upload-Offset': '0' }), {}, true), 'upl_1')
    expect(it.asked.append).toEqual({ id: 'upl_1', offset: 0 })
  })
})

test('an upload is shown by its headers, and removed', async () => {
  const known = open({ metadata: 'name YQ==', concat: 'partial' })
  expect(heads(await known.tus.show(known.context({}), 'upl_1'))).toEqual([
    200,
    {
      'cache-control': 'no-store',
      'tus-resumable': '1.0.0',
      'upload-concat': 'partial',
      'upload-length': '9',
      'upload-metadata': 'name YQ==',
      'upload-offset': '5',
    },
  ])
  const deferred = open({ length: null })
  const shown = (await deferred.tus.show(deferred.context({}), 'upl_1')).headers
  expect([shown.get('upload-defer-length'), shown.get('upload-length')]).toEqual(['1', null])
  expect((await known.tus.remove(known.context({}), 'upl_1')).status).toBe(204)
  expect(known.asked.removed).toBe('upl_1')
})

describe('the URL of a new upload', () => {
  const DATA = ['http://10.3.0.1:8420', 'http://10.3.0.2:8420']
  const locate = (url: string, headers: Record<string, string> = {}, data: readonly string[] = DATA, link?: object): string => {
    const request = new Request(url, { headers })
    const context = { request, url: new URL(url), actor: { name: 'a', role: 'uploader', ...(link ? { link } : {}) }, inform: () => {} } as UploadContext
    return uploadLocations(() => data)(context, 'upl_1')
  }

  test.each([
    ['http://10.1.0.1:8420/v1/uploads', {}, 'http://10.3.0.1:8420/v1/uploads/upl_1'],
    ['http://10.3.0.2:8420/v1/uploads', {}, '/v1/uploads/upl_1'],
    ['http://10.1.0.1:8420/v1/uploads', { 'x-forwarded-host': 'store.example' }, '/v1/uploads/upl_1'],
    ['http://10.1.0.1:8420/v1/uploads', { 'x-forwarded-proto': 'https' }, '/v1/uploads/upl_1'],
    ['http://10.1.0.1:8420/v1/uploads', { origin: 'http://10.1.0.1:8420' }, '/v1/uploads/upl_1'],
    ['http://10.1.0.1:8420/v1/uploads', { 'sec-fetch-site': 'none' }, '/v1/uploads/upl_1'],
  ])('of %s with %j is %s', (url, headers, location) => {
    expect(locate(url, headers)).toBe(location)
  })

  test('is relative without a data network, and has the link of the request', () => {
    expect(locate('http://10.1.0.1:8420/v1/uploads', {}, [])).toBe('/v1/uploads/upl_1')
    expect(locate('http://10.1.0.1:8420/v1/uploads?link=abc', {}, DATA, {})).toBe('http://10.3.0.1:8420/v1/uploads/upl_1?link=abc')
    expect(locate('http://10.1.0.1:8420/v1/uploads?link=abc', {}, [])).toBe('/v1/uploads/upl_1')
  })
})
