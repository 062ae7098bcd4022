// Resumable uploads for HTTP (draft-ietf-httpbis-resumable-upload) at the address of tus, on a real socket.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Wire } from '../../../../conformance/tus/wire.ts'
import { sampleBytes } from '../../../../conformance/tus/suite.ts'
import { RawConnection } from '../../../../support/agents/test-server.ts'
import { startUploadServer } from '../../../../support/agents/upload-server.ts'
import type { UploadServer } from '../../../../support/agents/upload-server.ts'

const IANA = 'https://iana.org/assignments/http-problem-types#'
const LENGTH = 300_000
const content = sampleBytes(LENGTH)

let server: UploadServer
beforeAll(async () => {
  server = await startUploadServer({ maxLength: 10_000_000 })
})
afterAll(() => server[Symbol.asyncDispose]())

/** A request of interop version 6 without a word of tus. */
const ask = (method: string, path: string, headers: Record<string, string | null> = {}, body?: Uint8Array<ArrayBuffer> | ReadableStream): Promise<Response> =>
  server.ask(method, path, { 'Tus-Resumable': null, 'Upload-Draft-Interop-Version': '6', ...headers }, body)
const create = (headers: Record<string, string | null>, body?: Uint8Array<ArrayBuffer> | ReadableStream): Promise<Response> =>
  ask('POST', '/v1/uploads', headers, body)
const patch = (path: string, offset: number, isLast: boolean, body: Uint8Array<ArrayBuffer> | ReadableStream, headers: Record<string, string | null> = {}) =>
  ask(
    'PATCH',
    path,
    { 'Content-Type': 'application/partial-upload', 'Upload-Offset': String(offset), 'Upload-Complete': isLast ? '?1' : '?0', ...headers },
    body,
  )
const pathOf = (answer: Response): string => answer.headers.get('location') ?? ''
const inPieces = (bytes: Uint8Array<ArrayBuffer>): ReadableStream =>
  new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.byteLength; at += 40_000) controller.enqueue(bytes.subarray(at, at + 40_000))
      controller.close()
    },
  })
const imageOf = (answer: Response): Uint8Array => server.content((answer.headers.get('content-location') ?? '').replace('/v1/images/', ''))
const sha256 = async (bytes: Uint8Array<ArrayBuffer>, algorithm = 'SHA-256'): Promise<string> => {
  const digest = new Uint8Array(await crypto.subtle.digest(algorithm, bytes))
  return `${algorithm.toLowerCase()}=:${digest.toBase64()}:`
}

