// The way of an upload: create, append, finish; and what is refused.

import { describe, expect, test } from 'bun:test'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { problem } from '../../../protocol/problems.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import type { ImagePublisher } from '../../../agent/contract/images.ts'
import type { SpaceState } from '../../../agent/contract/space.ts'
import { createFailingDisk } from '../../support/failing-disk.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { createMemoryPublisher } from '../../support/memory-publisher.ts'
import { startUploadServer } from '../../support/upload-server.ts'
import type { UploadServer } from '../../support/upload-server.ts'
import { until } from '../../support/until.ts'
import { Wire } from '../../conformance/tus/wire.ts'

const OFFSET = { 'Content-Type': 'application/offset+octet-stream' }

function bytes(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(length)
  let state = seed
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    made[i] = state >>> 16
  }
  return made
}

async function create(server: UploadServer, length: number, headers: Record<string, string> = {}): Promise<string> {
  const response = await server.ask('POST', '/v1/uploads', { 'Upload-Length': String(length), ...headers })
  expect(response.status).toBe(201)
  return response.headers.get('location') ?? ''
}

const patch = (server: UploadServer, url: string, offset: number, body: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  server.ask('PATCH', url, { ...OFFSET, 'Upload-Offset': String(offset), ...headers }, body)

describe('an upload', () => {
  test('becomes an image with its last byte, and says which', async () => {
    await using server = await startUploadServer()
    const content = bytes(300_000)
    const url = await create(server, content.length, { 'Upload-Metadata': `filename ${btoa('a.raw')},os ${btoa('Debian')}` })
    expect((await patch(server, url, 0, content.slice(0, 200_000))).headers.get('upload-offset')).toBe('200000')
    const last = await patch(server, url, 200_000, content.slice(200_000))
    expect(last.status).toBe(204)
    const location = last.headers.get('content-location') ?? ''
    const imageId = location.replace('/v1/images/', '')
    expect(server.content(imageId)).toEqual(Buffer.from(content))
    expect(server.publisher.find(imageId)).toMatchObject({ name: 'a.raw', os: 'Debian', length: content.length })
    const head = await server.ask('HEAD', url)
    expect(head.headers.get('content-location')).toBe(location)
    expect(head.headers.get('upload-offset')).toBe('300000')
    expect(head.headers.get('upload-expires')).toBeNull()
    expect((await patch(server, url, 300_000, new Uint8Array(0))).headers.get('content-location')).toBe(location)
    expect(server.publisher.calls).toEqual([imageId])
    expect(server.slices.open).toBe(0)
    expect(server.slices.pinned().size).toBe(0)
  })

  test('tells a durable offset that survives a restart', async () => {
    await using server = await startUploadServer()
    const content = bytes(500_001)
    const url = await create(server, content.length)
    let offset = 0
    for (const length of [1, 100, 65_536, 4096, 100_000]) {
      await patch(server, url, offset, content.slice(offset, offset + length))
      offset += length
      await server.restart()
      expect((await server.ask('HEAD', url)).headers.get('upload-offset')).toBe(String(offset))
    }
    const last = await patch(server, url, offset, content.slice(offset))
    expect(server.content((last.headers.get('content-location') ?? '').slice(11))).toEqual(Buffer.from(content))
  })
})

describe('access', () => {
  test('an uploader sees its own uploads only, an operator all, a viewer none', async () => {
    await using server = await startUploadServer()
    const as = (token: string) => ({ Authorization: `Bearer ${token}` })
    const url = await create(server, 100, as('ann-secret'))
    expect((await server.ask('HEAD', url, as('ann-secret'))).status).toBe(200)
    expect((await server.ask('HEAD', url, as('bob-secret'))).status).toBe(404)
    expect((await patch(server, url, 0, bytes(10), as('bob-secret'))).status).toBe(404)
    expect((await server.ask('DELETE', url, as('bob-secret'))).status).toBe(404)
    expect((await server.ask('HEAD', url, as('admin-secret'))).status).toBe(200)
    expect((await server.ask('HEAD', url, as('viewer-secret'))).status).toBe(403)
    const refused = await server.ask('HEAD', url, { Authorization: null })
    expect(refused.status).toBe(401)
    expect(refused.headers.get('tus-resumable')).toBe('1.0.0')
    const part = await create(server, 10, { ...as('ann-secret'), 'Upload-Concat': 'partial' })
    await patch(server, part, 0, bytes(10), as('ann-secret'))
    expect((await server.ask('POST', '/v1/uploads', { ...as('bob-secret'), 'Upload-Concat': `final;${part}` })).status).toBe(404)
  })

  test('a link makes one upload of bounded length, is kept in its address, and touches no other', async () => {
    await using server = await startUploadServer()
    const link = { Authorization: null }
    const post = (length: number) => server.ask('POST', '/v1/uploads?link=lnk_1', { ...link, 'Upload-Length': String(length) })
    expect((await post(1001)).status).toBe(413)
    const created = await post(1000)
    expect(created.status).toBe(201)
    const url = created.headers.get('location') ?? ''
    expect(url).toEndWith('?link=lnk_1')
    expect((await post(10)).status).toBe(429)
    const content = bytes(1000)
    expect((await patch(server, url, 0, content, link as unknown as Record<string, string>)).status).toBe(204)
    const deferred = await server.ask('POST', '/v1/uploads?link=lnk_2', { ...link, 'Upload-Defer-Length': '1' })
    const late = deferred.headers.get('location') ?? ''
    const send = (length: number) => server.ask('PATCH', late, { ...link, ...OFFSET, 'Upload-Offset': '0' }, bytes(length))
    expect((await send(1001)).status).toBe(413)
    expect((await send(1000)).status).toBe(204)
    const foreign = await create(server, 10)
    expect((await server.ask('HEAD', `${foreign}?link=lnk_1`, link)).status).toBe(404)
  })
})

describe('refusals', () => {
  test('an upload over the space above the reserve gets 507 at its creation and leaves nothing', async () => {
    const state: SpaceState = { totalBytes: 1000, freeBytes: 500, reservedBytes: 100, promisedBytes: 0, availableBytes: 400 }
    const promised = new Map<string, number>()
    const space = {
      state: async () => state,
      promise: async (key: string, wanted: number) => wanted <= 400 && Boolean(promised.set(key, wanted)),
      isBelowReserve: async () => false,
    }
    await using server = await startUploadServer({ space })
    const refused = await server.ask('POST', '/v1/uploads', { 'Upload-Length': '401' })
    expect(refused.status).toBe(507)
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:insufficient-storage', availableBytes: 400, neededBytes: 401 })
    expect(await readdir(server.folder)).toEqual([])
    const url = await create(server, 400)
    expect([...promised.values()]).toContain(400)
    await patch(server, url, 0, bytes(150))
    expect([...promised.values()]).toContain(250)
    await server.ask('DELETE', url)
    expect([...promised.values()].every((wanted) => wanted === 0)).toBe(true)
  })

  test('a disk that fills up in a PATCH gives 507, keeps what was committed, and the upload goes on with space', async () => {
    await using server = await startUploadServer()
    const content = bytes(1_000_000)
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

  test('a store below its reserve takes no more bytes', async () => {
    let isBelow = false
    const state: SpaceState = { totalBytes: 1000, freeBytes: 0, reservedBytes: 100, promisedBytes: 0, availableBytes: 0 }
    const space = { state: async () => state, promise: async () => true, isBelowReserve: async () => isBelow }
    await using server = await startUploadServer({ space })
    const url = await create(server, 1_000_000)
    isBelow = true
    expect((await patch(server, url, 0, bytes(200_000))).status).toBe(507)
  })

  test('a disabled store takes no new upload', async () => {
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

  test('a metadata value that an image cannot have is named', async () => {
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

  test('a creation that is refused for its body leaves no upload', async () => {
    await using server = await startUploadServer()
    const long = new ReadableStream({
      start(controller) {
        controller.enqueue(bytes(11))
        controller.close()
      },
    })
    expect((await server.ask('POST', '/v1/uploads', { 'Upload-Length': '10', ...OFFSET }, long)).status).toBe(413)
    const wrong = { 'Upload-Length': '10', ...OFFSET, 'Upload-Checksum': `sha1 ${btoa('12345678901234567890')}` }
    expect((await server.ask('POST', '/v1/uploads', wrong, bytes(10))).status).toBe(460)
    expect(await readdir(server.folder)).toEqual([])
  })
})

describe('publishing', () => {
  test('that fails is done by the next request, once', async () => {
    await using server = await startUploadServer()
    const content = bytes(100_000)
    const url = await create(server, content.length)
    server.publisher.failure = Object.assign(new Error('no space'), { code: 'ENOSPC' })
    expect((await patch(server, url, 0, content)).status).toBe(507)
    const head = await server.ask('HEAD', url)
    expect(head.headers.get('upload-offset')).toBe('100000')
    expect(head.headers.get('content-location')).toBeNull()
    server.publisher.failure = undefined
    const again = await patch(server, url, 100_000, new Uint8Array(0))
    expect(again.status).toBe(204)
    expect(server.content((again.headers.get('content-location') ?? '').slice(11))).toEqual(Buffer.from(content))
    expect(server.publisher.images.size).toBe(1)
  })

  test('that a crash prevented is done at the next start', async () => {
    let crashAt = 'uploads:before-publish'
    const crashPoint = (name: string): void => {
      if (name === crashAt) throw new Error(`crashed at ${name}`)
    }
    await using server = await startUploadServer({ crashPoint })
    for (const point of ['uploads:before-publish', 'uploads:after-publish', 'uploads:after-journal']) {
      crashAt = point
      const content = bytes(100_000, point.length)
      const url = await create(server, content.length)
      expect((await patch(server, url, 0, content)).status).toBe(500)
      crashAt = ''
      await server.restart()
      const head = await server.ask('HEAD', url)
      expect(head.headers.get('upload-offset')).toBe('100000')
      expect(server.content((head.headers.get('content-location') ?? '').slice(11))).toEqual(Buffer.from(content))
    }
    expect(server.publisher.images.size).toBe(3)
  })

  test('a part is no image, its final upload is', async () => {
    await using server = await startUploadServer()
    const content = bytes(200_001)
    const parts = []
    for (const [from, to] of [
      [0, 99_999],
      [99_999, 200_001],
    ] as const) {
      const url = await create(server, to - from, { 'Upload-Concat': 'partial' })
      expect((await patch(server, url, 0, content.slice(from, to))).headers.get('content-location')).toBeNull()
      parts.push(url)
    }
    expect(server.publisher.images.size).toBe(0)
    const final = await server.ask('POST', '/v1/uploads', { 'Upload-Concat': `final;${parts.join(' ')}`, 'Upload-Metadata': `name ${btoa('whole')}` })
    expect(final.status).toBe(201)
    const imageId = (final.headers.get('content-location') ?? '').slice(11)
    expect(server.content(imageId)).toEqual(Buffer.from(content))
    expect(server.publisher.find(imageId)?.name).toBe('whole')
    for (const url of parts) expect((await server.ask('DELETE', url)).status).toBe(204)
    expect(await rootEntries(server)).toEqual([])
  })
})

/** What gc finds alive: content moves from uploads to images, so it asks in this order. */
async function liveEntries(server: UploadServer) {
  const entries = await rootEntries(server)
  for (const image of server.publisher.images.values()) entries.push(...image.entries)
  return entries
}

async function rootEntries(server: UploadServer) {
  const entries = []
  for await (const root of server.uploads.roots.list()) for await (const entry of root.entries()) entries.push(entry)
  return entries
}

describe('what gc may take', () => {
  test('is nothing of an unfinished upload or a part, at any moment', async () => {
    await using server = await startUploadServer()
    const content = bytes(700_000)
    const url = await create(server, content.length)
    const part = await create(server, 100_000, { 'Upload-Concat': 'partial' })
    await patch(server, part, 0, bytes(100_000, 2))
    let offset = 0
    while (offset < 600_000) {
      await patch(server, url, offset, content.slice(offset, offset + 150_000))
      offset += 150_000
      server.slices.sweep(await rootEntries(server))
      await server.restart()
    }
    const last = await patch(server, url, offset, content.slice(offset))
    expect(server.content((last.headers.get('content-location') ?? '').slice(11))).toEqual(Buffer.from(content))
    const final = await server.ask('POST', '/v1/uploads', { 'Upload-Concat': `final;${part}` })
    expect(server.content((final.headers.get('content-location') ?? '').slice(11))).toEqual(Buffer.from(bytes(100_000, 2)))
  })

  test('is nothing while a journal is damaged', async () => {
    await using server = await startUploadServer()
    const url = await create(server, 500_000)
    await patch(server, url, 0, bytes(300_000))
    const path = join(server.folder, url.split('/').at(-1) ?? '', 'journal')
    const journal = new Uint8Array(await Bun.file(path).arrayBuffer())
    journal[100] = (journal[100] ?? 0) ^ 1
    await Bun.write(path, journal)
    expect(await rootEntries(server).catch((error: Error) => error.message)).toContain('covers 0 of')
    const refused = await patch(server, url, 300_000, bytes(200_000))
    expect(refused.status).toBe(500)
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:data-corrupt' })
  })

  test('is everything of one whose checksum was wrong or that was deleted', async () => {
    await using server = await startUploadServer()
    const url = await create(server, 300_000)
    expect((await patch(server, url, 0, bytes(300_000), { 'Upload-Checksum': `md5 ${btoa('1234567890123456')}` })).status).toBe(460)
    expect(server.slices.pinned().size).toBe(0)
    expect(server.slices.sweep(await rootEntries(server))).toBeGreaterThan(3)
    await patch(server, url, 0, bytes(200_000))
    await server.ask('DELETE', url)
    expect(server.slices.sweep(await rootEntries(server))).toBeGreaterThan(2)
    expect(await readdir(server.folder)).toEqual([])
  })
})

describe('expiry', () => {
  const HOUR = 3_600_000

  test('slides with every PATCH and HEAD, and is never told too late', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock, expiryMs: 24 * HOUR })
    const url = await create(server, 100)
    const expires = async (): Promise<number> => Date.parse((await server.ask('HEAD', url)).headers.get('upload-expires') ?? '')
    for (let hours = 0; hours < 100; hours += 20) {
      expect(await expires()).toBe(clock.nowMs() + 24 * HOUR)
      await server.restart()
      clock.advance(20 * HOUR)
    }
    const patched = await patch(server, url, 0, bytes(10))
    expect(Date.parse(patched.headers.get('upload-expires') ?? '')).toBe(clock.nowMs() + 24 * HOUR)
    clock.advance(24 * HOUR)
    expect((await server.ask('HEAD', url)).status).toBe(410)
    expect((await patch(server, url, 10, bytes(10))).status).toBe(410)
    expect(await server.uploads.expire()).toBe(1)
    expect((await server.ask('HEAD', url)).status).toBe(410)
    expect(await readdir(server.folder)).toEqual([])
    expect(server.events.map((event) => event.type)).toContain('upload.expired')
  })

  test('never takes a finished upload while its image is there', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock, expiryMs: 24 * HOUR })
    const url = await create(server, 100)
    const imageId = ((await patch(server, url, 0, bytes(100))).headers.get('content-location') ?? '').slice(11)
    clock.advance(1000 * HOUR)
    expect(await server.uploads.expire()).toBe(0)
    expect((await server.ask('HEAD', url)).headers.get('content-location')).toBe(`/v1/images/${imageId}`)
    server.publisher.remove(imageId)
    expect(await server.uploads.expire()).toBe(1)
    expect((await server.ask('HEAD', url)).status).toBe(404)
  })

  test('never takes an upload that somebody sends to', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock, expiryMs: HOUR, idleLimitMs: 100 * HOUR })
    const url = await create(server, 100)
    using wire = await Wire.open(server.endpoint)
    const headers = { Authorization: 'Bearer admin-secret', 'Tus-Resumable': '1.0.0', ...OFFSET, 'Upload-Offset': '0' }
    await wire.send({ method: 'PATCH', url: new URL(url, server.endpoint).href, headers, body: bytes(10) }, 100)
    await until('the body is received', () => server.uploads.stats().receiving === 1)
    clock.advance(2 * HOUR)
    expect(await server.uploads.expire()).toBe(0)
  })
})

