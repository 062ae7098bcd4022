// Uploads by slices: bodies of frames instead of plain bytes, split anywhere, mixed with plain bytes, and next to other requests.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { CODEC_ZSTD, encodeFrameHeader } from '../../../protocol/slices/frames.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createFailingDisk } from '../../support/machine/failing-disk.ts'
import { propertyOptions } from '../../support/properties.ts'
import { until } from '../../support/until.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import { BLOCK, OFFSET, noise, digestOf, bring, name, zeros, joined, body, create, patch, offsetAt, know, contentOf } from './slice-bodies.ts'
import type { Bytes } from './slice-bodies.ts'

describe('a body of slices', () => {
  test('contains missing slices, references stored ones, and becomes an ordinary image', async () => {
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

  test('produces the bytes sent, for any stored slices, broken connections, splits and mixes with plain bytes', async () => {
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

  test('without an end frame counts as truncated, and its complete frames are kept', async () => {
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

  test('with many references is committed in parts', async () => {
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

describe('with concurrent requests', () => {
  test('a silent body releases its slot, and its bytes are kept', async () => {
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

  test('HEAD ends the body of another request and returns the offset with its bytes', async () => {
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

test('never reduces an acknowledged offset, whichever disk operation fails', async () => {
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