describe('creation', () => {
  test('accepts all bytes in one request and returns the image', async () => {
    const answer = await create({ 'Upload-Complete': '?1' }, content)
    expect(answer.status).toBe(201)
    expect(answer.headers.get('upload-complete')).toBe('?1')
    expect(answer.headers.get('tus-resumable')).toBeNull()
    expect(Buffer.compare(imageOf(answer), content)).toBe(0)
  })

  test('sends the URL with 104 before the body ends, and a broken upload is resumed there', async () => {
    using connection = new RawConnection(server.port)
    const head = `POST /v1/uploads HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer admin-secret\r\nUpload-Complete: ?1\r\nUpload-Draft-Interop-Version: 6\r\n`
    connection.send(`${head}Content-Length: ${LENGTH}\r\n\r\n`)
    await connection.until(() => connection.text.includes('\r\n\r\n'))
    expect(connection.text).toStartWith('HTTP/1.1 104 Upload Resumption Supported\r\n')
    expect(connection.text).toContain('Upload-Draft-Interop-Version: 6\r\n')
    const path = /^Location: (\S+)\r$/m.exec(connection.text)?.[1] ?? ''
    connection.socket.write(content.subarray(0, 100_000))
    connection.socket.end()
    await connection.untilEnded()
    const held = await ask('HEAD', path)
    expect([held.status, held.headers.get('upload-offset'), held.headers.get('upload-complete')]).toEqual([204, '100000', '?0'])
    const rest = await patch(path, 100_000, true, content.slice(100_000))
    expect([rest.status, rest.headers.get('upload-complete')]).toEqual([204, '?1'])
    expect(Buffer.compare(imageOf(rest), content)).toBe(0)
  })

  test('sends no 104 to a client without a version header, or over HTTP/1.0', async () => {
    for (const [version, name] of [
      ['1.1', 'X-Other'],
      ['1.0', 'Upload-Draft-Interop-Version'],
    ]) {
      using connection = new RawConnection(server.port)
      const head = `POST /v1/uploads HTTP/${version}\r\nHost: a\r\nAuthorization: Bearer admin-secret\r\nUpload-Complete: ?1\r\n${name}: 6\r\n`
      connection.send(`${head}Connection: close\r\nContent-Length: 3\r\n\r\nabc`)
      await connection.untilEnded()
      expect(connection.text).toStartWith('HTTP/1.1 201')
    }
  })

  test('accepts all bytes with unknown length', async () => {
    const answer = await create({ 'Upload-Complete': '?1' }, inPieces(content))
    expect(answer.status).toBe(201)
    expect(answer.headers.get('upload-length')).toBe(String(LENGTH))
    expect(Buffer.compare(imageOf(answer), content)).toBe(0)
  })

  test('returns the URL before there are bytes', async () => {
    const answer = await create({ 'Upload-Complete': '?0', 'Upload-Length': '100' })
    expect(answer.status).toBe(201)
    expect(answer.headers.get('upload-complete')).toBe('?0')
    expect(answer.headers.get('upload-limit')).toMatch(/^max-size=10000000, max-age=\d+$/)
    expect((await ask('HEAD', pathOf(answer))).headers.get('upload-offset')).toBe('0')
  })

  test('creates an image without bytes', async () => {
    const answer = await create({ 'Upload-Complete': '?1' })
    expect(answer.headers.get('upload-complete')).toBe('?1')
    expect(imageOf(answer).byteLength).toBe(0)
  })

  test('takes the name from Content-Disposition', async () => {
    for (const [disposition, name] of Object.entries({
      'attachment; filename="debian \\"12\\".raw"': 'debian "12".raw',
      'attachment; filename=plain.iso': 'plain.iso',
      "attachment; filename=old.raw; filename*=UTF-8''gr%C3%BC%C3%9Fe.raw": 'grüße.raw',
      'attachment; filename="../../etc/passwd"': 'passwd',
    })) {
      const answer = await create({ 'Upload-Complete': '?1', 'Content-Disposition': disposition, 'Content-Type': 'text/plain' }, content.slice(0, 5))
      const id = answer.headers.get('content-location')?.replace('/v1/images/', '') ?? ''
      expect(server.publisher.find(id)).toMatchObject({ name, source: { filename: name } })
    }
  })

  test('refuses a length over the limit and returns the limit', async () => {
    const answer = await create({ 'Upload-Complete': '?0', 'Upload-Length': '10000001' })
    expect(answer.status).toBe(413)
    expect(answer.headers.get('upload-limit')).toBe('max-size=10000000')
    expect(answer.headers.get('upload-complete')).toBe('?0')
  })

  test('refuses lengths that do not agree', async () => {
    const answer = await create({ 'Upload-Complete': '?1', 'Upload-Length': '7' }, content.slice(0, 5))
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ type: `${IANA}inconsistent-upload-length` })
  })

  test('refuses a missing Upload-Complete, and one that is not a boolean', async () => {
    for (const value of [null, '1', 'true', '?2', '']) expect((await create({ 'Upload-Complete': value })).status).toBe(400)
  })
})

