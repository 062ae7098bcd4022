// Uploads by slices: bodies of frames in place of plain bytes, cut anywhere, mixed with plain bytes, and what is refused.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { CODEC_RAW, CODEC_ZSTD, encodeEndFrame, encodeFrameHeader, encodeReferenceFrame, SLICES_MEDIA_TYPE } from '../../../protocol/frames.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createFailingDisk } from '../../support/machine/failing-disk.ts'
import { createRandom, propertyOptions } from '../../support/properties.ts'
import { until } from '../../support/until.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'

const BLOCK = 4096
const OFFSET = { 'Content-Type': 'application/offset+octet-stream' }
const SLICES = { 'Content-Type': SLICES_MEDIA_TYPE }

type Bytes = Uint8Array<ArrayBuffer>

const noise = (length: number, seed: number): Bytes => new Uint8Array(createRandom(seed).bytes(length))
const digestOf = (bytes: Uint8Array): Bytes => new Uint8Array(new Bun.CryptoHasher('sha256').update(bytes).digest())

/** A frame that brings a slice, one that names it, and one of zeros. */
const bring = (bytes: Bytes, digest = digestOf(bytes)): Bytes =>
  joined(encodeFrameHeader({ digest, length: bytes.length, codec: CODEC_RAW, stored: bytes }), bytes)
const name = (bytes: Bytes, length = bytes.length): Bytes => encodeReferenceFrame(digestOf(bytes), length)
const zeros = (length: number): Bytes => encodeReferenceFrame(null, length)
const joined = (...parts: readonly Uint8Array[]): Bytes => new Uint8Array(Buffer.concat(parts))
const body = (...frames: readonly Bytes[]): Bytes => joined(...frames, encodeEndFrame())

async function create(server: UploadServer, length: number, headers: Record<string, string> = {}): Promise<string> {
  const response = await server.ask('POST', '/v1/uploads', { 'Upload-Length': String(length), ...headers })
  expect(response.status).toBe(201)
  return response.headers.get('location') ?? ''
}

const patch = (server: UploadServer, url: string, offset: number, sent: Bytes | ReadableStream, headers: Record<string, string | null> = SLICES) =>
  server.ask('PATCH', url, { 'Upload-Offset': String(offset), ...headers }, sent)

const offsetAt = async (server: UploadServer, url: string): Promise<number> => Number((await server.ask('HEAD', url)).headers.get('upload-offset'))

/** Makes an image of some slices, so that the store has them. */
async function know(server: UploadServer, slices: readonly Bytes[]): Promise<void> {
  const url = await create(
    server,
    slices.reduce((sum, slice) => sum + slice.length, 0),
  )
  expect((await patch(server, url, 0, body(...slices.map((slice) => bring(slice))))).status).toBe(204)
}

const contentOf = (server: UploadServer, answer: Response): Buffer => Buffer.from(server.content((answer.headers.get('content-location') ?? '').slice(11)))

