// Concatenation at its bounds (parts, repetitions, entries and space), and final uploads that cannot be published.

import { describe, expect, test } from 'bun:test'
import { appendFile, readdir, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeEndFrame, encodeReferenceFrame } from '../../../protocol/slices/frames.ts'
import { MANIFEST_ENTRY_BYTES } from '../../../protocol/slices/manifest.ts'
import { parseConcat } from '../../../agent/uploads/concatenation.ts'
import { ENTRY_BYTES } from '../../../agent/uploads/record/journal-codec.ts'
import type { ShareOrder } from '../../../agent/contract/space.ts'
import { problem } from '../../../protocol/problems.ts'
import { until } from '../../support/until.ts'
import { create, OFFSET, patch, someBytes } from '../../support/clients/upload-requests.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'

const SLICE = 64 * 1024
const SLICES = { 'Content-Type': 'application/vnd.slipway.slices' }
const entryBytes = ENTRY_BYTES + MANIFEST_ENTRY_BYTES

/** Creates a part that references one slice of the store a number of times. Returns its path. */
async function referencePart(server: UploadServer, count: number): Promise<string> {
  const slice = someBytes(SLICE)
  const known = await create(server, SLICE, { 'Upload-Concat': 'partial' })
  expect((await patch(server, known, 0, slice)).status).toBe(204)
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', slice))
  const part = await create(server, count * SLICE, { 'Upload-Concat': 'partial' })
  const frames = [...Array.from({ length: count }, () => encodeReferenceFrame(digest, SLICE)), encodeEndFrame()]
  expect((await patch(server, part, 0, new Uint8Array(Buffer.concat(frames)), SLICES)).status).toBe(204)
  return part
}

const concatenate = (server: UploadServer, parts: readonly string[]) => server.ask('POST', '/v1/uploads', { 'Upload-Concat': `final;${parts.join(' ')}` })
const imageOf = (response: Response): string => (response.headers.get('content-location') ?? '').split('/').at(-1) ?? ''
const finalIds = async (server: UploadServer, ...parts: string[]): Promise<string[]> =>
  (await readdir(server.folder)).filter((id) => !parts.some((part) => part.endsWith(id)))

describe('Upload-Concat', () => {
  const url = (i: number): string => `/v1/uploads/upl_${String(i).padStart(26, '0')}`

  test('names 1,000 parts and no more', () => {
    const list = (count: number): string => `final;${Array.from({ length: count }, (_, i) => url(i)).join(' ')}`
    expect(parseConcat(list(1000))).toMatchObject({ kind: 'final', parts: { length: 1000 } })
    expect(() => parseConcat(list(1001))).toThrow('names 1001 parts; the limit is 1000.')
  }, 60_000)

  test('names one part 8 times and no more', () => {
    const list = (count: number): string => `final;${Array.from({ length: count }, () => url(1)).join(' ')} ${url(2)}`
    expect(parseConcat(list(8))).toMatchObject({ kind: 'final', parts: { length: 9 } })
    expect(() => parseConcat(list(9))).toThrow('more than 8 times')
  }, 60_000)
})