describe('append', () => {
  test('continues until the client declares the upload complete', async () => {
    const path = pathOf(await create({ 'Upload-Complete': '?0' }, content.slice(0, 100_000)))
    const second = await patch(path, 100_000, false, content.slice(100_000, 200_000))
    expect(second.status).toBe(204)
    expect(second.headers.get('upload-complete')).toBe('?0')
    expect(second.headers.get('upload-offset')).toBe('200000')
    expect(second.headers.get('connection')).not.toBe('close')
    const head = await ask('HEAD', path)
    expect(head.status).toBe(204)
    expect(head.headers.get('upload-length')).toBeNull()
    expect(head.headers.get('cache-control')).toBe('no-store')
    const third = await patch(path, 200_000, true, inPieces(content.slice(200_000)))
    expect(third.status).toBe(204)
    expect(third.headers.get('upload-complete')).toBe('?1')
    expect(Buffer.compare(imageOf(third), content)).toBe(0)
    const after = await ask('HEAD', path)
    expect(after.headers.get('upload-complete')).toBe('?1')
    expect(after.headers.get('content-location')).toBe(third.headers.get('content-location'))
  })

  test('completes without further bytes, and answers a repeated request alike', async () => {
    const path = pathOf(await create({ 'Upload-Complete': '?0' }, content))
    for (let i = 0; i < 2; i++) {
      const answer = await patch(path, LENGTH, true, new Uint8Array(0))
      expect(answer.status).toBe(204)
      expect(answer.headers.get('upload-complete')).toBe('?1')
      expect(Buffer.compare(imageOf(answer), content)).toBe(0)
    }
  })

  test('refuses a wrong offset and returns the expected one', async () => {
    const path = pathOf(await create({ 'Upload-Complete': '?0' }, content.slice(0, 1000)))
    const answer = await patch(path, 500, false, content.slice(500, 600))
    expect(answer.status).toBe(409)
    expect(answer.headers.get('upload-offset')).toBe('1000')
    expect(answer.headers.get('upload-complete')).toBe('?0')
    expect(await answer.json()).toMatchObject({ type: `${IANA}mismatching-upload-offset`, 'expected-offset': 1000, 'provided-offset': 500 })
  })

  test('refuses bytes for an upload that is complete', async () => {
    const path = pathOf(await create({ 'Upload-Complete': '?1' }, content.slice(0, 1000)))
    const answer = await patch(path, 1000, true, content.slice(0, 10))
    expect(answer.status).toBe(400)
    expect(answer.headers.get('upload-complete')).toBe('?1')
    expect(await answer.json()).toMatchObject({ type: `${IANA}completed-upload` })
  })

  test('refuses completion before the declared length', async () => {
    const path = pathOf(await create({ 'Upload-Complete': '?0', 'Upload-Length': '1000' }))
    const measured = await patch(path, 0, true, content.slice(0, 10))
    expect([measured.status, await measured.json()]).toMatchObject([400, { type: `${IANA}inconsistent-upload-length` }])
    const streamed = await patch(path, 0, true, inPieces(content.slice(0, 10)))
    expect([streamed.status, await streamed.json()]).toMatchObject([400, { type: `${IANA}inconsistent-upload-length` }])
    expect((await ask('HEAD', path)).headers.get('upload-complete')).toBe('?0')
  })

  test('of an upload that does not exist, and its removal, are answered with 404', async () => {
    const path = pathOf(await create({ 'Upload-Complete': '?0', 'Upload-Length': '20' }))
    expect((await ask('DELETE', path)).status).toBe(204)
    expect((await ask('DELETE', path)).status).toBe(404)
    expect((await patch(path, 0, false, content.slice(0, 10))).status).toBe(404)
  })

  test('requires its media type, except for interop versions up to 5', async () => {
    const path = pathOf(await create({ 'Upload-Complete': '?0', 'Upload-Length': '20' }))
    const refused = await patch(path, 0, false, content.slice(0, 10), { 'Content-Type': 'text/plain' })
    expect(refused.status).toBe(415)
    expect(refused.headers.get('accept-patch')).toContain('application/partial-upload')
    const old = await patch(path, 0, false, content.slice(0, 10), { 'Content-Type': null, 'Upload-Draft-Interop-Version': '5' })
    expect(old.status).toBe(204)
    // A client of the finished document sends no version at all.
    const later = await patch(path, 10, true, content.slice(10, 20), { 'Upload-Draft-Interop-Version': null })
    expect(later.headers.get('upload-complete')).toBe('?1')
  })

  test('ends a request whose client has reconnected, and keeps its bytes', async () => {
    const answer = await create({ 'Upload-Complete': '?0', 'Upload-Length': String(LENGTH) })
    const url = new URL(pathOf(answer), server.endpoint).href
    using wire = await Wire.open(url)
    const headers = {
      Authorization: 'Bearer admin-secret',
      'Upload-Draft-Interop-Version': '6',
      'Upload-Complete': '?1',
      'Upload-Offset': '0',
      'Content-Type': 'application/partial-upload',
    }
    await wire.send({ method: 'PATCH', url, headers, body: content.slice(0, 70_000) }, LENGTH)
    let offset = 0
    while (offset !== 70_000) offset = Number((await ask('HEAD', pathOf(answer))).headers.get('upload-offset') || 70_000)
    const earlier = await wire.answer('PATCH')
    expect([earlier.status, earlier.headers.get('upload-complete')]).toEqual([204, '?0'])
    const rest = await patch(pathOf(answer), 70_000, true, content.slice(70_000))
    expect(Buffer.compare(imageOf(rest), content)).toBe(0)
  })
})

describe('one upload, two protocols', () => {
  test('an upload can be created by the draft and resumed by tus, and vice versa', async () => {
    const type = { 'Content-Type': 'application/offset+octet-stream' }
    const path = pathOf(await create({ 'Upload-Complete': '?0', 'Upload-Length': String(LENGTH) }, content.slice(0, 1000)))
    const tus = await server.ask('PATCH', path, { ...type, 'Upload-Offset': '1000' }, content.slice(1000))
    expect(Buffer.compare(imageOf(tus), content)).toBe(0)
    const begun = await server.ask('POST', '/v1/uploads', { ...type, 'Upload-Length': String(LENGTH) }, content.slice(0, 1000))
    expect(begun.headers.get('tus-resumable')).toBe('1.0.0')
    const draft = await patch(pathOf(begun), 1000, true, content.slice(1000))
    expect(Buffer.compare(imageOf(draft), content)).toBe(0)
  })

  test('DELETE deletes an upload', async () => {
    const path = pathOf(await create({ 'Upload-Complete': '?0' }))
    expect((await ask('DELETE', path)).status).toBe(204)
    const gone = await ask('HEAD', path)
    expect([gone.status, gone.headers.get('upload-offset')]).toEqual([404, null])
  })

  test('OPTIONS announces both', async () => {
    const answer = await ask('OPTIONS', '/v1/uploads')
    expect(answer.headers.get('accept-patch')).toContain('application/partial-upload')
    expect(answer.headers.get('accept-patch')).toContain('application/offset+octet-stream')
    expect(answer.headers.get('upload-limit')).toBe('max-size=10000000')
    expect(answer.headers.get('tus-version')).toBe('1.0.0')
  })
})