describe('a body of slices', () => {
  test('brings what is missing, names what is there, and becomes an image like any other', async () => {
    await using server = await startUploadServer()
    const [known, fresh, last] = [noise(5 * BLOCK, 1), noise(64 * 1024, 2), noise(1000, 3)]
    await know(server, [known])
    const packed = new Uint8Array(Bun.zstdCompressSync(Buffer.alloc(8 * BLOCK, 'text')))
    const text = Buffer.alloc(8 * BLOCK, 'text')
    const content = Buffer.concat([known, fresh, new Uint8Array(3 * BLOCK), text, fresh, known, last])
    const url = await create(server, content.length)
    const frames = body(
      name(known),
      bring(fresh),
      zeros(3 * BLOCK),
      joined(encodeFrameHeader({ digest: digestOf(text), length: text.length, codec: CODEC_ZSTD, stored: packed }), packed),
      name(fresh),
      name(known),
      bring(last),
    )
    const answer = await patch(server, url, 0, frames)
    expect(answer.status).toBe(204)
    expect(answer.headers.get('upload-offset')).toBe(String(content.length))
    expect(contentOf(server, answer).equals(content)).toBe(true)
    expect(server.slices.pinned().size).toBe(0)
  })

  test('whatever is known, however bodies are cut, split and mixed with plain bytes, gives what was sent', async () => {
    const piece = fc.record({ kind: fc.constantFrom('known', 'new', 'zeros'), blocks: fc.integer({ min: 1, max: 16 }), seed: fc.integer({ min: 1, max: 6 }) })
    const request = fc.record({
      pieces: fc.integer({ min: 1, max: 6 }),
      cut: fc.option(fc.nat(), { nil: undefined }),
      stretch: fc.integer({ min: 5000, max: 70_000 }),
      isPlain: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { minLength: 1, maxLength: 14 }),
        fc.nat(BLOCK - 1),
        fc.array(request, { minLength: 1 }),
        async (pieces, tail, requests) => {
          await using server = await startUploadServer()
          const slices = pieces.map(({ kind, blocks, seed }) => ({
            kind,
            bytes: kind === 'zeros' ? new Uint8Array(blocks * BLOCK) : noise(blocks * BLOCK, seed * 100 + blocks),
          }))
          if (tail > 0) slices.push({ kind: 'new', bytes: noise(tail, 9) })
          const knownSlices = slices.filter(({ kind }) => kind === 'known').map(({ bytes }) => bytes)
          await know(server, knownSlices)
          const content = Buffer.concat(slices.map(({ bytes }) => bytes))
          const url = await create(server, content.length)
          let offset = 0
          let isPlainFromHere = false
          for (let i = 0; offset < content.length; i++) {
            const { pieces: count, cut, stretch, isPlain } = requests[i % requests.length] ?? { pieces: 1, cut: undefined, stretch: 1000, isPlain: false }
            const starts = slices.map((_slice, at) => slices.slice(0, at).reduce((sum, { bytes }) => sum + bytes.length, 0))
            const first = starts.indexOf(offset)
            const before = offset
            if (isPlain || isPlainFromHere || first === -1) {
              const answer = await patch(server, url, offset, new Uint8Array(content.subarray(offset, offset + stretch)), OFFSET)
              expect(answer.status).toBe(204)
            } else {
              const frames = slices
                .slice(first, first + count)
                .map(({ kind, bytes }) => (kind === 'zeros' ? zeros(bytes.length) : kind === 'known' ? name(bytes) : bring(bytes)))
              const whole = body(...frames)
              const isCut = cut !== undefined && i < 3
              const sent = isCut ? whole.subarray(0, cut % whole.length) : whole
              const stream = new ReadableStream({
                start(controller) {
                  for (let at = 0; at < sent.length; at += stretch) controller.enqueue(sent.slice(at, at + stretch))
                  controller.close()
                },
              })
              const answer = await patch(server, url, offset, stream)
              if (answer.status === 409) {
                expect(await answer.json()).toMatchObject({ type: 'urn:slipway:problem:tail-not-empty' })
                isPlainFromHere = true
              } else {
                expect(answer.status).toBe(isCut && sent.length > 0 ? 400 : 204)
              }
            }
            offset = await offsetAt(server, url)
            expect(offset).toBeGreaterThanOrEqual(before)
            expect(server.slices.pinned().size).toBe(0)
          }
          const done = await server.ask('HEAD', url)
          expect(contentOf(server, done).equals(content)).toBe(true)
        },
      ),
      propertyOptions(40),
    )
  }, 60_000)

  test('a body that ends without its end frame is cut, and what came before counts', async () => {
    await using server = await startUploadServer()
    const slices = [noise(4 * BLOCK, 1), noise(4 * BLOCK, 2)] as const
    const url = await create(server, 8 * BLOCK)
    const whole = body(...slices.map((slice) => bring(slice)))
    const cut = await patch(server, url, 0, whole.slice(0, whole.length - 100))
    expect(cut.status).toBe(400)
    expect(await cut.json()).toMatchObject({ type: 'urn:slipway:problem:upload-cut' })
    expect(cut.headers.get('upload-offset')).toBe(String(4 * BLOCK))
    expect((await patch(server, url, 4 * BLOCK, body(bring(slices[1])))).headers.get('content-location')).toContain('/v1/images/')
  })

  test('of many names is committed in parts', async () => {
    await using server = await startUploadServer()
    const slice = noise(BLOCK, 1)
    await know(server, [slice])
    const count = 40_000
    const url = await create(server, count * BLOCK)
    const answer = await patch(server, url, 0, body(...Array.from({ length: count }, () => name(slice))))
    expect(answer.status).toBe(204)
    expect(answer.headers.get('upload-offset')).toBe(String(count * BLOCK))
  }, 30_000)
})