describe('a final upload', () => {
  test('can have as many entries as an image; one more is refused before anything is written', async () => {
    await using server = await startUploadServer({ entriesMax: 40 })
    const five = await referencePart(server, 5)
    const whole = await concatenate(
      server,
      Array.from({ length: 8 }, () => five),
    )
    expect(whole.status).toBe(201)
    expect(server.publisher.images.get(imageOf(whole))?.entries).toHaveLength(40)
    const single = await create(server, 1, { 'Upload-Concat': 'partial' })
    await patch(server, single, 0, someBytes(1))
    const before = await readdir(server.folder)
    const refused = await concatenate(server, [...Array.from({ length: 8 }, () => five), single])
    expect(refused.status).toBe(413)
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:payload-too-large', limit: 40, detail: expect.stringContaining('41 slices') })
    expect(await readdir(server.folder)).toEqual(before)
  }, 60_000)

  test('requires space for its journal and manifest, and is refused without it before anything is written', async () => {
    const promised = new Map<string, number>()
    let available = Number.MAX_SAFE_INTEGER
    const space = {
      state: async () => ({ totalBytes: 1e12, freeBytes: available, reservedBytes: 0, promisedBytes: 0, availableBytes: available }),
      promise: async (key: string, bytes: number) => Boolean(promised.set(key, bytes)),
      promiseShare: async ({ key, bytes, fitting }: ShareOrder) => fitting <= available && Boolean(promised.set(key, bytes)),
      isBelowReserve: async () => false,
    }
    await using server = await startUploadServer({ space })
    const part = await referencePart(server, 100)
    const before = await readdir(server.folder)
    available = 800 * entryBytes - 1
    const refused = await concatenate(
      server,
      Array.from({ length: 8 }, () => part),
    )
    expect(refused.status).toBe(507)
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:insufficient-storage', neededBytes: 800 * entryBytes })
    expect(await readdir(server.folder)).toEqual(before)
    available++
    promised.clear()
    expect(
      (
        await concatenate(
          server,
          Array.from({ length: 8 }, () => part),
        )
      ).status,
    ).toBe(201)
    expect(new Set(promised.values())).toEqual(new Set([0]))
  }, 60_000)

  test('that cannot be published is refused and removed, since no client has its URL', async () => {
    await using server = await startUploadServer()
    const part = await referencePart(server, 3)
    const before = await readdir(server.folder)
    server.publisher.failure = problem('insufficient-storage', 'The disk of the store is full.')
    expect((await concatenate(server, [part])).status).toBe(507)
    expect(await readdir(server.folder)).toEqual(before)
    server.publisher.failure = undefined
    expect((await concatenate(server, [part])).status).toBe(201)
  }, 60_000)
})

describe('an upload by slices', () => {
  test('can have as many entries as an image; those before one entry too many are kept', async () => {
    await using server = await startUploadServer({ entriesMax: 10 })
    const part = await referencePart(server, 10)
    expect((await server.ask('HEAD', part)).headers.get('upload-offset')).toBe(String(10 * SLICE))
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', someBytes(SLICE)))
    const long = await create(server, 11 * SLICE, { 'Upload-Concat': 'partial' })
    const names = (count: number) =>
      new Uint8Array(Buffer.concat([...Array.from({ length: count }, () => encodeReferenceFrame(digest, SLICE)), encodeEndFrame()]))
    expect((await patch(server, long, 0, names(10), SLICES)).status).toBe(204)
    const refused = await patch(server, long, 10 * SLICE, names(1), SLICES)
    expect([refused.status, refused.headers.get('upload-offset')]).toEqual([413, String(10 * SLICE)])
  }, 60_000)
})

