// The life of an image through the HTTP interface of a real agent, with the tokens of two people and of an operator.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Role } from '../../../protocol/access.ts'
import type { Image } from '../../../protocol/images/image.ts'
import type { Task } from '../../../protocol/task.ts'
import type { Upload } from '../../../protocol/upload.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

let folder: TemporaryFolder
let agent: AgentProcess
const secrets = new Map<string, string>()

beforeAll(async () => {
  folder = await createTemporaryFolder()
  agent = await startAgent(folder.path)
  const people: [string, Role][] = [
    ['ann', 'uploader'],
    ['bob', 'uploader'],
    ['vic', 'viewer'],
    ['ops', 'operator'],
  ]
  for (const [name, role] of people) secrets.set(name, (await agent.client.tokens.create({ name, role })).token)
})

afterAll(async () => {
  await agent[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

function ask(
  who: string,
  method: string,
  path: string,
  options: { headers?: Record<string, string>; body?: string | Uint8Array<ArrayBuffer> } = {},
): Promise<Response> {
  const authorization = who === 'admin' ? agent.headers()['authorization'] : `Bearer ${secrets.get(who)}`
  return fetch(new URL(path, agent.url), {
    method,
    headers: { authorization: authorization ?? '', ...options.headers },
    ...(options.body !== undefined && { body: options.body }),
  })
}

async function listed<Item = Image>(who: string, path: string): Promise<Item[]> {
  const response = await ask(who, 'GET', path)
  expect(response.status).toBe(200)
  return ((await response.json()) as { items: Item[] }).items
}

async function begin(who: string, name: string, length = 1000): Promise<string> {
  const headers = { 'Tus-Resumable': '1.0.0', 'Upload-Length': String(length), 'Upload-Metadata': `name ${btoa(name)}` }
  const response = await ask(who, 'POST', '/v1/uploads', { headers })
  expect(response.status).toBe(201)
  return response.headers.get('location') ?? ''
}

async function send(who: string, url: string, offset: number, bytes: number): Promise<string | null> {
  const headers = { 'Tus-Resumable': '1.0.0', 'Upload-Offset': String(offset), 'Content-Type': 'application/offset+octet-stream' }
  const response = await ask(who, 'PATCH', url, { headers, body: new Uint8Array(bytes).fill(7) })
  expect(response.status).toBe(204)
  return response.headers.get('content-location')
}

async function problemOf(response: Response): Promise<[number, string]> {
  const { type } = (await response.json()) as { type: string }
  return [response.status, type.replace('urn:slipway:problem:', '')]
}

describe('an upload', () => {
  test('is an image from its first request, under the id that it keeps', async () => {
    const url = await begin('ann', 'life-1')
    const [image] = await listed('vic', '/v1/images?name=life-1')
    expect(image).toMatchObject({ status: 'uploading', length: 1000, manifestDigest: null, source: { uploadId: url.split('/').at(-1) } })
    expect(image?.statusReason).toContain('0 B of 1.0 kB have arrived')
    const id = image?.id ?? ''
    expect(await listed('vic', '/v1/images?status=uploading')).toHaveLength(1)
    expect(await listed('vic', '/v1/images?status=available&name=life-1')).toEqual([])
    expect(await problemOf(await ask('vic', 'GET', `/v1/images/${id}/content`))).toEqual([409, 'wrong-status'])
    expect(await problemOf(await ask('vic', 'GET', `/v1/images/${id}/manifest`))).toEqual([409, 'wrong-status'])
    expect(await problemOf(await ask('ops', 'PATCH', `/v1/images/${id}`, { body: '{"name":"other"}' }))).toEqual([409, 'wrong-status'])
    await send('ann', url, 0, 400)
    expect(await (await ask('vic', 'GET', `/v1/images/life-1`)).json()).toMatchObject({ id, status: 'uploading' })
    expect(await send('ann', url, 400, 600)).toBe(`/v1/images/${id}`)
    await until('it is available', async () => (await agent.client.images.get(id)).status === 'available')
    expect(await listed('vic', '/v1/images?name=life-1')).toMatchObject([{ id, status: 'available', statusReason: null }])
  })

  test('survives a restart of the agent as the same image', async () => {
    const url = await begin('ann', 'life-2')
    await send('ann', url, 0, 400)
    const [before] = await listed('ann', '/v1/images?name=life-2')
    await agent.restart()
    const [after] = await listed('ann', '/v1/images?name=life-2')
    expect([after?.id, after?.length]).toEqual([before?.id, 1000])
    expect((await ask('ann', 'DELETE', `/v1/images/${after?.id}`)).status).toBe(204)
  })

  test('is deleted as an image by its token or an administrator, which cancels it', async () => {
    const url = await begin('ann', 'life-3')
    const [image] = await listed('bob', '/v1/images?name=life-3')
    const path = `/v1/images/${image?.id}`
    expect(await problemOf(await ask('bob', 'DELETE', path))).toEqual([403, 'forbidden'])
    expect(await problemOf(await ask('ops', 'DELETE', path))).toEqual([403, 'forbidden'])
    expect((await ask('ann', 'DELETE', path)).status).toBe(204)
    expect((await ask('ann', 'HEAD', url, { headers: { 'Tus-Resumable': '1.0.0' } })).status).toBe(404)
    expect(await problemOf(await ask('ann', 'GET', path))).toEqual([404, 'not-found'])
    await begin('ann', 'life-4')
    expect((await ask('admin', 'DELETE', '/v1/images/life-4')).status).toBe(204)
    expect(await listed('ann', '/v1/images?name=life-4')).toEqual([])
  })

  test('does not let an uploader delete images', async () => {
    expect(await problemOf(await ask('ann', 'DELETE', '/v1/images/life-1'))).toEqual([403, 'forbidden'])
    expect(await listed('ann', '/v1/images?name=life-1')).toHaveLength(1)
  })

  test('is listed for its token and for operators; parts are no images', async () => {
    const before = (await listed('vic', '/v1/images')).length
    const url = await begin('bob', 'life-5')
    await ask('bob', 'POST', '/v1/uploads', { headers: { 'Tus-Resumable': '1.0.0', 'Upload-Length': '10', 'Upload-Concat': 'partial' } })
    expect((await listed('vic', '/v1/images')).length).toBe(before + 1)
    const kinds = async (who: string) => (await listed<Upload>(who, '/v1/uploads')).map(({ kind }) => kind).toSorted()
    expect([await kinds('bob'), await kinds('ops'), await kinds('ann'), await kinds('vic')]).toEqual([['partial', 'whole'], ['partial', 'whole'], [], []])
    const json = { headers: { accept: 'application/json' } }
    expect((await ask('ann', 'GET', url, json)).status).toBe(404)
    expect((await ask('vic', 'GET', url, json)).status).toBe(403)
    expect(await (await ask('ops', 'GET', url, json)).json()).toMatchObject({ name: 'life-5', state: 'uploading', creator: 'bob' })
  })
})

describe('a task', () => {
  test('shows an upload; cancelling it cancels the upload', async () => {
    const url = await begin('ann', 'task-1')
    await send('ann', url, 0, 300)
    const [image] = await listed('vic', '/v1/images?name=task-1')
    const [task, ...more] = (await listed<Task>('vic', '/v1/tasks?kind=upload')).filter(({ subject }) => subject === image?.id)
    expect(more).toEqual([])
    expect(task).toMatchObject({
      state: 'running',
      createdBy: 'ann',
      progress: { done: 300, total: 1000, unit: 'bytes' },
      result: { uploadId: url.split('/').at(-1) },
    })
    expect(task?.detail).toBe(image?.statusReason ?? '')
    expect((await ask('ann', 'POST', `/v1/tasks/${task?.id}/cancel`)).status).toBe(403)
    expect(await (await ask('ops', 'POST', `/v1/tasks/${task?.id}/cancel`)).json()).toMatchObject({ id: task?.id, state: 'cancelled' })
    expect((await ask('ann', 'HEAD', url, { headers: { 'Tus-Resumable': '1.0.0' } })).status).toBe(404)
    expect(await listed('vic', '/v1/images?name=task-1')).toEqual([])
    expect(await problemOf(await ask('ops', 'GET', `/v1/tasks/${task?.id}`))).toEqual([404, 'not-found'])
  })

  test('of an upload leads to its image, which was inspected and digested', async () => {
    const url = await begin('ann', 'task-2')
    const [image] = await listed('vic', '/v1/images?name=task-2')
    const task = (await listed<Task>('vic', '/v1/tasks?kind=upload')).find(({ subject }) => subject === image?.id)
    await send('ann', url, 0, 1000)
    expect(await agent.client.tasks.get(task?.id ?? '')).toMatchObject({ state: 'succeeded', result: { imageId: image?.id } })
    await until('it has a digest', async () => (await agent.client.images.get(image?.id ?? '')).digest !== null)
    expect((await listed<Task>('vic', '/v1/tasks')).filter(({ subject }) => subject === image?.id)).toEqual([])
    expect(await problemOf(await ask('ops', 'POST', `/v1/tasks/${task?.id}/cancel`))).toEqual([409, 'wrong-status'])
  })
})

describe('the deletion policy', () => {
  const add = async (name: string): Promise<string> => {
    const location = await send('ann', await begin('ann', name), 0, 1000)
    const id = location?.split('/').at(-1) ?? ''
    await until('it is available', async () => (await agent.client.images.get(id)).status === 'available')
    return id
  }
  const patch = (who: string, retention: Record<string, unknown>) => ask(who, 'PATCH', '/v1/store', { body: JSON.stringify({ retention }) })
  const policy = async () => (await agent.client.store.get()).retention

  test('is changed at run time by operators, survives a restart, and decides what a deletion does', async () => {
    expect(await policy()).toEqual({ deletion: 'delayed', seconds: 259_200, configured: { deletion: 'delayed', seconds: 259_200 } })
    expect((await patch('ann', { deletion: 'never' })).status).toBe(403)
    expect((await patch('ops', { deletion: 'sometimes' })).status).toBe(400)
    expect((await patch('ops', { seconds: 315_360_001 })).status).toBe(400)
    const delayed = await agent.client.images.delete(await add('policy-1'))
    expect(Date.parse(delayed?.expiresAt ?? '') - Date.parse(delayed?.deletedAt ?? '')).toBe(259_200_000)

    expect(await (await patch('ops', { seconds: 3600 })).json()).toMatchObject({ retention: { deletion: 'delayed', seconds: 3600 } })
    const sooner = await agent.client.images.delete(await add('policy-2'))
    expect(Date.parse(sooner?.expiresAt ?? '') - Date.parse(sooner?.deletedAt ?? '')).toBe(3_600_000)

    await patch('ops', { deletion: 'immediate' })
    const gone = await add('policy-3')
    expect((await ask('ops', 'DELETE', `/v1/images/${gone}`)).status).toBe(204)
    expect((await ask('ops', 'GET', `/v1/images/${gone}`)).status).toBe(404)

    await patch('ops', { deletion: 'never' })
    await agent.restart()
    expect(await policy()).toEqual({ deletion: 'never', seconds: 3600, configured: { deletion: 'delayed', seconds: 259_200 } })
    const kept = await agent.client.images.delete(await add('policy-4'))
    expect(kept).toMatchObject({ status: 'deleted', expiresAt: null })
    expect(await problemOf(await ask('ops', 'DELETE', `/v1/images/${kept?.id}?permanent=true`))).toEqual([403, 'feature-disabled'])
    // Under never, not even images whose time has passed are removed.
    await patch('ops', { seconds: 0, deletion: 'delayed' })
    const expired = await agent.client.images.delete(await add('policy-5'))
    await patch('ops', { deletion: 'never' })
    const cleanup = await agent.client.store.cleanup()
    await until('the cleanup has succeeded', async () => (await agent.client.tasks.get(cleanup.id)).state === 'succeeded')
    expect((await agent.client.images.get(expired?.id ?? '')).status).toBe('deleted')
    await patch('ops', { deletion: null, seconds: null })
    expect(await policy()).toMatchObject({ deletion: 'delayed', seconds: 259_200 })
    expect((await agent.client.images.restore(kept?.id ?? '')).status).toBe('available')
  })

  test('lets images be deleted that no instance uses, and no others', async () => {
    const id = await add('bound-1')
    await ask('ops', 'PUT', `/v1/images/${id}/bindings/vm-1`)
    expect(await problemOf(await ask('ops', 'DELETE', `/v1/images/${id}`))).toEqual([409, 'image-bound'])
    await ask('ops', 'DELETE', `/v1/images/${id}/bindings/vm-1`)
    expect((await ask('ops', 'DELETE', `/v1/images/${id}`)).status).toBe(200)
  })
})
