// The life cycle of an upload (create, append, complete, publish), and what survives restarts, stops and disk failures.

import { describe, expect, test } from 'bun:test'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Disk, DiskFile } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createFailingDisk } from '../../support/machine/failing-disk.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { create, OFFSET, patch, someBytes } from '../../support/clients/upload-requests.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'
import { until } from '../../support/until.ts'
import { Wire } from '../../conformance/tus/wire.ts'

describe('an upload', () => {
  test('becomes an image with its last byte and returns its location', async () => {
    await using server = await startUploadServer()
    const content = someBytes(300_000)
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

  test('returns a durable offset that survives a restart', async () => {
    await using server = await startUploadServer()
    const content = someBytes(500_001)
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

describe('HEAD of an upload', () => {
  test('does not disturb the append in progress, whose acknowledged offset survives a restart', async () => {
    const disk = createDisk()
    const written = Promise.withResolvers<void>()
    const writeOn = Promise.withResolvers<void>()
    const slow: Disk = {
      ...disk,
      async openWrite(path, mode) {
        const file = await disk.openWrite(path, mode)
        if (!path.endsWith('/journal')) return file
        const write: DiskFile['write'] = async (parts, position) => {
          // The records of the append, after the header.
          if (position > 0) {
            written.resolve()
            await writeOn.promise
          }
          await file.write(parts, position)
        }
        return { ...file, write }
      },
    }
    await using server = await startUploadServer({ disk: slow })
    const url = await create(server, 200_000)
    const sending = patch(server, url, 0, someBytes(100_000))
    await written.promise
    const look = fetch(new URL(url, server.endpoint), { headers: { authorization: 'Bearer admin-secret' }, redirect: 'manual' })
    expect((await look).status).toBe(409)
    writeOn.resolve()
    expect((await sending).headers.get('upload-offset')).toBe('100000')
    expect((await server.ask('HEAD', url)).headers.get('upload-offset')).toBe('100000')
    await server.restart()
    expect((await server.ask('HEAD', url)).headers.get('upload-offset')).toBe('100000')
  })
})

describe('publishing', () => {
  test('that fails is retried by the next request, once', async () => {
    await using server = await startUploadServer()
    const content = someBytes(100_000)
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

  test('that a crash interrupted is completed by the next start', async () => {
    let crashAt = 'uploads:before-publish'
    const crashPoint = (name: string): void => {
      if (name === crashAt) throw new Error(`crashed at ${name}`)
    }
    await using server = await startUploadServer({ crashPoint })
    for (const point of ['uploads:before-publish', 'uploads:after-publish', 'uploads:after-journal']) {
      crashAt = point
      const content = someBytes(100_000, point.length)
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

  test('a part does not become an image, its final upload does', async () => {
    await using server = await startUploadServer()
    const content = someBytes(200_001)
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

/** Returns the live slices. Reads uploads before images, since content moves from uploads to images. */
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

describe('gc', () => {
  test('never deletes slices of an unfinished upload or a part', async () => {
    await using server = await startUploadServer()
    const content = someBytes(700_000)
    const url = await create(server, content.length)
    const part = await create(server, 100_000, { 'Upload-Concat': 'partial' })
    await patch(server, part, 0, someBytes(100_000, 2))
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
    expect(server.content((final.headers.get('content-location') ?? '').slice(11))).toEqual(Buffer.from(someBytes(100_000, 2)))
  })

  test('deletes nothing while a journal is damaged', async () => {
    await using server = await startUploadServer()
    const url = await create(server, 500_000)
    await patch(server, url, 0, someBytes(300_000))
    const path = join(server.folder, url.split('/').at(-1) ?? '', 'journal')
    const journal = new Uint8Array(await Bun.file(path).arrayBuffer())
    journal[100] = (journal[100] ?? 0) ^ 1
    await Bun.write(path, journal)
    expect(await rootEntries(server).catch((error: Error) => error.message)).toContain('covers 0 of')
    const refused = await patch(server, url, 300_000, someBytes(200_000))
    expect(refused.status).toBe(500)
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:data-corrupt' })
  })

  test('runs while an upload is being removed, whose journal is deleted first', async () => {
    const disk = createDisk()
    let seen: unknown
    const removeTree = async (path: string): Promise<void> => {
      await disk.removeTree(path)
      seen = await rootEntries(server).catch((error: Error) => error.message)
    }
    await using server = await startUploadServer({ disk: { ...disk, removeTree } })
    const url = await create(server, 500_000)
    await patch(server, url, 0, someBytes(300_000))
    expect((await server.ask('DELETE', url)).status).toBe(204)
    expect(seen).toEqual([])
  })

  test('deletes the slices of an upload with a wrong checksum and of a deleted upload', async () => {
    await using server = await startUploadServer()
    const url = await create(server, 300_000)
    expect((await patch(server, url, 0, someBytes(300_000), { 'Upload-Checksum': `md5 ${btoa('1234567890123456')}` })).status).toBe(460)
    expect(server.slices.pinned().size).toBe(0)
    expect(server.slices.sweep(await rootEntries(server))).toBeGreaterThan(3)
    await patch(server, url, 0, someBytes(200_000))
    await server.ask('DELETE', url)
    expect(server.slices.sweep(await rootEntries(server))).toBeGreaterThan(2)
    expect(await readdir(server.folder)).toEqual([])
  })
})

describe('expiry', () => {
  const HOUR = 3_600_000

  test('is extended by every PATCH and HEAD, and the time returned is never too late', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock, expiryMs: 24 * HOUR })
    const url = await create(server, 100)
    const expires = async (): Promise<number> => Date.parse((await server.ask('HEAD', url)).headers.get('upload-expires') ?? '')
    for (let hours = 0; hours < 100; hours += 20) {
      expect(await expires()).toBe(clock.nowMs() + 24 * HOUR)
      await server.restart()
      clock.advance(20 * HOUR)
    }
    const patched = await patch(server, url, 0, someBytes(10))
    expect(Date.parse(patched.headers.get('upload-expires') ?? '')).toBe(clock.nowMs() + 24 * HOUR)
    clock.advance(24 * HOUR)
    expect((await server.ask('HEAD', url)).status).toBe(410)
    expect((await patch(server, url, 10, someBytes(10))).status).toBe(410)
    expect(await server.uploads.expire({ dryRun: true })).toEqual([url.slice(-30)])
    expect(await readdir(server.folder)).toEqual([url.slice(-30)])
    expect(await server.uploads.expire()).toEqual([url.slice(-30)])
    expect((await server.ask('HEAD', url)).status).toBe(410)
    expect(await readdir(server.folder)).toEqual([])
    expect(server.events.map((event) => event.type)).toContain('upload.expired')
  })

  test('is at most seven periods after the last byte, regardless of HEAD requests and empty bodies', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock, expiryMs: 24 * HOUR })
    const url = await create(server, 100)
    clock.advance(23 * HOUR)
    await patch(server, url, 0, someBytes(10))
    const lastByteMs = clock.nowMs()
    for (let hours = 20; hours < 7 * 24; hours += 20) {
      clock.advance(20 * HOUR)
      const renewed = hours % 40 === 0 ? await patch(server, url, 10, new Uint8Array(0)) : await server.ask('HEAD', url)
      const endMs = Math.min(clock.nowMs() + 24 * HOUR, lastByteMs + 7 * 24 * HOUR)
      expect(Date.parse(renewed.headers.get('upload-expires') ?? '')).toBe(endMs)
      await server.restart()
    }
    clock.advance(7 * 24 * HOUR - (clock.nowMs() - lastByteMs) - 1)
    expect((await server.ask('HEAD', url)).status).toBe(200)
    clock.advance(1)
    expect((await server.ask('HEAD', url)).status).toBe(410)
  }, 60_000)

  test('never removes a complete upload while its image exists', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock, expiryMs: 24 * HOUR })
    const url = await create(server, 100)
    const imageId = ((await patch(server, url, 0, someBytes(100))).headers.get('content-location') ?? '').slice(11)
    clock.advance(1000 * HOUR)
    expect(await server.uploads.expire()).toEqual([])
    expect((await server.ask('HEAD', url)).headers.get('content-location')).toBe(`/v1/images/${imageId}`)
    server.publisher.remove(imageId)
    expect(await server.uploads.expire()).toHaveLength(1)
    expect((await server.ask('HEAD', url)).status).toBe(404)
  })

  test('never removes an upload while a request appends to it', async () => {
    const clock = createManualClock()
    await using server = await startUploadServer({ clock, expiryMs: HOUR, idleLimitMs: 100 * HOUR })
    const url = await create(server, 100)
    using wire = await Wire.open(server.endpoint)
    const headers = { Authorization: 'Bearer admin-secret', 'Tus-Resumable': '1.0.0', ...OFFSET, 'Upload-Offset': '0' }
    await wire.send({ method: 'PATCH', url: new URL(url, server.endpoint).href, headers, body: someBytes(10) }, 100)
    await until('the body is received', () => server.uploads.stats().receiving === 1)
    clock.advance(2 * HOUR)
    expect(await server.uploads.expire()).toEqual([])
  })
})

describe('stopping', () => {
  test('commits the bytes that arrived, answers 503 with the offset, and refuses new requests', async () => {
    await using server = await startUploadServer()
    const url = await create(server, 500_000)
    using wire = await Wire.open(server.endpoint)
    const headers = { Authorization: 'Bearer admin-secret', 'Tus-Resumable': '1.0.0', ...OFFSET, 'Upload-Offset': '0' }
    await wire.send({ method: 'PATCH', url: new URL(url, server.endpoint).href, headers, body: someBytes(300_000) }, 500_000)
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
  test('removes incomplete uploads that a crash left, and keeps the slices of uploads that it cannot read', async () => {
    await using server = await startUploadServer()
    const url = await create(server, 500_000)
    await patch(server, url, 0, someBytes(200_000))
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
  test('an upload that could not be read at the start is unavailable, not missing, and becomes readable without a restart', async () => {
    const disk = createFailingDisk(createDisk())
    await using server = await startUploadServer({ disk })
    const content = someBytes(200_000, 1)
    const url = await create(server, content.length)
    expect((await patch(server, url, 0, content.slice(0, 100_000))).status).toBe(204)
    // The first operation creates the folder of all uploads, the second is of the journal.
    disk.failAfter(2)
    await server.restart()
    expect((await server.ask('HEAD', url)).status).toBe(503)
    disk.failAfter(undefined)
    expect((await server.ask('HEAD', url)).headers.get('upload-offset')).toBe('100000')
    expect((await patch(server, url, 100_000, content.slice(100_000))).headers.get('content-location')).toStartWith('/v1/images/')
  })

  test('never reduces an acknowledged offset, whichever operation fails', async () => {
    for (let n = 1; n <= 14; n++) {
      const disk = createFailingDisk(createDisk())
      await using server = await startUploadServer({ disk })
      const content = someBytes(400_000, n)
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