describe('refusals', () => {
  test('a slice that is not what its digest says: nothing of it is kept, what came before is, and the right one goes on', async () => {
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

  test('a slice that gc removed since it was asked about is named, and comes with its bytes then', async () => {
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

  test('a name with another length than the slice has is not that slice', async () => {
    await using server = await startUploadServer()
    const known = noise(4 * BLOCK, 1)
    await know(server, [known])
    const url = await create(server, 8 * BLOCK)
    for (const length of [BLOCK, 8 * BLOCK]) expect((await patch(server, url, 0, body(name(known, length)))).status).toBe(409)
    expect(await offsetAt(server, url)).toBe(0)
  })

  test('where bytes wait that are no slice yet, plain bytes go on, and slices after them', async () => {
    await using server = await startUploadServer()
    const content = noise(192 * 1024, 1)
    const url = await create(server, content.length)
    await patch(server, url, 0, content.slice(0, 1000), OFFSET)
    const refused = await patch(server, url, 1000, body(bring(content.slice(1000, 1000 + BLOCK))))
    expect(refused.status).toBe(409)
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:tail-not-empty' })
    // The slices of this store are 64 KiB long: here one ends.
    expect((await patch(server, url, 1000, content.slice(1000, 128 * 1024), OFFSET)).status).toBe(204)
    const rest = await patch(server, url, 128 * 1024, body(bring(content.slice(128 * 1024))))
    expect(contentOf(server, rest).equals(content)).toBe(true)
  })

  test('slices out of the bounds of the store, of the upload, or of the protocol', async () => {
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
    // What came before a refused frame was whole: it counts.
    const after = await patch(server, await create(server, 100 * BLOCK), 0, joined(bring(bytes), zeros(200 * BLOCK)))
    expect([after.status, after.headers.get('upload-offset')]).toEqual([413, String(BLOCK)])
  })

  test('a link, a checksum, another media type, and an offset that is not the present one', async () => {
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

  test('a disk that fills up keeps what was committed, and the upload goes on with space', async () => {
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

describe('a slice that the client may not know of', () => {
  const BOB = { Authorization: 'Bearer bob-secret' }
  const ANN = { Authorization: 'Bearer ann-secret' }
  const hexOf = (bytes: Bytes): string => `sha256:${Buffer.from(digestOf(bytes)).toString('hex')}`

  test('of a deleted image is refused like one that is not stored, and comes with its bytes', async () => {
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
    // It was stored already and is not stored twice.
    expect(server.slices.freeBytes).toBe(1e9 - unknown.length)
  })

  test('of a deleted image does not come back by reference, whatever else the body names', async () => {
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

  test('of an unfinished upload is known to the one who sends it, in every upload, and to nobody else', async () => {
    await using server = await startUploadServer()
    const [one, two] = [noise(4 * BLOCK, 1), noise(4 * BLOCK, 2)]
    const first = await create(server, 100 * BLOCK, ANN)
    expect((await patch(server, first, 0, body(bring(one)), { ...SLICES, ...ANN })).status).toBe(204)
    const foreign = await create(server, 100 * BLOCK, BOB)
    expect((await patch(server, foreign, 0, body(name(one)), { ...SLICES, ...BOB })).status).toBe(409)
    const second = await create(server, 100 * BLOCK, ANN)
    expect((await patch(server, second, 0, body(name(one), bring(two), name(two)), { ...SLICES, ...ANN })).status).toBe(204)
    // Also after a restart, and what came after it was first asked for.
    await server.restart()
    expect((await patch(server, first, 4 * BLOCK, body(name(two), name(one)), { ...SLICES, ...ANN })).status).toBe(204)
    expect((await patch(server, foreign, 0, body(name(two)), { ...SLICES, ...BOB })).status).toBe(409)
    // An upload that was deleted no longer counts.
    for (const url of [first, second]) expect((await server.ask('DELETE', url, ANN)).status).toBe(204)
    const third = await create(server, 100 * BLOCK, ANN)
    expect((await patch(server, third, 0, body(name(one)), { ...SLICES, ...ANN })).status).toBe(409)
  })

  test('that a body brought is known to the rest of the body, however long it is', async () => {
    await using server = await startUploadServer()
    const slices = Array.from({ length: 5000 }, (_, i) => noise(BLOCK, i))
    const url = await create(server, 4 * 5000 * BLOCK)
    const frames = slices.map((slice) => bring(slice))
    const names = slices.map((slice) => name(slice))
    const answer = await patch(server, url, 0, body(...frames, ...names, ...names.toReversed(), ...names))
    expect([answer.status, answer.headers.get('upload-offset')]).toEqual([204, String(4 * 5000 * BLOCK)])
  }, 30_000)

  test('after a deletion in the middle of a body is refused from then on', async () => {
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

describe('beside others', () => {
  test('a silent body hands its place on, and what it brought counts', async () => {
    await using server = await startUploadServer()
    const slice = noise(16 * BLOCK, 1)
    const url = await create(server, 32 * BLOCK)
    const silent = new TransformStream<Bytes, Bytes>()
    const writer = silent.writable.getWriter()
    const sending = patch(server, url, 0, silent.readable)
    await writer.write(bring(slice))
    await until('the body is being taken', () => server.uploads.stats().receiving === 1)
    const content = noise(500_000, 2)
    const other = await create(server, content.length)
    expect((await patch(server, other, 0, content, OFFSET)).status).toBe(204)
    await writer.write(body(name(slice)))
    await writer.close()
    const answer = await sending
    expect(answer.status).toBe(204)
    expect(contentOf(server, answer).equals(Buffer.concat([slice, slice]))).toBe(true)
  })

  test('HEAD ends a body that another request sends, and tells what it brought', async () => {
    await using server = await startUploadServer()
    const slice = noise(16 * BLOCK, 1)
    const url = await create(server, 32 * BLOCK)
    const silent = new TransformStream<Bytes, Bytes>()
    const writer = silent.writable.getWriter()
    const sending = patch(server, url, 0, silent.readable)
    await writer.write(bring(slice))
    await until('the body is being taken', () => server.uploads.stats().receiving === 1)
    await until('the slice is there', () => server.slices.missing([digestOf(slice)]).length === 0)
    expect(await offsetAt(server, url)).toBe(16 * BLOCK)
    const answer = await sending
    expect([answer.status, answer.headers.get('upload-offset')]).toEqual([204, String(16 * BLOCK)])
    await writer.abort().catch(() => {})
  })
})

test('never makes an offset that was told go back, whichever operation of the disk fails', async () => {
  const slices = Array.from({ length: 6 }, (_, i) => noise((i + 1) * BLOCK, i + 1))
  const content = Buffer.concat(slices)
  const starts = slices.map((_slice, i) => slices.slice(0, i).reduce((sum, { length }) => sum + length, 0))
  for (let failing = 1; failing < 40; failing++) {
    const disk = createFailingDisk(createDisk())
    await using server = await startUploadServer({ disk })
    const url = await create(server, content.length)
    disk.failAfter(failing)
    let told = 0
    for (const [i, slice] of slices.entries()) {
      const answer = await patch(server, url, starts[i] ?? 0, body(bring(slice)))
      if (answer.status !== 204) break
      told = Number(answer.headers.get('upload-offset'))
    }
    const isThrough = told === content.length
    disk.failAfter(undefined)
    await server.restart()
    const offset = await offsetAt(server, url)
    expect(offset).toBeGreaterThanOrEqual(told)
    const rest = slices.filter((_slice, i) => (starts[i] ?? 0) >= offset)
    if (rest.length > 0) expect((await patch(server, url, offset, body(...rest.map((slice) => bring(slice))))).status).toBe(204)
    expect(contentOf(server, await server.ask('HEAD', url)).equals(content)).toBe(true)
    if (isThrough) return
  }
  throw new Error('no run came through: more operations than tried')
}, 60_000)