describe('a start', () => {
  test('does not wait for an upload that cannot be published, reports it once, and publishes it when possible', async () => {
    const held = Promise.withResolvers<void>()
    await using server = await startUploadServer()
    server.publisher.failure = problem('insufficient-storage', 'The disk of the store is full.')
    const url = await create(server, 100)
    expect((await patch(server, url, 0, someBytes(100))).status).toBe(507)
    const { publish } = server.publisher
    let attempts = 0
    server.publisher.publish = async (...order) => {
      attempts++
      await held.promise
      return publish.apply(server.publisher, order)
    }
    await server.restart()
    await until('the upload is tried', () => attempts === 1)
    // The agent serves while the publication is in progress.
    await create(server, 5)
    held.resolve()
    await server.uploads.settled()
    const waiting = server.events.filter(({ type }) => type === 'upload.waiting')
    expect(waiting).toHaveLength(1)
    expect(waiting[0]?.message).toContain('The disk of the store is full.')
    expect((await server.ask('HEAD', url)).headers.get('content-location')).toBeNull()
    server.publisher.failure = undefined
    await server.restart()
    await server.uploads.settled()
    expect((await server.ask('HEAD', url)).headers.get('content-location')).toMatch(/^\/v1\/images\/img_/)
  }, 60_000)

  test('creates an image in error from an upload with more entries than an image can have', async () => {
    await using server = await startUploadServer()
    const part = await referencePart(server, 20)
    server.publisher.failure = new Error('killed')
    const url = await create(server, 30 * SLICE)
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', someBytes(SLICE)))
    const frames = [...Array.from({ length: 30 }, () => encodeReferenceFrame(digest, SLICE)), encodeEndFrame()]
    expect((await patch(server, url, 0, new Uint8Array(Buffer.concat(frames)), SLICES)).status).toBe(500)
    server.publisher.failure = undefined
    await server.restart({ entriesMax: 25 })
    await server.uploads.settled()
    const answer = await server.ask('HEAD', url)
    const image = server.publisher.images.get(imageOf(answer))?.image
    expect(image).toMatchObject({ status: 'error', statusReason: expect.stringContaining('30 slices'), length: 30 * SLICE })
    expect(image?.formatDetails?.refusal).toBe('payload-too-large')
    expect(await readdir(join(server.folder, url.split('/').at(-1) ?? ''))).toEqual(['upload.json'])
    expect((await server.ask('HEAD', part)).status).toBe(200)
  }, 60_000)

  test('removes a final upload with an incomplete journal, since no client has its URL', async () => {
    await using server = await startUploadServer()
    const part = await referencePart(server, 5)
    const before = await readdir(server.folder)
    server.publisher.failure = new Error('killed')
    const publisher = server.publisher
    // A crash prevents the rollback of the failed creation.
    publisher.find = () => ({}) as never
    expect((await concatenate(server, [part])).status).toBe(500)
    const [final] = await finalIds(server, ...before)
    const journal = join(server.folder, final ?? '', 'journal')
    await truncate(journal, 100)
    await appendFile(journal, 'torn')
    publisher.failure = undefined
    publisher.find = () => undefined
    await server.restart()
    await server.uploads.settled()
    expect(await readdir(server.folder)).toEqual(before)
    expect(publisher.images.size).toBe(0)
  }, 60_000)
})

describe('a journal that is damaged while the agent runs', () => {
  test('reduces the offset to the undamaged part, and turns a final upload into an image in error', async () => {
    await using server = await startUploadServer()
    const part = await referencePart(server, 5)
    const before = await readdir(server.folder)
    server.publisher.failure = new Error('not now')
    const { find } = server.publisher
    server.publisher.find = () => ({}) as never
    expect((await concatenate(server, [part])).status).toBe(500)
    const url = await create(server, 3 * SLICE)
    expect((await patch(server, url, 0, someBytes(3 * SLICE))).status).toBe(500)
    server.publisher.failure = undefined
    server.publisher.find = find
    const finals = await finalIds(server, ...before)
    for (const id of finals) await truncate(join(server.folder, id, 'journal'), 60)
    const [final] = finals.filter((id) => !url.endsWith(id))
    // The first request detects the damage, and the next one sees the remaining bytes.
    await server.ask('HEAD', url)
    expect((await server.ask('HEAD', url)).headers.get('upload-offset')).toBe('0')
    expect((await patch(server, url, 0, someBytes(3 * SLICE), OFFSET)).status).toBe(204)
    await server.ask('HEAD', `/v1/uploads/${final}`)
    const answer = await server.ask('HEAD', `/v1/uploads/${final}`)
    expect(server.publisher.images.get(imageOf(answer))?.image).toMatchObject({
      status: 'error',
      formatDetails: { refusal: 'data-corrupt' },
      statusReason: expect.stringContaining('damaged after byte 0'),
    })
  }, 60_000)
})
