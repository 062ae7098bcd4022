// Limits of owners and images switched off, at a running agent, for two owners.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

setDefaultTimeout(120_000)

/** Uploads zeros in one request and returns the answer. */
async function upload(agent: AgentProcess, owner: string, length: number): Promise<Response> {
  const headers = agent.headers({
    'Tus-Resumable': '1.0.0',
    'Upload-Length': String(length),
    'Upload-Metadata': `owner ${btoa(owner)},kind ${btoa('backup')}`,
    'Content-Type': 'application/offset+octet-stream',
  })
  return fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers, body: new Uint8Array(length) })
}

async function uploaded(agent: AgentProcess, owner: string, length: number): Promise<string> {
  const answer = await upload(agent, owner, length)
  expect(answer.status).toBe(201)
  const id = (answer.headers.get('content-location') ?? '').split('/').at(-1) ?? ''
  await until('the image is available', async () => (await agent.client.images.get(id)).status === 'available')
  return id
}

async function codeOf(answer: Response): Promise<unknown> {
  return ((await answer.json()) as Record<string, unknown>)['type']
}

test('the limit on bytes is refused with what to do, survives a restart, and leaves nothing', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path, { config: '[images]\nmax-bytes-per-owner = "1 MB"\n' })
  const first = await uploaded(agent, 'ann', 600_000)
  const other = await uploaded(agent, 'bob', 600_000)
  const refused = await upload(agent, 'ann', 400_001)
  expect(refused.status).toBe(429)
  expect(await refused.json()).toMatchObject({
    type: 'urn:slipway:problem:limit-reached',
    detail: 'Maximum image limit reached: the images of owner ann have 600 kB, unfinished uploads included, and this image has 400 kB; the limit is 1.0 MB.',
    limitBytes: 1_000_000,
  })
  expect((await agent.client.store.get()).uploads.active).toBe(0)
  const patched = await fetch(`${agent.url}/v1/images/${other}`, {
    method: 'PATCH',
    headers: agent.headers({ 'Content-Type': 'application/json' }),
    body: JSON.stringify({ owner: 'ann' }),
  })
  expect(await codeOf(patched)).toBe('urn:slipway:problem:limit-reached')
  await agent.restart()
  expect(await codeOf(await upload(agent, 'ann', 400_001))).toBe('urn:slipway:problem:limit-reached')
  await agent.client.images.delete(first)
  await uploaded(agent, 'ann', 1_000_000)
  const restored = await fetch(`${agent.url}/v1/images/${first}/restore`, { method: 'POST', headers: agent.headers() })
  expect(await codeOf(restored)).toBe('urn:slipway:problem:limit-reached')
  expect((await agent.client.store.get()).usage).toMatchObject({
    total: { count: 3, length: 2_200_000 },
    byKind: { backup: { count: 3, length: 2_200_000 } },
  })
})

test('images that are switched off refuse uploads and syncs, also after a restart, and stay readable', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  const id = await uploaded(agent, 'ann', 5000)
  expect(await agent.client.store.patch({ imagesEnabled: false })).toMatchObject({ enabled: true, imagesEnabled: false })
  const post = (path: string, body: unknown) =>
    fetch(agent.url + path, { method: 'POST', headers: agent.headers({ 'Content-Type': 'application/json' }), body: JSON.stringify(body) })
  for (let start = 0; start < 2; start++) {
    const refused = await upload(agent, 'ann', 10)
    expect(refused.status).toBe(403)
    expect(await refused.json()).toMatchObject({ type: 'urn:slipway:problem:feature-disabled', detail: 'Image feature is not enabled.' })
    expect(await codeOf(await post('/v1/sync', { source: { url: 'http://127.0.0.1:9', token: 'x'.repeat(20) }, images: [id] }))).toBe(
      'urn:slipway:problem:feature-disabled',
    )
    const content = await fetch(`${agent.url}/v1/images/${id}/content`, { headers: agent.headers() })
    expect((await content.arrayBuffer()).byteLength).toBe(5000)
    await agent.restart()
  }
  await agent.client.store.patch({ imagesEnabled: true })
  await uploaded(agent, 'ann', 10)
})

test('an import that exceeds the limit fails before a byte is stored, and leaves nothing; switched off, it is refused', async () => {
  await using folders = await createTemporaryFolder()
  await using source = await startAgent(folders.file('source'))
  await using agent = await startAgent(folders.file('target'), { config: '[images]\nmax-bytes-per-owner = "1 MB"\n[imports]\nallow = ["127.0.0.1"]\n' })
  const id = await uploaded(source, 'ann', 1_000_001)
  const small = await uploaded(source, 'ann', 900_000)
  const post = (image: string): Promise<Response> =>
    fetch(`${agent.url}/v1/images`, {
      method: 'POST',
      headers: agent.headers({ 'Content-Type': 'application/json' }),
      body: JSON.stringify({ name: 'copy', owner: 'ann', source: { url: `${source.url}/v1/images/${image}/content`, token: TEST_ADMIN_TOKEN } }),
    })
  const started = await post(id)
  expect(started.status).toBe(202)
  const { id: taskId } = (await started.json()) as { id: string }
  const task = await until('the import has ended', async () => {
    const now = await agent.client.tasks.get(taskId)
    return now.endedAt === null ? undefined : now
  })
  expect(task).toMatchObject({ state: 'failed', error: { type: 'urn:slipway:problem:limit-reached', limitBytes: 1_000_000, lengthBytes: 1_000_001 } })
  expect((await agent.client.store.get()).slices.count).toBe(0)
  expect((await agent.client.images.list({ status: 'available' })).items).toEqual([])
  expect((await post(small)).status).toBe(202)
  await until('the image is available', async () => (await agent.client.images.list({ status: 'available' })).items.length === 1)
  await agent.client.store.patch({ imagesEnabled: false })
  expect(await codeOf(await post(small))).toBe('urn:slipway:problem:feature-disabled')
})
