// Refusals of uploads: a refused request leaves nothing behind, and acknowledged bytes are kept.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { problem } from '../../../protocol/problems.ts'
import type { ShareOrder, SpaceState } from '../../../agent/contract/space.ts'
import { create, OFFSET, patch, someBytes } from '../../support/clients/upload-requests.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'

describe('access', () => {
  test('an uploader sees only its own uploads, an operator all uploads, and a viewer none', async () => {
    await using server = await startUploadServer()
    const as = (token: string) => ({ Authorization: `Bearer ${token}` })
    const url = await create(server, 100, as('ann-secret'))
    expect((await server.ask('HEAD', url, as('ann-secret'))).status).toBe(200)
    expect((await server.ask('HEAD', url, as('bob-secret'))).status).toBe(404)
    expect((await patch(server, url, 0, someBytes(10), as('bob-secret'))).status).toBe(404)
    expect((await server.ask('DELETE', url, as('bob-secret'))).status).toBe(404)
    expect((await server.ask('HEAD', url, as('admin-secret'))).status).toBe(200)
    expect((await server.ask('HEAD', url, as('viewer-secret'))).status).toBe(403)
    const refused = await server.ask('HEAD', url, { Authorization: null })
    expect(refused.status).toBe(401)
    expect(refused.headers.get('tus-resumable')).toBe('1.0.0')
    const part = await create(server, 10, { ...as('ann-secret'), 'Upload-Concat': 'partial' })
    await patch(server, part, 0, someBytes(10), as('ann-secret'))
    expect((await server.ask('POST', '/v1/uploads', { ...as('bob-secret'), 'Upload-Concat': `final;${part}` })).status).toBe(404)
  })

  test('uploads belong to a token, not to its name', async () => {
    await using server = await startUploadServer()
    const as = (token: string) => ({ Authorization: `Bearer ${token}` })
    const part = await create(server, 10, { ...as('ann-secret'), 'Upload-Concat': 'partial' })
    expect((await server.ask('HEAD', part, as('other-ann-secret'))).status).toBe(404)
    expect((await patch(server, part, 0, someBytes(10), as('other-ann-secret'))).status).toBe(404)
    expect((await server.ask('DELETE', part, as('other-ann-secret'))).status).toBe(404)
    expect((await patch(server, part, 0, someBytes(10), as('ann-secret'))).status).toBe(204)
    expect((await server.ask('POST', '/v1/uploads', { ...as('other-ann-secret'), 'Upload-Concat': `final;${part}` })).status).toBe(404)
    // An upload by a link belongs to the token that created the link.
    const linked = await server.ask('POST', '/v1/uploads?link=lnk_1', { Authorization: null, 'Upload-Length': '10' })
    const path = linked.headers.get('location')?.split('?')[0] ?? ''
    expect((await server.ask('HEAD', path, as('ann-secret'))).status).toBe(200)
    expect((await server.ask('HEAD', path, as('other-ann-secret'))).status).toBe(404)
  })

  test('an upload of format 1, which has only the name of its creator, is accessible to operators and to its link', async () => {
    await using server = await startUploadServer()
    const as = (token: string) => ({ Authorization: `Bearer ${token}` })
    const url = await create(server, 100, as('ann-secret'))
    const linked = (await server.ask('POST', '/v1/uploads?link=lnk_1', { Authorization: null, 'Upload-Length': '10' })).headers.get('location') ?? ''
    await patch(server, url, 0, someBytes(40), as('ann-secret'))
    for (const path of [url, linked]) {
      const file = join(server.folder, path.split('/').at(-1)?.split('?')[0] ?? '', 'upload.json')
      const { creatorTokenId: _id, ...former } = await Bun.file(file).json()
      await Bun.write(file, JSON.stringify({ ...former, format: 1 }))
    }
    await server.restart()
    expect((await server.ask('HEAD', url, as('ann-secret'))).status).toBe(404)
    expect((await server.ask('HEAD', linked, { Authorization: null })).status).toBe(200)
    const head = await server.ask('HEAD', url)
    expect([head.status, head.headers.get('upload-offset')]).toEqual([200, '40'])
    expect((await patch(server, url, 40, someBytes(60))).status).toBe(204)
    expect((await server.ask('HEAD', url, as('ann-secret'))).status).toBe(404)
  })

  test('a link creates one upload of bounded length, is part of its URL, and gives access to no other upload', async () => {
    await using server = await startUploadServer()
    const link = { Authorization: null }
    const post = (length: number) => server.ask('POST', '/v1/uploads?link=lnk_1', { ...link, 'Upload-Length': String(length) })
    expect((await post(1001)).status).toBe(413)
    const created = await post(1000)
    expect(created.status).toBe(201)
    const url = created.headers.get('location') ?? ''
    expect(url).toEndWith('?link=lnk_1')
    expect((await post(10)).status).toBe(429)
    const content = someBytes(1000)
    expect((await patch(server, url, 0, content, link as unknown as Record<string, string>)).status).toBe(204)
    const deferred = await server.ask('POST', '/v1/uploads?link=lnk_2', { ...link, 'Upload-Defer-Length': '1' })
    const late = deferred.headers.get('location') ?? ''
    const send = (length: number) => server.ask('PATCH', late, { ...link, ...OFFSET, 'Upload-Offset': '0' }, someBytes(length))
    expect((await send(1001)).status).toBe(413)
    expect((await send(1000)).status).toBe(204)
    const foreign = await create(server, 10)
    expect((await server.ask('HEAD', `${foreign}?link=lnk_1`, link)).status).toBe(404)
  })
})

