// Two requests for one upload: the later one ends the body of the earlier one, whose bytes are kept. And what a refused request leaves.

import { describe, expect, test } from 'bun:test'
import type { UploadBody } from '../../../agent/uploads/append-body.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { startUploadServer, TOKENS } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'
import { someBytes } from '../../support/clients/upload-requests.ts'
import { until } from '../../support/until.ts'

const actor = TOKENS['admin-secret'] ?? { name: 'root', role: 'admin' }

/** A body that a test sends piece by piece. */
function openBody(changes: Partial<UploadBody> = {}) {
  let controller!: ReadableStreamDefaultController<Uint8Array>
  let isCancelled = false
  const stream = new ReadableStream<Uint8Array>({ start: (made) => void (controller = made), cancel: () => void (isCancelled = true) })
  const body: UploadBody = { stream, length: undefined, declaredLength: undefined, checksum: undefined, isSlices: false, ...changes }
  return {
    body,
    send: (bytes: Uint8Array) => controller.enqueue(bytes),
    close: () => controller.close(),
    get isCancelled() {
      return isCancelled
    },
  }
}

const order = { actor, length: 1000, metadata: undefined, concatHeader: undefined, concat: undefined } as const
const refusalOf = async (work: Promise<unknown>): Promise<ProblemError> => {
  const error = await work.catch((refusal: unknown) => refusal)
  if (!(error instanceof ProblemError)) throw new Error(`not refused: ${String(error)}`)
  return error
}

/** Creates an upload to which a body of 100 bytes is being appended. */
async function startAppend(server: UploadServer) {
  const { id } = await server.uploads.create(order)
  const sent = openBody()
  const appending = server.uploads.append(id, { actor, offset: 0, body: sent.body })
  await until('the body is read', () => server.uploads.stats().receiving === 1)
  sent.send(someBytes(100))
  return { id, sent, appending }
}

describe('a request for an upload whose body is being read', () => {
  test('ends the body, which is told that it was cut short, and sees its bytes', async () => {
    await using server = await startUploadServer()
    const { id, sent, appending } = await startAppend(server)
    await Bun.sleep(0)
    expect(await server.uploads.show(id, actor)).toMatchObject({ id, offset: 100, length: 1000, imageId: null })
    expect(await appending).toMatchObject({ id, offset: 100, isShort: true })
    expect([sent.isCancelled, server.uploads.stats()]).toEqual([true, { unfinished: 1, receiving: 0, waiting: 0 }])
  })

  test('that only looks ends nothing and sees what is durable', async () => {
    await using server = await startUploadServer()
    const { id, sent, appending } = await startAppend(server)
    expect(await server.uploads.peek(id, actor)).toMatchObject({ offset: 0 })
    sent.send(someBytes(900))
    sent.close()
    expect(await appending).toMatchObject({ offset: 1000, isShort: false })
    expect(server.uploads.stats()).toEqual({ unfinished: 0, receiving: 0, waiting: 0 })
  })

  test('that came before the body was read ends it as well', async () => {
    await using server = await startUploadServer()
    const { id, appending } = await startAppend(server)
    const next = openBody()
    const second = server.uploads.append(id, { actor, offset: 100, body: next.body })
    const third = server.uploads.show(id, actor)
    expect(await appending).toMatchObject({ offset: 100, isShort: true })
    expect(await second).toMatchObject({ offset: 100, isShort: true })
    expect(await third).toMatchObject({ offset: 100 })
  })
})