describe('waiting', () => {
  const send = async (server: UploadServer, url: string, body: Uint8Array<ArrayBuffer>, length: number): Promise<Wire> => {
    const wire = await Wire.open(server.endpoint)
    const headers = { Authorization: 'Bearer admin-secret', 'Tus-Resumable': '1.0.0', ...OFFSET, 'Upload-Offset': '0' }
    await wire.send({ method: 'PATCH', url: new URL(url, server.endpoint).href, headers, body }, length)
    return wire
  }

  test('a turn that is not let go of in ten seconds is answered with 423, and with the upload once it is', async () => {
    const clock = createManualClock()
    const publisher = createMemoryPublisher()
    const held = Promise.withResolvers<void>()
    const publish: ImagePublisher['publish'] = async (image, content) => {
      await held.promise
      return publisher.publish(image, content)
    }
    await using server = await startUploadServer({ clock, publisher: { find: publisher.find, publish } })
    const url = await create(server, 100)
    const finishing = patch(server, url, 0, bytes(100))
    await until('the upload is being published', () => server.uploads.stats().receiving === 0 && server.slices.writtenBytes === 100)
    for (const headers of [{}, { 'Tus-Resumable': null, 'Upload-Draft-Interop-Version': '6' }]) {
      const asking = server.ask('HEAD', url, headers)
      await clock.untilSleeping(1)
      clock.advance(10_000)
      const refused = await asking
      expect([refused.status, refused.headers.get('upload-offset')]).toEqual([423, null])
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    }
    held.resolve()
    expect((await finishing).status).toBe(204)
    expect((await server.ask('HEAD', url)).headers.get('content-location')).toMatch(/^\/v1\/images\/img_/)
  })

  test('a body without bytes for a minute gets 408 with its offset, and every byte starts the minute anew', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock })
    const url = await create(server, 200_000)
    using wire = await send(server, url, bytes(100_000), 200_000)
    await until('the bytes are taken', () => server.slices.writtenBytes === 100_000)
    clock.advance(59_000)
    await wire.write(bytes(70_000))
    await until('more bytes are taken', () => server.slices.writtenBytes >= 170_000)
    clock.advance(59_000)
    expect(server.uploads.stats().receiving).toBe(1)
    clock.advance(2_000)
    const answer = await wire.answer('PATCH')
    expect([answer.status, answer.headers.get('upload-offset'), answer.headers.get('connection')]).toEqual([408, '170000', 'close'])
    expect((await patch(server, url, 170_000, bytes(30_000))).status).toBe(204)
  })
})