describe('refusals', () => {
  test('an upload longer than the space above the reserve gets 507 at its creation and leaves nothing behind', async () => {
    const state: SpaceState = { totalBytes: 1000, freeBytes: 500, reservedBytes: 100, promisedBytes: 0, availableBytes: 400 }
    const promised = new Map<string, number>()
    const space = {
      state: async () => state,
      promise: async (key: string, bytes: number) => Boolean(promised.set(key, bytes)),
      promiseShare: async ({ key, bytes, fitting }: ShareOrder) => fitting <= 400 && Boolean(promised.set(key, bytes)),
      isBelowReserve: async () => false,
    }
    await using server = await startUploadServer({ space })
    const refused = await server.ask('POST', '/v1/uploads', { 'Upload-Length': '401' })
    expect(refused.status).toBe(507)
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:insufficient-storage', availableBytes: 400, neededBytes: 401 })
    expect(await readdir(server.folder)).toEqual([])
    const url = await create(server, 400)
    expect([...promised.values()]).toContain(400)
    await patch(server, url, 0, someBytes(150))
    expect([...promised.values()]).toContain(250)
    await server.ask('DELETE', url)
    expect([...promised.values()].every((wanted) => wanted === 0)).toBe(true)
  })

  test('a disk that fills up during a PATCH results in 507, keeps committed bytes, and the upload resumes when there is space', async () => {
    await using server = await startUploadServer()
    const content = someBytes(1_000_000)
    const url = await create(server, content.length)
    await patch(server, url, 0, content.slice(0, 300_000))
    server.slices.freeBytes = 100_000
    const refused = await patch(server, url, 300_000, content.slice(300_000))
    expect(refused.status).toBe(507)
    expect(await refused.text()).not.toContain('ENOSPC')
    const offset = Number(refused.headers.get('upload-offset'))
    expect(offset).toBeGreaterThanOrEqual(300_000)
    expect((await server.ask('HEAD', url)).headers.get('upload-offset')).toBe(String(offset))
    server.slices.freeBytes = 1e9
    const last = await patch(server, url, offset, content.slice(offset))
    expect(last.status).toBe(204)
    expect(server.content((last.headers.get('content-location') ?? '').slice(11))).toEqual(Buffer.from(content))
  })

  test('a store below its reserve refuses further bytes', async () => {
    let isBelow = false
    const state: SpaceState = { totalBytes: 1000, freeBytes: 0, reservedBytes: 100, promisedBytes: 0, availableBytes: 0 }
    const space = { state: async () => state, promise: async () => true, promiseShare: async () => true, isBelowReserve: async () => isBelow }
    await using server = await startUploadServer({ space })
    const url = await create(server, 1_000_000)
    isBelow = true
    expect((await patch(server, url, 0, someBytes(200_000))).status).toBe(507)
  })

  test('a disabled store refuses new uploads', async () => {
    const gate = {
      requireEnabled() {
        throw problem('store-disabled', 'The store is disabled: maintenance.')
      },
    }
    await using server = await startUploadServer({ gate })
    const refused = await server.ask('POST', '/v1/uploads', { 'Upload-Length': '10' })
    expect(refused.status).toBe(409)
    expect(refused.headers.get('tus-resumable')).toBe('1.0.0')
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:store-disabled' })
  })

  test('the refusal of an invalid metadata value names its key', async () => {
    await using server = await startUploadServer()
    for (const [key, value] of [
      ['kind', 'floppy'],
      ['format', 'vhd'],
      ['cloudInit', 'perhaps'],
      ['digest', 'sha256:12'],
      ['name', 'a\u0007b'],
    ] as const) {
      const refused = await server.ask('POST', '/v1/uploads', { 'Upload-Length': '10', 'Upload-Metadata': `${key} ${btoa(value)}` })
      expect(refused.status).toBe(400)
      expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:invalid-input', errors: [{ member: key }] })
    }
    expect(await readdir(server.folder)).toEqual([])
  })

  test('a creation whose body is refused leaves no upload behind', async () => {
    await using server = await startUploadServer()
    const long = new ReadableStream({
      start(controller) {
        controller.enqueue(someBytes(11))
        controller.close()
      },
    })
    expect((await server.ask('POST', '/v1/uploads', { 'Upload-Length': '10', ...OFFSET }, long)).status).toBe(413)
    const wrong = { 'Upload-Length': '10', ...OFFSET, 'Upload-Checksum': `sha1 ${btoa('12345678901234567890')}` }
    expect((await server.ask('POST', '/v1/uploads', wrong, someBytes(10))).status).toBe(460)
    expect(await readdir(server.folder)).toEqual([])
  })

  test('a link can be used again after a creation whose body is refused', async () => {
    await using server = await startUploadServer()
    const post = (body: Uint8Array<ArrayBuffer>) =>
      server.ask(
        'POST',
        '/v1/uploads?link=lnk_1',
        { Authorization: null, 'Upload-Length': '10', ...OFFSET, 'Upload-Checksum': `sha1 ${btoa('x'.repeat(20))}` },
        body,
      )
    expect((await post(someBytes(10))).status).toBe(460)
    expect((await post(someBytes(10))).status).toBe(460)
    const created = await server.ask('POST', '/v1/uploads?link=lnk_1', { Authorization: null, 'Upload-Length': '10' })
    expect(created.status).toBe(201)
  })
})
