// Requests that meet an upload at its edges: as it expires, while the agent stops, and after it was cancelled.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import type { Actor } from '../../../agent/contract/access.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { isHeld } from '../../../agent/uploads/find-upload.ts'
import { Journal } from '../../../agent/uploads/record/journal.ts'
import { startUploadServer } from '../../support/agents/upload-server.ts'
import { create, patch, someBytes } from '../../support/clients/upload-requests.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { until } from '../../support/until.ts'
import { uploadFile } from './record/upload-file-of.ts'

const HOUR = 3_600_000
const ADMIN: Actor = { name: 'root', role: 'admin', tokenId: 'tok_1' }
const idOf = (url: string): string => url.split('/').at(-1) ?? ''

test('an upload is gone for its client at the millisecond at which it expires', async () => {
  const clock = createManualClock()
  await using server = await startUploadServer({ clock, expiryMs: HOUR })
  const id = idOf(await create(server, 10))
  clock.advance(HOUR - 1)
  expect((await server.uploads.peek(id, ADMIN)).offset).toBe(0)
  expect([...server.uploads.inProgress.all()].map(({ expiresAt }) => expiresAt)).toEqual(['2026-01-01T01:00:00.000Z'])
  clock.advance(1)
  await expect(server.uploads.peek(id, ADMIN)).rejects.toThrow(`Upload ${id} expired.`)
  expect([...server.uploads.inProgress.all()]).toEqual([])
})

test('an agent that stops creates no upload', async () => {
  await using server = await startUploadServer()
  await server.uploads.stop()
  const answer = await server.ask('POST', '/v1/uploads', { 'Upload-Length': '10' })
  expect([answer.status, answer.headers.get('retry-after'), await readdir(server.folder)]).toEqual([503, '5', []])
})

test('a stop waits until the bytes that arrived are durable', async () => {
  const real = createDisk()
  const syncing = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const openWrite: typeof real.openWrite = async (path, mode) => {
    const file = await real.openWrite(path, mode)
    const sync = async (): Promise<void> => {
      syncing.resolve()
      await goOn.promise
      await file.sync()
    }
    return path.endsWith('/journal') ? { ...file, sync } : file
  }
  await using server = await startUploadServer({ disk: { ...real, openWrite } })
  const url = await create(server, 1000)
  const sent = patch(server, url, 0, someBytes(10))
  await syncing.promise
  let isStopped = false
  const stopped = server.uploads.stop().then(() => (isStopped = true))
  await Bun.sleep(0)
  expect(isStopped).toBe(false)
  goOn.resolve()
  await stopped
  await sent
  await server.restart()
  expect((await server.uploads.peek(idOf(url), ADMIN)).offset).toBe(10)
})

describe('cancelling', () => {
  test('removes an upload, and leaves one that is an image', async () => {
    await using server = await startUploadServer()
    const [first, second] = [await create(server, 10), await create(server, 10)]
    await patch(server, second, 0, someBytes(10))
    expect([await server.uploads.cancel(idOf(first), ADMIN), await server.uploads.cancel(idOf(second), ADMIN)]).toEqual([true, false])
    expect([first, second].map((url) => server.uploads.presence(idOf(url)))).toEqual(['absent', 'published'])
  })

  test('by the image removes the upload that would become it', async () => {
    await using server = await startUploadServer()
    const id = idOf(await create(server, 10))
    const imageId = [...server.uploads.inProgress.images()][0]?.image.id ?? ''
    expect(await server.uploads.inProgress.cancelImage(imageId, ADMIN)).toEqual({ kind: 'cancelled' })
    expect([server.uploads.presence(id), await server.uploads.inProgress.cancelImage(imageId, ADMIN)]).toEqual(['absent', { kind: 'absent' }])
  })
})

test('an upload that an import fills is held only while its task is active', () => {
  const internal = { taskId: 'tsk_1', source: { kind: 'url', url: null, filename: null, device: null }, validator: null } as const
  const journal = Journal.empty({ disk: createDisk(), random: (length) => new Uint8Array(length) }, '/none')
  const held = (isTaskActive: ((id: string) => boolean) | undefined, changes = {}): boolean =>
    isHeld(isTaskActive ? { isTaskActive } : {}, { file: uploadFile({ internal, ...changes }), journal })
  expect(held((id) => id === 'tsk_1')).toBe(true)
  expect(held(() => false)).toBe(false)
  expect(held(undefined)).toBe(false)
  expect(held(() => true, { internal: null })).toBe(false)
  expect(held(() => true, { publishedAtMs: 5 })).toBe(false)
})

test('four bodies with a checksum are read into slices at a time, and the fifth waits', async () => {
  await using server = await startUploadServer({ concurrency: 16 })
  const senders: ReadableStreamDefaultController<Uint8Array>[] = []
  const answers: Promise<Response>[] = []
  for (let i = 0; i < 5; i++) {
    const url = await create(server, 200_000)
    const body = new ReadableStream<Uint8Array>({ start: (sender) => void senders.push(sender) })
    const checksum = `sha1 ${Buffer.alloc(20).toString('base64')}`
    const headers = { 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': '0', 'Upload-Checksum': checksum }
    answers.push(server.ask('PATCH', url, headers, body))
    senders[i]?.enqueue(someBytes(100_000, i))
    await until('its body is being read', () => server.uploads.stats().receiving === i + 1 && (i < 4 ? server.slices.open === i + 1 : true))
  }
  await until('the fifth waits', () => server.uploads.stats().waiting === 1)
  expect(server.slices.open).toBe(4)
  for (const sender of senders) sender.close()
  await Promise.all(answers)
  expect(server.uploads.stats()).toEqual({ unfinished: 5, receiving: 0, waiting: 0 })
})

test('a part that has all its bytes leaves no file open', async () => {
  const real = createDisk()
  const open = new Set<object>()
  const openWrite: typeof real.openWrite = async (path, mode) => {
    const file = await real.openWrite(path, mode)
    if (!path.endsWith('/journal')) return file
    open.add(file)
    const close = async (): Promise<void> => {
      await file.close()
      open.delete(file)
    }
    return { ...file, close, [Symbol.asyncDispose]: close }
  }
  await using server = await startUploadServer({ disk: { ...real, openWrite } })
  const part = await create(server, 1000, { 'Upload-Concat': 'partial' })
  await patch(server, part, 0, someBytes(1000))
  const whole = await create(server, 1000)
  await patch(server, whole, 0, someBytes(1000))
  expect([server.publisher.images.size, open.size]).toEqual([1, 0])
})