describe('digests', () => {
  const tusPatch = (path: string, headers: Record<string, string>, body: Uint8Array<ArrayBuffer>) =>
    server.ask('PATCH', path, { 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': '0', ...headers }, body)
  const tusCreate = async (headers: Record<string, string> = {}) =>
    pathOf(await server.ask('POST', '/v1/uploads', { 'Upload-Length': String(LENGTH), ...headers }))

  for (const algorithm of ['SHA-256', 'SHA-512']) {
    test(`Content-Digest with ${algorithm} accepts matching bytes only`, async () => {
      const path = await tusCreate()
      const field = await sha256(content, algorithm)
      const wrong = await tusPatch(path, { 'Content-Digest': field }, sampleBytes(LENGTH, 99))
      expect([wrong.status, wrong.headers.get('upload-offset')]).toEqual([422, '0'])
      expect(await wrong.json()).toMatchObject({ type: 'urn:slipway:problem:digest-mismatch' })
      expect((await server.ask('HEAD', path)).headers.get('upload-offset')).toBe('0')
      const right = await tusPatch(path, { 'Content-Digest': `md5=:AAAA:, ${field};x=1` }, content)
      expect(Buffer.compare(imageOf(right), content)).toBe(0)
    })
  }

  test('the draft supports Content-Digest too', async () => {
    const path = pathOf(await create({ 'Upload-Complete': '?0' }))
    const digest = { 'Content-Digest': await sha256(content) }
    expect((await patch(path, 0, true, content.slice(1), digest)).status).toBe(422)
    expect((await patch(path, 0, true, inPieces(content), digest)).headers.get('upload-complete')).toBe('?1')
  })

  test('a field without a supported algorithm is refused', async () => {
    const path = await tusCreate()
    for (const field of ['md5=:AAAA:', 'sha-256=AAAA', 'sha-256=:AAAA:', 'sha-256', '', 'sha-256=:!!!!:']) {
      expect([field, (await tusPatch(path, { 'Content-Digest': field }, content)).status]).toEqual([field, 400])
    }
    const both = { 'Content-Digest': await sha256(content), 'Upload-Checksum': 'sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=' }
    expect((await tusPatch(path, both, content)).status).toBe(400)
    expect((await server.ask('HEAD', path)).headers.get('upload-offset')).toBe('0')
  })

  test('Repr-Digest of a creation or an append declares the digest of the image', async () => {
    const field = await sha256(content)
    const digest = `sha256:${Buffer.from(field.slice(9, -1), 'base64').toString('hex')}`
    const expected = (answer: Response): string | undefined =>
      server.publisher.drafts.get(answer.headers.get('content-location')?.replace('/v1/images/', '') ?? '')?.digest
    expect(expected(await tusPatch(await tusCreate({ 'Repr-Digest': field }), {}, content))).toBe(digest)
    expect(expected(await tusPatch(await tusCreate(), { 'Repr-Digest': field }, content))).toBe(digest)
    expect(expected(await create({ 'Upload-Complete': '?1', 'Repr-Digest': field }, content))).toBe(digest)
    const path = await tusCreate({ 'Repr-Digest': field })
    expect((await tusPatch(path, { 'Repr-Digest': await sha256(content.slice(1)) }, content)).status).toBe(400)
    expect((await tusPatch(path, { 'Repr-Digest': await sha256(content, 'SHA-512') }, content)).status).toBe(400)
    expect(expected(await tusPatch(path, { 'Repr-Digest': field }, content))).toBe(digest)
  })

  test('a part refuses Repr-Digest', async () => {
    const field = { 'Repr-Digest': await sha256(content) }
    expect((await server.ask('POST', '/v1/uploads', { 'Upload-Length': '5', 'Upload-Concat': 'partial', ...field })).status).toBe(400)
    const path = await tusCreate({ 'Upload-Concat': 'partial' })
    expect((await tusPatch(path, field, content)).status).toBe(400)
  })
})