describe('stopping', () => {
  test('commits what arrived, answers 503 with the offset, and refuses what comes', async () => {
    await using server = await startUploadServer()
    const url = await create(server, 500_000)
    using wire = await Wire.open(server.endpoint)
    const headers = { Authorization: 'Bearer admin-secret', 'Tus-Resumable': '1.0.0', ...OFFSET, 'Upload-Offset': '0' }
    await wire.send({ method: 'PATCH', url: new URL(url, server.endpoint).href, headers, body: bytes(300_000) }, 500_000)
    await until('the bytes are taken', () => server.slices.writtenBytes >= 300_000)
    await server.uploads.stop()
    const answer = await wire.answer('PATCH')
    expect(answer.status).toBe(503)
    expect(answer.headers.get('upload-offset')).toBe('300000')
    expect((await server.ask('POST', '/v1/uploads', { 'Upload-Length': '10' })).status).toBe(503)
    await server.restart()
    expect((await server.ask('HEAD', url)).headers.get('upload-offset')).toBe('300000')
  })
})

describe('a start', () => {
  test('removes what a crash left half made, and keeps the slices of what it cannot read', async () => {
    await using server = await startUploadServer()
    const url = await create(server, 500_000)
    await patch(server, url, 0, bytes(200_000))
    const id = url.split('/').at(-1) ?? ''
    const other = await create(server, 10)
    await rm(join(server.folder, other.split('/').at(-1) ?? '', 'upload.json'))
    await Bun.write(join(server.folder, id, 'upload.json'), '{"format":1,')
    await server.restart()
    expect(await readdir(server.folder)).toEqual([id])
    expect((await server.ask('HEAD', url)).status).toBe(404)
    expect((await rootEntries(server)).length).toBeGreaterThan(2)
    expect(server.log.lines.some(({ level, message }) => level === 'error' && message.startsWith('upload cannot be read'))).toBe(true)
  })
})

