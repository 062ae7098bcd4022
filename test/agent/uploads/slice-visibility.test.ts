// A body may reference only slices that its client may know of.

import { describe, expect, test } from 'bun:test'
import { until } from '../../support/until.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import { BLOCK, SLICES, noise, digestOf, bring, name, body, create, patch, know, contentOf } from './slice-bodies.ts'
import type { Bytes } from './slice-bodies.ts'

describe('a slice that the client may not know of', () => {
  const BOB = { Authorization: 'Bearer bob-secret' }
  const ANN = { Authorization: 'Bearer ann-secret' }
  const hexOf = (bytes: Bytes): string => `sha256:${Buffer.from(digestOf(bytes)).toString('hex')}`

  test('of a deleted image is refused like one that is not stored, and the client can send its bytes', async () => {
    await using server = await startUploadServer()
    const [deleted, unknown] = [noise(4 * BLOCK, 1), noise(4 * BLOCK, 2)]
    await know(server, [deleted])
    for (const id of server.publisher.images.keys()) server.hidden.add(id)
    const url = await create(server, 8 * BLOCK)
    const answers: unknown[] = []
    for (const bytes of [deleted, unknown]) {
      const refused = await patch(server, url, 0, body(name(bytes)))
      const answer = (await refused.json()) as { missing: string[]; requestId?: string }
      expect(answer.missing).toEqual([hexOf(bytes)])
      answers.push([refused.status, refused.headers.get('upload-offset'), { ...answer, missing: [], requestId: '' }])
    }
    expect(answers[0]).toEqual(answers[1])
    server.slices.freeBytes = 1e9
    const answer = await patch(server, url, 0, body(bring(deleted), bring(unknown)))
    expect(contentOf(server, answer).equals(Buffer.concat([deleted, unknown]))).toBe(true)
    // The slice was already stored and is not stored twice.
    expect(server.slices.freeBytes).toBe(1e9 - unknown.length)
  })

  test('of a deleted image cannot be restored by reference, with any other content of the body', async () => {
    await using server = await startUploadServer()
    const [kept, deleted] = [noise(4 * BLOCK, 1), noise(4 * BLOCK, 2)]
    await know(server, [kept])
    await know(server, [kept, deleted])
    server.hidden.add([...server.publisher.images.keys()].at(-1) ?? '')
    const url = await create(server, 12 * BLOCK)
    const refused = await patch(server, url, 0, body(name(kept), name(deleted), name(kept)))
    expect(refused.status).toBe(409)
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:slice-missing', missing: [hexOf(deleted)] })
    expect(refused.headers.get('upload-offset')).toBe(String(4 * BLOCK))
  })

  test('of an unfinished upload can be referenced by its sender in every upload, and by no other client', async () => {
    await using server = await startUploadServer()
    const [one, two] = [noise(4 * BLOCK, 1), noise(4 * BLOCK, 2)]
    const first = await create(server, 100 * BLOCK, ANN)
    expect((await patch(server, first, 0, body(bring(one)), { ...SLICES, ...ANN })).status).toBe(204)
    const foreign = await create(server, 100 * BLOCK, BOB)
    expect((await patch(server, foreign, 0, body(name(one)), { ...SLICES, ...BOB })).status).toBe(409)
    const second = await create(server, 100 * BLOCK, ANN)
    expect((await patch(server, second, 0, body(name(one), bring(two), name(two)), { ...SLICES, ...ANN })).status).toBe(204)
    // Holds after a restart, and for slices that arrived after the first request.
    await server.restart()
    expect((await patch(server, first, 4 * BLOCK, body(name(two), name(one)), { ...SLICES, ...ANN })).status).toBe(204)
    expect((await patch(server, foreign, 0, body(name(two)), { ...SLICES, ...BOB })).status).toBe(409)
    // A deleted upload no longer counts.
    for (const url of [first, second]) expect((await server.ask('DELETE', url, ANN)).status).toBe(204)
    const third = await create(server, 100 * BLOCK, ANN)
    expect((await patch(server, third, 0, body(name(one)), { ...SLICES, ...ANN })).status).toBe(409)
  })

  test('that a body contains can be referenced by the rest of the body, of any length', async () => {
    await using server = await startUploadServer()
    const slices = Array.from({ length: 5000 }, (_, i) => noise(BLOCK, i))
    const url = await create(server, 4 * 5000 * BLOCK)
    const frames = slices.map((slice) => bring(slice))
    const names = slices.map((slice) => name(slice))
    const answer = await patch(server, url, 0, body(...frames, ...names, ...names.toReversed(), ...names))
    expect([answer.status, answer.headers.get('upload-offset')]).toEqual([204, String(4 * 5000 * BLOCK)])
  }, 30_000)

  test('of an image that is deleted during the body is refused afterwards', async () => {
    await using server = await startUploadServer()
    const [known, other] = [noise(4 * BLOCK, 1), noise(4 * BLOCK, 2)]
    await know(server, [known, other])
    const url = await create(server, 12 * BLOCK)
    const pipe = new TransformStream<Bytes, Bytes>()
    const writer = pipe.writable.getWriter()
    const sending = patch(server, url, 0, pipe.readable)
    await writer.write(name(known))
    const pinned = () => server.slices.pinned().size > 0
    await until('the first reference was taken', pinned)
    for (const id of server.publisher.images.keys()) server.hidden.add(id)
    await writer.write(body(name(other)))
    await writer.close().catch(() => {})
    const refused = await sending
    expect([refused.status, refused.headers.get('upload-offset')]).toEqual([409, String(4 * BLOCK)])
  })
})
