// Refusals of delta uploads, and the bytes that are kept.

import { describe, expect, test } from 'bun:test'
import { encodeEndFrame, encodeReferenceFrame } from '../../../protocol/slices/frames.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import { BLOCK, SLICES, OFFSET, noise, digestOf, bring, name, zeros, joined, body, create, patch, offsetAt, know, contentOf } from './slice-bodies.ts'
import type { Bytes } from './slice-bodies.ts'

describe('refusals', () => {
  test('a slice that does not match its digest is not kept, earlier slices are, and the correct slice can follow', async () => {
    await using server = await startUploadServer()
    const [good, bad, after] = [noise(4 * BLOCK, 1), noise(4 * BLOCK, 2), noise(4 * BLOCK, 3)]
    const url = await create(server, 12 * BLOCK)
    const refused = await patch(server, url, 0, body(bring(good), bring(bad, digestOf(after)), bring(after)))
    expect(refused.status).toBe(422)
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:digest-mismatch' })
    expect(refused.headers.get('upload-offset')).toBe(String(4 * BLOCK))
    expect(server.slices.missing([digestOf(bad)])).toEqual([0])
    expect(server.slices.pinned().size).toBe(0)
    const rest = await patch(server, url, 4 * BLOCK, body(bring(bad), bring(after)))
    expect(contentOf(server, rest).equals(Buffer.concat([good, bad, after]))).toBe(true)
  })

  test('a slice that gc removed after the client asked for missing slices is named, and the client can send its bytes', async () => {
    await using server = await startUploadServer()
    const [kept, gone, other] = [noise(4 * BLOCK, 1), noise(4 * BLOCK, 2), noise(4 * BLOCK, 3)]
    await know(server, [kept, gone, other])
    expect(server.slices.missing([digestOf(gone)])).toEqual([])
    server.slices.sweep([{ length: kept.length, digest: digestOf(kept) }])
    const url = await create(server, 12 * BLOCK)
    const refused = await patch(server, url, 0, body(name(kept), name(gone), name(other)))
    expect(refused.status).toBe(409)
    const missing = [gone, other].map((bytes) => `sha256:${Buffer.from(digestOf(bytes)).toString('hex')}`)
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:slice-missing', missing })
    expect(refused.headers.get('upload-offset')).toBe(String(4 * BLOCK))
    const rest = await patch(server, url, 4 * BLOCK, body(bring(gone), bring(other)))
    expect(contentOf(server, rest).equals(Buffer.concat([kept, gone, other]))).toBe(true)
  })

  test('a reference with a length that differs from that of the slice is refused', async () => {
    await using server = await startUploadServer()
    const known = noise(4 * BLOCK, 1)
    await know(server, [known])
    const url = await create(server, 8 * BLOCK)
    for (const length of [BLOCK, 8 * BLOCK]) expect((await patch(server, url, 0, body(name(known, length)))).status).toBe(409)
    expect(await offsetAt(server, url)).toBe(0)
  })

  test('after bytes that do not form a slice yet, plain bytes are accepted, and slices after them', async () => {
    await using server = await startUploadServer()
    const content = noise(192 * 1024, 1)
    const url = await create(server, content.length)
    await patch(server, url, 0, content.slice(0, 1000), OFFSET)
    const refused = await patch(server, url, 1000, body(bring(content.slice(1000, 1000 + BLOCK))))
    expect(refused.status).toBe(409)
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:tail-not-empty' })
    // The slices of this store are 64 KiB long, so a slice ends here.
    expect((await patch(server, url, 1000, content.slice(1000, 128 * 1024), OFFSET)).status).toBe(204)
    const rest = await patch(server, url, 128 * 1024, body(bring(content.slice(128 * 1024))))
    expect(contentOf(server, rest).equals(content)).toBe(true)
  })

  test('slices that exceed the limits of the store, the upload or the protocol are refused', async () => {
    await using server = await startUploadServer()
    const bytes = noise(BLOCK, 1)
    const refusals: [Bytes, number][] = [
      [body(bring(noise(BLOCK + 1, 2))), 400],
      [body(zeros(BLOCK - 1)), 400],
      [body(bring(noise(65 * BLOCK, 2))), 400],
      [body(zeros(101 * BLOCK)), 413],
      [joined(encodeEndFrame(), bytes), 400],
      [joined(encodeReferenceFrame(digestOf(bytes), 0xffff_ffff)), 400],
    ]
    for (const [sent, status] of refusals) {
      const answer = await patch(server, await create(server, 100 * BLOCK), 0, sent)
      expect([answer.status, answer.headers.get('upload-offset')]).toEqual([status, '0'])
    }
    // Complete frames before a refused frame count.
    const after = await patch(server, await create(server, 100 * BLOCK), 0, joined(bring(bytes), zeros(200 * BLOCK)))
    expect([after.status, after.headers.get('upload-offset')]).toEqual([413, String(BLOCK)])
  })

  test('a link, a checksum, another media type and a wrong offset are refused', async () => {
    await using server = await startUploadServer()
    const bytes = noise(BLOCK, 1)
    const link = await server.ask('POST', '/v1/uploads?link=lnk_1', { Authorization: null, 'Upload-Length': '1000' })
    const linked = link.headers.get('location') ?? ''
    expect((await patch(server, linked, 0, body(zeros(1000)), { ...SLICES, Authorization: null })).status).toBe(403)
    const url = await create(server, 2 * BLOCK)
    expect((await patch(server, url, 0, body(bring(bytes)), { ...SLICES, 'Upload-Checksum': `sha1 ${btoa('x'.repeat(20))}` })).status).toBe(400)
    expect((await patch(server, url, 0, body(bring(bytes)), { 'Content-Type': 'application/vnd.slipway.manifest' })).status).toBe(415)
    expect((await patch(server, url, BLOCK, body(bring(bytes)))).status).toBe(409)
    expect(await offsetAt(server, url)).toBe(0)
  })

  test('a disk that fills up keeps committed bytes, and the upload resumes when there is space', async () => {
    await using server = await startUploadServer()
    const slices = [noise(8 * BLOCK, 1), noise(8 * BLOCK, 2), noise(8 * BLOCK, 3)] as const
    const url = await create(server, 24 * BLOCK)
    await patch(server, url, 0, body(bring(slices[0])))
    server.slices.freeBytes = 0
    const refused = await patch(server, url, 8 * BLOCK, body(name(slices[0]), bring(slices[1]), bring(slices[2])))
    expect(refused.status).toBe(507)
    server.slices.freeBytes = 1e9
    const offset = await offsetAt(server, url)
    expect([8 * BLOCK, 16 * BLOCK]).toContain(offset)
    await server.ask('DELETE', url)
    expect(server.slices.pinned().size).toBe(0)
  })
})
