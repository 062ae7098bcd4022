// Uploads that imports fill: created once, continued at the durable offset, and out of the reach of clients while their task is active.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { ProblemError } from '../../../protocol/problems.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { startUploadServer, TOKENS } from '../../support/agents/upload-server.ts'
import { someBytes } from '../../support/clients/upload-requests.ts'

const ID = 'upl_0000000000000000000000000a'
const IMAGE = 'img_0000000000000000000000000a'
const actor = { name: 'ann', role: 'uploader', tokenId: 'tok_2' } as const
const admin = TOKENS['admin-secret'] ?? { name: 'root', role: 'admin' }
const ORDER = {
  id: ID,
  imageId: IMAGE,
  actor,
  draft: { name: 'imported', description: '' },
  source: { kind: 'url', url: 'http://source/disk.raw', filename: 'disk.raw', device: null },
  taskId: 'tsk_import',
} as const
const CREATED = { id: ID, imageId: IMAGE, offset: 0, length: null, validator: null, isPublished: false }

async function start() {
  const clock = createManualClock()
  const active = new Set(['tsk_import'])
  const server = await startUploadServer({ clock, expiryMs: 3_600_000, maxLength: 10_000, isTaskActive: (id) => active.has(id) })
  return { clock, active, server }
}

function streamOf(bytes: Uint8Array, isCut = false): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      start(controller) {
        controller.enqueue(bytes)
        if (!isCut) controller.close()
      },
      pull: (controller) => controller.error(new Error('cut')),
    },
    { highWaterMark: 0 },
  )
}

async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error = await work.catch((refusal: unknown) => refusal)
  return error instanceof ProblemError ? `${error.code}: ${error.problem.detail}` : `not refused: ${String(error)}`
}

