// Uploaders cancel and retry the imports that their token started, and no other task.

import { expect, setDefaultTimeout, test } from 'bun:test'
import type { Task } from '../../../../protocol/task.ts'
import { openAccessStage } from './access-stage.ts'

setDefaultTimeout(60_000)

test('an uploader may cancel and retry its own import only', async () => {
  await using stage = await openAccessStage()
  const { tasks } = stage.table.parts
  const ann = await stage.user({ name: 'ann', role: 'uploader', subject: 'ann' })
  const others = [
    [await stage.user({ name: 'bob', role: 'uploader', subject: 'bob' }), 'not-found'],
    [await stage.user({ name: 'ann too', role: 'uploader', subject: 'ann' }), 'not-found'],
    [await stage.user({ name: 'vic', role: 'viewer', subject: 'ann' }), 'forbidden'],
  ] as const
  // The name has no address (RFC 6761 §6.4), so that the import keeps trying until it is cancelled.
  const started = await ann.ask('POST', '/v1/images', { name: 'coming', source: { url: 'http://images.invalid/x.img' } })
  expect(started.status).toBe(202)
  const { id } = started.json as Task
  for (const [user, code] of others) expect((await user.ask('POST', `/v1/tasks/${id}/cancel`)).code).toBe(code)
  expect((await ann.ask('POST', `/v1/tasks/${id}/cancel`)).status).toBe(202)
  expect((await tasks.ended(id)).state).not.toBe('succeeded')
  for (const [user, code] of others) expect((await user.ask('POST', `/v1/tasks/${id}/retry`)).code).toBe(code)
  expect((await ann.ask('POST', `/v1/tasks/${id}/retry`)).status).toBe(202)
  await ann.ask('POST', `/v1/tasks/${id}/cancel`)
  await tasks.ended(id)

  const cleanup = (await stage.admin.ask('POST', '/v1/store/cleanup', { dryRun: true })).json as Task
  for (const what of ['cancel', 'retry']) {
    expect((await ann.ask('POST', `/v1/tasks/${cleanup.id}/${what}`)).code).toBe('forbidden')
    expect((await ann.ask('POST', `/v1/tasks/tsk_0123456789abcdefghjkmnpqrs/${what}`)).code).toBe('not-found')
  }
})

test('only an admin may import from a path of the node', async () => {
  await using stage = await openAccessStage()
  const order = { name: 'secret', source: { path: '/no/such/file.img' } }
  for (const role of ['viewer', 'uploader', 'operator'] as const) {
    const user = await stage.user({ name: role, role, subject: role })
    expect([role, (await user.ask('POST', '/v1/images', order)).code]).toEqual([role, 'forbidden'])
  }
  expect((await stage.admin.ask('POST', '/v1/images', order)).code).not.toBe('forbidden')
})

test('the order of a sync, with the addresses of its sources, is shown to operators and admins; no other task has one', async () => {
  await using stage = await openAccessStage()
  const url = 'http://hub.invalid:8420'
  const sync = (await stage.admin.ask('POST', '/v1/sync', { source: { url, token: 'viewer' }, images: ['debian'] })).json as Task
  const cleanup = (await stage.admin.ask('POST', '/v1/store/cleanup', { dryRun: true })).json as Task
  const shown = async (user: { ask: typeof stage.admin.ask }, { id }: Task): Promise<unknown> =>
    ((await user.ask('GET', `/v1/tasks/${id}`)).json as { order?: unknown } | undefined)?.order
  const operator = await stage.user({ name: 'opal', role: 'operator', subject: 'opal' })
  const uploader = await stage.user({ name: 'ulla', role: 'uploader', subject: 'ulla' })
  for (const user of [operator, stage.admin]) {
    expect(await shown(user, sync)).toMatchObject({ images: ['debian'] })
    expect(await shown(user, cleanup)).toBeUndefined()
  }
  expect(await shown(uploader, sync)).toBeUndefined()
  await stage.admin.ask('POST', `/v1/tasks/${sync.id}/cancel`)
  await stage.table.parts.tasks.ended(sync.id)
})
