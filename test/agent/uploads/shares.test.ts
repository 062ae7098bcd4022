// Quotas: how much of the slots and of the space one creator can use. Each test has two creators, of which one uses all it can.

import { describe, expect, test } from 'bun:test'
import { createSpace } from '../../../agent/system/space.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { create, patch, someBytes } from '../../support/clients/upload-requests.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import type { UploadServer } from '../../support/agents/upload-server.ts'

const MIB = 1024 * 1024
const ann = { Authorization: 'Bearer ann-secret' }
const bob = { Authorization: 'Bearer bob-secret' }

const post = (server: UploadServer, headers: Record<string, string | null>, length = 10, path = '/v1/uploads') =>
  server.ask('POST', path, { 'Upload-Length': String(length), ...headers })
const statuses = async (responses: readonly Promise<Response>[]): Promise<number[]> =>
  (await Promise.all(responses)).map(({ status }) => status).toSorted((a, b) => a - b)
const times = (count: number, status: number): number[] => Array.from({ length: count }, () => status)

describe('slots', () => {
  const quotaLimits = { store: 9, creator: 5, links: 2 }

  test('a creator at its quota gets 429, even for concurrent requests, and another creator can continue', async () => {
    await using server = await startUploadServer({ quotaLimits })
    expect(await statuses(Array.from({ length: 12 }, () => post(server, ann)))).toEqual([...times(5, 201), ...times(7, 429)])
    const refused = await post(server, ann)
    expect(await refused.json()).toMatchObject({
      type: 'urn:slipway:problem:limit-reached',
      detail: 'The token already has 5 unfinished uploads, which is its limit.',
    })
    const url = await create(server, 10, bob)
    expect((await patch(server, url, 0, someBytes(10), bob)).status).toBe(204)
    // The total of the store is unchanged.
    expect(await statuses(Array.from({ length: 5 }, () => post(server, bob)))).toEqual([...times(4, 201), 429])
  }, 60_000)

  test('completing and deleting uploads releases slots, also after a restart; a part keeps its slot', async () => {
    await using server = await startUploadServer({ quotaLimits })
    const urls: string[] = []
    for (let i = 0; i < 4; i++) urls.push(await create(server, 10, ann))
    const part = await create(server, 10, { ...ann, 'Upload-Concat': 'partial' })
    await patch(server, part, 0, someBytes(10), ann)
    await server.restart()
    expect((await post(server, ann)).status).toBe(429)
    await patch(server, urls[0] ?? '', 0, someBytes(10), ann)
    expect((await post(server, ann)).status).toBe(201)
    expect((await post(server, ann)).status).toBe(429)
    await server.ask('DELETE', part, ann)
    expect((await post(server, ann)).status).toBe(201)
  }, 60_000)

  test('a refused creation uses no slot', async () => {
    await using server = await startUploadServer({ quotaLimits, maxLength: 100 })
    for (let i = 0; i < 6; i++) expect((await post(server, ann, 101)).status).toBe(413)
    for (let i = 0; i < 6; i++) expect((await post(server, { ...ann, 'Upload-Metadata': `kind ${btoa('floppy')}` })).status).toBe(400)
    expect((await post(server, ann)).status).toBe(201)
  }, 60_000)

  test('uploads by links count towards the quota of the token that created the links, and leave it most of its slots', async () => {
    await using server = await startUploadServer({ quotaLimits })
    const byLink = (i: number) => post(server, { Authorization: null }, 10, `/v1/uploads?link=lnk_${i}`)
    expect(await statuses([1, 2, 3].map(byLink))).toEqual([201, 201, 429])
    expect(await statuses(Array.from({ length: 4 }, () => post(server, ann)))).toEqual([201, 201, 201, 429])
    // A refused link can still be used.
    await server.ask('DELETE', (await byLink(1)).headers.get('location') ?? '/v1/uploads/none', { Authorization: null })
  }, 60_000)
})

describe('space', () => {
  const totalBytes = 8 * MIB

  /** A server on a disk of 8 MiB that fills as slices are written. */
  async function startOnSmallDisk(): Promise<UploadServer> {
    let server: UploadServer | undefined
    const disk = { space: async () => ({ totalBytes, freeBytes: totalBytes - (server?.slices.writtenBytes ?? 0) }) }
    server = await startUploadServer({ space: createSpace({ disk, clock: createManualClock(), mount: '/', reservedBytes: () => 0 }) })
    return server
  }

  test('one upload can use all the space of an empty store', async () => {
    await using server = await startOnSmallDisk()
    expect((await post(server, ann, totalBytes + 1)).status).toBe(507)
    const url = await create(server, totalBytes, ann)
    for (let at = 0; at < totalBytes; at += MIB) expect((await patch(server, url, at, someBytes(MIB, at + 1), ann)).status).toBe(204)
    expect((await server.ask('HEAD', url, ann)).headers.get('content-location')).toMatch(/^\/v1\/images\//)
  }, 60_000)

  test('an upload that declares all free space leaves half of it to others; it is refused when the disk is full, and keeps the bytes that arrived', async () => {
    await using server = await startOnSmallDisk()
    const huge = await create(server, totalBytes, ann)
    for (let i = 0; i < 20; i++) expect([201, 507]).toContain((await post(server, ann, totalBytes)).status)
    expect((await patch(server, huge, 0, someBytes(3 * MIB), ann)).status).toBe(204)
    const url = await create(server, MIB, bob)
    const refused = await patch(server, huge, 3 * MIB, someBytes(5 * MIB), ann)
    expect([refused.status, refused.headers.get('upload-offset')]).toEqual([507, String(3 * MIB)])
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:insufficient-storage' })
    expect((await patch(server, url, 0, someBytes(MIB, 7), bob)).status).toBe(204)
    expect((await server.ask('HEAD', huge, ann)).headers.get('upload-offset')).toBe(String(3 * MIB))
  }, 60_000)

  test('an upload of deferred length uses no space reserved for another upload', async () => {
    await using server = await startOnSmallDisk()
    const url = await create(server, 4 * MIB, bob)
    const deferred = await server.ask('POST', '/v1/uploads', { ...ann, 'Upload-Defer-Length': '1' })
    const late = deferred.headers.get('location') ?? ''
    for (let at = 0; at < 4 * MIB; at += MIB) expect((await patch(server, late, at, someBytes(MIB, at + 1), ann)).status).toBe(204)
    expect((await patch(server, late, 4 * MIB, someBytes(MIB, 3), ann)).status).toBe(507)
    expect((await patch(server, late, 4 * MIB, new Uint8Array(0), { ...ann, 'Upload-Length': String(5 * MIB) })).status).toBe(507)
    expect((await server.ask('HEAD', late, ann)).headers.get('upload-offset')).toBe(String(4 * MIB))
    expect((await patch(server, url, 0, someBytes(4 * MIB, 9), bob)).status).toBe(204)
  }, 60_000)
})
