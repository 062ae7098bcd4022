// Uploads as tasks: what operators see of them in the list of tasks, and how they cancel one.

import { describe, expect, test } from 'bun:test'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { startUploadServer, TOKENS } from '../../support/agents/upload-server.ts'
import { create, patch, someBytes } from '../../support/clients/upload-requests.ts'

const NOON = Date.parse('2026-03-01T12:00:00.000Z')
const admin = TOKENS['admin-secret'] ?? { name: 'root', role: 'admin' }
const ann = { Authorization: 'Bearer ann-secret' }

async function start() {
  const clock = createManualClock(NOON)
  return { clock, server: await startUploadServer({ clock, isTaskActive: (id) => id === 'tsk_import' }) }
}

const idOf = (url: string): string => url.split('/').at(-1) ?? ''
/** The task of an upload has its id, with another prefix. */
const taskIdOf = (url: string): string => idOf(url).replace('upl_', 'tsk_')

describe('the task of an upload', () => {
  test('runs while bytes arrive, and waits ten seconds after the last one', async () => {
    const { clock, server } = await start()
    await using _server = server
    const url = await create(server, 1000, { ...ann, 'Upload-Metadata': `name ${btoa('disk')}` })
    await patch(server, url, 0, someBytes(100), ann)
    const [task, ...others] = server.uploads.liveTasks.list()
    expect(others).toEqual([])
    const imageId = [...server.uploads.expectedImages()][0]?.id
    expect(task).toEqual({
      id: taskIdOf(url),
      kind: 'upload',
      state: 'running',
      progress: { done: 100, total: 1000, unit: 'bytes', rate: 0, etaSeconds: null },
      subject: imageId ?? '',
      createdBy: 'ann',
      createdAt: '2026-03-01T12:00:00.000Z',
      endedAt: null,
      detail: '100 B of 1.0 kB have arrived. It becomes an image when the last byte has arrived.',
      result: { uploadId: idOf(url) },
    })
    clock.advance(10_000)
    expect(server.uploads.liveTasks.find(taskIdOf(url))?.state).toBe('queued')
  })

  test('has succeeded once the image is there', async () => {
    const { clock, server } = await start()
    await using _server = server
    const url = await create(server, 10, ann)
    clock.advance(5000)
    const done = await patch(server, url, 0, someBytes(10), ann)
    const imageId = (done.headers.get('content-location') ?? '').slice('/v1/images/'.length)
    expect([...server.uploads.liveTasks.list()]).toEqual([])
    expect(server.uploads.liveTasks.find(taskIdOf(url))).toEqual({
      id: taskIdOf(url),
      kind: 'upload',
      state: 'succeeded',
      progress: { done: 1, total: 1, unit: 'uploads', rate: 0, etaSeconds: 0 },
      subject: imageId,
      createdBy: 'ann',
      createdAt: '2026-03-01T12:00:00.000Z',
      endedAt: '2026-03-01T12:00:05.000Z',
      result: { uploadId: idOf(url), imageId },
    })
  })

  test('is cancelled with the upload', async () => {
    const { clock, server } = await start()
    await using _server = server
    const url = await create(server, 10, ann)
    clock.advance(1000)
    const task = server.uploads.liveTasks.find(taskIdOf(url))
    if (!task) throw new Error('the upload has no task')
    expect(await server.uploads.liveTasks.cancel(task, admin)).toMatchObject({ id: taskIdOf(url), state: 'cancelled', endedAt: '2026-03-01T12:00:01.000Z' })
    expect(server.uploads.liveTasks.find(taskIdOf(url))).toBeUndefined()
    expect((await server.ask('HEAD', url, ann)).status).toBe(404)
    expect(server.events.map(({ type, actor }) => [type, actor])).toEqual([['upload.deleted', 'root']])
  })

  test('does not exist for a part, for an upload that an import fills, and for one that does not exist', async () => {
    const { server } = await start()
    await using _server = server
    const part = await create(server, 10, { ...ann, 'Upload-Concat': 'partial' })
    const id = 'upl_0000000000000000000000000a'
    await server.uploads.internal.create({
      id,
      imageId: 'img_0000000000000000000000000a',
      actor: admin,
      draft: { name: 'imported', description: '' },
      source: { kind: 'url', url: 'http://source/disk.raw', filename: 'disk.raw', device: null },
      taskId: 'tsk_import',
    })
    expect([...server.uploads.liveTasks.list()]).toEqual([])
    for (const taskId of [taskIdOf(part), id.replace('upl_', 'tsk_'), 'tsk_0000000000000000000000000b'])
      expect(server.uploads.liveTasks.find(taskId)).toBeUndefined()
  })
})