describe('an internal upload', () => {
  test('is created once, whoever asks again', async () => {
    const { server } = await start()
    await using _server = server
    const { internal } = server.uploads
    expect(await internal.find(ID)).toBeUndefined()
    expect(await internal.create(ORDER)).toEqual(CREATED)
    await internal.append(ID, 0, streamOf(someBytes(100), true))
    expect(await internal.create(ORDER)).toEqual({ ...CREATED, offset: 100 })
    expect(await internal.find(ID)).toEqual({ ...CREATED, offset: 100 })
    expect(await readdir(server.folder)).toEqual([ID])
  })

  test('continues at its offset after a cut, and ends where its source ends', async () => {
    const { server } = await start()
    await using _server = server
    const { internal } = server.uploads
    const content = someBytes(300)
    await internal.create(ORDER)
    expect(await internal.append(ID, 0, streamOf(content.slice(0, 100), true))).toEqual({ upload: { ...CREATED, offset: 100 }, isWhole: false })
    expect(await refusalOf(internal.append(ID, 99, streamOf(content)))).toBe('offset-mismatch: The upload has 100 bytes, but the stream starts at 99.')
    expect(await internal.append(ID, 100, streamOf(content.slice(100)))).toEqual({ upload: { ...CREATED, offset: 300 }, isWhole: true })
    const done = { ...CREATED, offset: 300, length: 300, isPublished: true }
    expect(await internal.finish(ID)).toEqual(done)
    expect(await internal.finish(ID)).toEqual(done)
    expect(Buffer.from(server.content(IMAGE)).equals(Buffer.from(content))).toBe(true)
    expect(server.publisher.find(IMAGE)?.source).toEqual({ ...ORDER.source, uploadId: ID, storeId: null })
    await internal.cancel(ID)
    expect(server.uploads.presence(ID)).toBe('published')
  })

  test('with a length that the source tells becomes an image with its last byte, and an empty one at once', async () => {
    const { server } = await start()
    await using _server = server
    const { internal } = server.uploads
    await internal.create(ORDER)
    expect(await internal.declare(ID, { length: 200, validator: 'v1' })).toEqual({ ...CREATED, length: 200, validator: 'v1' })
    expect(await internal.declare(ID, { length: null, validator: 'v2' })).toEqual({ ...CREATED, length: 200, validator: 'v2' })
    await server.uploads.stop()
    await server.restart()
    expect(await server.uploads.internal.find(ID)).toEqual({ ...CREATED, length: 200, validator: 'v2' })
    expect(await refusalOf(server.uploads.internal.append(ID, 0, streamOf(someBytes(201))))).toStartWith('payload-too-large: The body continues after byte 200')
    const rest = await server.uploads.internal.append(ID, 0, streamOf(someBytes(200)))
    expect(rest.upload).toMatchObject({ offset: 200, isPublished: true })

    const empty = { ...ORDER, id: ID.replace(/a$/, 'b'), imageId: IMAGE.replace(/a$/, 'b') }
    await server.uploads.internal.create(empty)
    expect(await server.uploads.internal.declare(empty.id, { length: 0, validator: null })).toMatchObject({ length: 0, isPublished: true })
  })

  test('is refused when its source is longer than the store accepts', async () => {
    const { server } = await start()
    await using _server = server
    await server.uploads.internal.create(ORDER)
    expect(await refusalOf(server.uploads.internal.declare(ID, { length: 10_001, validator: null }))).toStartWith('payload-too-large: 10001 bytes exceed')
    expect(await server.uploads.internal.declare(ID, { length: 10_000, validator: null })).toMatchObject({ length: 10_000 })
  })

  test('is left alone by clients while its task is active, and expires only afterwards', async () => {
    const { clock, active, server } = await start()
    await using _server = server
    await server.uploads.internal.create(ORDER)
    await server.uploads.internal.append(ID, 0, streamOf(someBytes(100), true))
    clock.advance(4_000_000)
    expect(await server.uploads.show(ID, actor)).toMatchObject({ id: ID, offset: 100, expiresAtMs: null })
    expect(await server.uploads.expire()).toEqual([])
    const said = `conflict: Upload ${ID} is filled by the task tsk_import.`
    expect(await refusalOf(server.uploads.remove(ID, admin))).toBe(said)
    const body = { stream: null, length: 0, declaredLength: undefined, checksum: undefined, isSlices: false }
    expect(await refusalOf(server.uploads.append(ID, { actor, offset: 100, body }))).toBe(said)
    // Whoever may not use it cannot tell that it is there.
    expect(await refusalOf(server.uploads.remove(ID, { name: 'bob', role: 'uploader', tokenId: 'tok_3' }))).toStartWith('not-found: ')
    expect(await server.uploads.inProgress.cancelImage(IMAGE, admin)).toEqual({ kind: 'held', taskId: 'tsk_import' })
    active.clear()
    expect(await refusalOf(server.uploads.show(ID, actor))).toBe(`upload-expired: Upload ${ID} expired.`)
    expect(await server.uploads.expire()).toEqual([ID])
  })

  test('is removed when its task is cancelled, with its bytes and its space', async () => {
    const { server } = await start()
    await using _server = server
    await server.uploads.internal.create(ORDER)
    await server.uploads.internal.append(ID, 0, streamOf(someBytes(100), true))
    await server.uploads.internal.cancel(ID)
    await server.uploads.internal.cancel(ID)
    expect([await readdir(server.folder), await server.uploads.internal.find(ID)]).toEqual([[], undefined])
    expect(await refusalOf(server.uploads.internal.finish(ID))).toBe(`not-found: There is no upload "${ID}".`)
  })

  test('cannot be made of the upload of a client', async () => {
    const { server } = await start()
    await using _server = server
    const { id } = await server.uploads.create({ actor, length: 10, metadata: undefined, concatHeader: undefined, concat: undefined })
    expect(await server.uploads.internal.find(id)).toBeUndefined()
    expect(await refusalOf(server.uploads.internal.append(id, 0, streamOf(someBytes(5))))).toStartWith('not-found: ')
  })

  test('is not created or filled while the agent stops', async () => {
    const { server } = await start()
    await using _server = server
    await server.uploads.internal.create(ORDER)
    await server.uploads.stop()
    expect(await refusalOf(server.uploads.internal.append(ID, 0, streamOf(someBytes(5))))).toStartWith('shutting-down: ')
    expect(await refusalOf(server.uploads.internal.finish(ID))).toStartWith('shutting-down: ')
    expect(await refusalOf(server.uploads.internal.create({ ...ORDER, id: ID.replace(/a$/, 'b') }))).toStartWith('shutting-down: ')
  })
})