describe('a refusal', () => {
  test('of an append carries the offset from which to go on', async () => {
    await using server = await startUploadServer()
    const { id, sent, appending } = await startAppend(server)
    sent.close()
    await appending
    const refusal = await refusalOf(server.uploads.append(id, { actor, offset: 99, body: openBody().body }))
    expect([refusal.code, refusal.headers]).toEqual(['offset-mismatch', { 'Upload-Offset': '100' }])
    expect(refusal.problem).toMatchObject({ detail: 'The upload has 100 bytes, but the request starts at 99.', expectedOffset: 100, providedOffset: 99 })
    const long = await refusalOf(server.uploads.append(id, { actor, offset: 100, body: openBody({ length: 901 }).body }))
    expect([long.code, long.headers['Upload-Offset'], long.problem.detail]).toEqual([
      'payload-too-large',
      '100',
      '1001 bytes exceed the limit of 1000 bytes for this upload.',
    ])
  })

  test('of a body after the last byte says so, and an empty one is accepted', async () => {
    await using server = await startUploadServer()
    const { id } = await server.uploads.create({ ...order, length: 5, concat: { kind: 'partial' }, concatHeader: 'partial' })
    const append = (offset: number, bytes: number, isLast: boolean | undefined) => {
      const { body, send, close } = openBody({ length: bytes, isLast })
      if (bytes > 0) send(someBytes(bytes))
      close()
      return server.uploads.append(id, { actor, offset, body })
    }
    expect(await append(0, 5, true)).toMatchObject({ offset: 5, length: 5 })
    expect((await refusalOf(append(5, 1, true))).code).toBe('upload-complete')
    expect(await append(5, 0, true)).toMatchObject({ offset: 5 })
  })

  test('of a length that differs from the one declared changes nothing', async () => {
    await using server = await startUploadServer()
    const { id } = await server.uploads.create({ ...order, length: null })
    const append = (changes: Partial<UploadBody>, bytes: number) => {
      const { body, send, close } = openBody(changes)
      if (bytes > 0) send(someBytes(bytes))
      close()
      return server.uploads.append(id, { actor, offset: 0, body })
    }
    const refusal = await refusalOf(append({ length: 10, isLast: true, declaredLength: 11 }, 10))
    expect([refusal.code, refusal.problem.detail]).toEqual(['length-mismatch', 'Upload-Length is 11, but the upload would end at byte 10.'])
    expect(await server.uploads.show(id, actor)).toMatchObject({ offset: 0, length: null })
    expect(await append({ declaredLength: 20 }, 0)).toMatchObject({ offset: 0, length: 20 })
    const other = await refusalOf(append({ declaredLength: 21 }, 0))
    expect([other.code, other.problem.detail]).toEqual(['length-mismatch', 'The length of the upload is 20 bytes and cannot become 21.'])
    expect(await append({ declaredLength: 20 }, 20)).toMatchObject({ offset: 20, length: 20, imageId: expect.stringMatching(/^img_/) })
  })

  test('of a body with a wrong checksum leaves the length open, unless the request declares it by itself', async () => {
    await using server = await startUploadServer()
    const { id } = await server.uploads.create({ ...order, length: null })
    const right = new Uint8Array(new Bun.CryptoHasher('sha256').update(someBytes(10)).digest())
    const append = (expected: Uint8Array, changes: Partial<UploadBody>) => {
      const { body, send, close } = openBody({ length: 10, checksum: { algorithm: 'sha256', expected, field: 'Upload-Checksum' }, ...changes })
      send(someBytes(10))
      close()
      return server.uploads.append(id, { actor, offset: 0, body })
    }
    expect((await refusalOf(append(new Uint8Array(32), { isLast: true }))).code).toBe('checksum-mismatch')
    expect(await server.uploads.show(id, actor)).toMatchObject({ offset: 0, length: null })
    expect((await refusalOf(append(new Uint8Array(32), { declaredLength: 10 }))).code).toBe('checksum-mismatch')
    expect(await server.uploads.show(id, actor)).toMatchObject({ offset: 0, length: 10 })
    expect(await append(right, { isLast: true })).toMatchObject({ offset: 10, length: 10, imageId: expect.stringMatching(/^img_/) })
  })

  test('of a body that ends early keeps the length that it would have given the upload', async () => {
    await using server = await startUploadServer()
    const { id } = await server.uploads.create({ ...order, length: null })
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(someBytes(5)),
      pull: (controller) => controller.error(new Error('cut')),
    })
    const { body } = openBody({ length: 10, isLast: true })
    expect((await refusalOf(server.uploads.append(id, { actor, offset: 0, body: { ...body, stream } }))).code).toBe('upload-cut')
    expect(await server.uploads.show(id, actor)).toMatchObject({ length: 10, imageId: null })
  })

  test('of a body whose end is not known before it has come leaves the length open', async () => {
    await using server = await startUploadServer()
    const { id } = await server.uploads.create({ ...order, length: null })
    const { body, send, close } = openBody({ isLast: true })
    send(someBytes(7))
    close()
    expect(await server.uploads.append(id, { actor, offset: 0, body })).toMatchObject({ offset: 7, length: 7, imageId: expect.stringMatching(/^img_/) })
  })
})