describe('a failing disk', () => {
  test('never makes an offset that was told go back, whichever operation fails', async () => {
    for (let n = 1; n <= 14; n++) {
      const disk = createFailingDisk(createDisk())
      await using server = await startUploadServer({ disk })
      const content = bytes(400_000, n)
      const url = await create(server, content.length)
      let told = 0
      disk.failAfter(n)
      for (let round = 0; round < 4 && told < content.length; round++) {
        const answer = await patch(server, url, told, content.slice(told, told + 100_000))
        if (answer.status !== 204) break
        told = Number(answer.headers.get('upload-offset'))
      }
      disk.failAfter(undefined)
      if (n % 2 === 0) await server.restart()
      let offset = Number((await server.ask('HEAD', url)).headers.get('upload-offset'))
      expect(offset).toBeGreaterThanOrEqual(told)
      server.slices.sweep(await liveEntries(server))
      let location = (await server.ask('HEAD', url)).headers.get('content-location') ?? ''
      while (location === '') {
        const answer = await patch(server, url, offset, content.slice(offset, offset + 150_000))
        expect(answer.status).toBe(204)
        offset = Number(answer.headers.get('upload-offset'))
        location = answer.headers.get('content-location') ?? ''
      }
      expect(server.content(location.slice(11))).toEqual(Buffer.from(content))
    }
  })
})
