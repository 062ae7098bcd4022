// Kills agents (SIGKILL) at every crash point of images and of sync. The next start finds everything that was acknowledged, continues
// work in progress, and completes removals.

import { expect, test } from 'bun:test'
import { startAgent } from '../support/agents/agent-process.ts'
import type { AgentProcess } from '../support/agents/agent-process.ts'
import { seededBytes } from '../support/images/image-store.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { until } from '../support/until.ts'

/** Longer than one batch of a sync. */
const LENGTH = 40_000_000

/** Creates an upload and returns its location. */
async function createUpload(agent: AgentProcess, length: number): Promise<string> {
  const headers = agent.headers({ 'tus-resumable': '1.0.0', 'upload-length': String(length), 'upload-metadata': `name ${btoa('crash')}` })
  const response = await fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers })
  expect(response.status).toBe(201)
  return new URL(response.headers.get('location') ?? '', agent.url).pathname
}

/** Sends all bytes from the agent's offset. Throws when the agent dies meanwhile. */
async function sendRest(agent: AgentProcess, path: string, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const headers = agent.headers({ 'tus-resumable': '1.0.0' })
  const head = await fetch(agent.url + path, { method: 'HEAD', headers })
  const offset = Number(head.headers.get('upload-offset'))
  const location = head.headers.get('content-location')
  if (location !== null && offset === bytes.byteLength) return location.split('/').at(-1) ?? ''
  const patch = await fetch(agent.url + path, {
    method: 'PATCH',
    headers: { ...headers, 'upload-offset': String(offset), 'content-type': 'application/offset+octet-stream' },
    body: bytes.subarray(offset),
  })
  expect(patch.status).toBe(204)
  return patch.headers.get('content-location')?.split('/').at(-1) ?? ''
}

async function add(agent: AgentProcess, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const id = await sendRest(agent, await createUpload(agent, bytes.byteLength), bytes)
  await until('the image is available', async () => (await agent.client.images.get(id)).status === 'available')
  return id
}

async function contentOf(agent: AgentProcess, id: string): Promise<Buffer> {
  return Buffer.from(await (await fetch(`${agent.url}/v1/images/${id}/content`, { headers: agent.headers() })).arrayBuffer())
}

/** Runs the cleanup task and waits for its end. */
async function cleanUp(agent: AgentProcess): Promise<void> {
  const { id } = await agent.client.store.cleanup()
  const ended = await until('the cleanup has ended', async () => {
    const task = await agent.client.tasks.get(id)
    return task.endedAt === null ? undefined : task
  })
  expect(ended.state).toBe('succeeded')
}

test.each(['images:manifest-written', 'images:image-written', 'images:inspected', 'images:digest-written'])(
  'an image exists after a kill at %s',
  async (point) => {
    await using folder = await createTemporaryFolder()
    const bytes = seededBytes(3_000_000, 1)
    await using agent = await startAgent(folder.path, { environment: { SLIPWAY_CRASH_POINT: point } })
    const upload = await createUpload(agent, bytes.byteLength)
    // The response may arrive before the kill or never; only the state after the restart counts.
    await sendRest(agent, upload, bytes).catch(() => '')
    expect(await agent.ended()).toBe('SIGKILL')
    await agent.restart({})
    const id = await sendRest(agent, upload, bytes)
    await until('the image has its digest', async () => (await agent.client.images.get(id)).digest)
    expect((await agent.client.images.list()).items).toEqual([expect.objectContaining({ id, status: 'available', name: 'crash' })])
    expect((await contentOf(agent, id)).equals(Buffer.from(bytes))).toBe(true)
  },
  60_000,
)

test.each(['images:deleted', 'images:purge-marked', 'images:purge-manifest-removed', 'images:purge-removed'])(
  'an image is removed and another kept after a kill at %s',
  async (point) => {
    await using folder = await createTemporaryFolder()
    const kept = seededBytes(3_000_000, 1)
    const gone = Buffer.concat([kept, seededBytes(1_000_000, 2)])
    const config = `[images]\ndeletion = "${point === 'images:deleted' ? 'delayed' : 'immediate'}"\nretention = "1h"`
    await using agent = await startAgent(folder.path, { config })
    const keptId = await add(agent, kept)
    const goneId = await add(agent, new Uint8Array(gone))
    await agent.restart({ config, environment: { SLIPWAY_CRASH_POINT: point } })
    await agent.client.images.delete(goneId).catch(() => undefined)
    expect(await agent.ended()).toBe('SIGKILL')
    await agent.restart({ config })
    if (point === 'images:deleted') {
      expect((await agent.client.images.get(goneId)).status).toBe('deleted')
      await agent.client.images.restore(goneId)
      expect((await contentOf(agent, goneId)).equals(gone)).toBe(true)
    } else {
      expect((await agent.client.images.list({ status: 'deleted' })).items).toEqual([])
      expect((await agent.client.images.list()).items.map(({ id }) => id)).toEqual([keptId])
    }
    await cleanUp(agent)
    expect((await contentOf(agent, keptId)).equals(Buffer.from(kept))).toBe(true)
  },
  60_000,
)

test.each(['sync:lease-acquired', 'sync:batch-synced', 'sync:slices-moved', 'images:manifest-written', 'images:image-written', 'sync:adopted'])(
  'a sync resumes by itself after a kill at %s',
  async (point) => {
    await using folders = {
      source: await createTemporaryFolder(),
      target: await createTemporaryFolder(),
      async [Symbol.asyncDispose]() {
        await folders.source[Symbol.asyncDispose]()
        await folders.target[Symbol.asyncDispose]()
      },
    }
    const bytes = seededBytes(LENGTH, 1)
    await using source = await startAgent(folders.source.path)
    const id = await add(source, bytes)
    await using target = await startAgent(folders.target.path, { environment: { SLIPWAY_CRASH_POINT: point } })
    const token = (await source.client.tokens.create({ name: 'sync', role: 'viewer' })).token
    const task = await target.client.sync({ source: { url: source.url, token }, images: [id] })
    expect(await target.ended()).toBe('SIGKILL')
    await target.restart({})
    const ended = await until('the sync has ended', async () => {
      const now = await target.client.tasks.get(task.id)
      return now.endedAt === null ? undefined : now
    })
    expect(ended).toMatchObject({ state: 'succeeded' })
    await until('the image is available', async () => (await target.client.images.get(id)).status === 'available')
    await cleanUp(target)
    expect((await contentOf(target, id)).equals(Buffer.from(bytes))).toBe(true)
    expect((await target.client.files.list('sync')).items).toEqual([])
  },
  90_000,
)
