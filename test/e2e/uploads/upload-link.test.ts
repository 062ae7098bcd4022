// Runs the lines of an upload link as `image upload` and the link itself print them, also after the agent was killed in the middle of the upload.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import { seededBytes } from '../../support/images/image-store.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { requireTool } from '../../support/require.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { openTestBot, runJson } from '../../bot/fixture.ts'

// On a busy machine a process takes longer than the runner's default of 5 s.
setDefaultTimeout(60_000)

test.each([
  ['the name in the link', 'name=linked', 'linked'],
  ['the name of the file', '', 'my disk.raw'],
])('the curl line of an upload link sends a file; the image gets %s', async (_what, option, expected) => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  using bot = openTestBot(folder.file('home'))
  bot.fleet.registry.add({ name: 'edge-a', url: agent.url, token: TEST_ADMIN_TOKEN, zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const { value } = await runJson(bot, 'image', 'upload', 'store=edge-a', ...(option === '' ? [] : [option]))
  const path = folder.file('my disk.raw')
  await Bun.write(path, seededBytes(300_000, 1))
  const line = String(value['curl'])
  expect(line).toStartWith('FILE=disk.raw; curl ')
  const shell = Bun.spawn(['sh', '-c', line.replace('FILE=disk.raw', `FILE='${path}'`)], { stdout: 'pipe', stderr: 'pipe' })
  const [stderr, code] = await Promise.all([shell.stderr.text(), shell.exited])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const image = await until('the image is available', async () => (await agent.client.images.list()).items.find(({ status }) => status === 'available'))
  expect(image).toMatchObject({ name: expected, length: 300_000 })
})

const LENGTH = 3 * 1024 * 1024 + 17
const NODE_MODULES = join(import.meta.dir, '../../../node_modules')
const nodeTest = requireTool('node', 'nodejs')

/** Returns the address of a link at the agent, whose port changes with a restart. */
const addressOf = (agent: AgentProcess, link: string): string => agent.url + new URL(link).pathname + new URL(link).search

/** Opens a link like a browser and returns the first line that begins with the assignment of FILE and has this word. */
async function lineOf(url: string, word: string): Promise<string> {
  const text = await (await fetch(url, { headers: { accept: 'text/html' } })).text()
  const line = text.split('\n').find((candidate) => candidate.startsWith('FILE=disk.raw') && candidate.includes(word))
  if (line === undefined) throw new Error(`the link has no line with ${word}:\n${text}`)
  return line
}

/** Runs a line with a file. Returns the exit code and what it wrote. */
async function runLine(line: string, path: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const shell = Bun.spawn(['sh', '-c', line.replace('FILE=disk.raw', `FILE='${path}'`)], {
    stdout: 'pipe',
    stderr: 'pipe',
    env: { ...process.env, NODE_PATH: NODE_MODULES },
  })
  const [stdout, stderr, code] = await Promise.all([shell.stdout.text(), shell.stderr.text(), shell.exited])
  return { code, stdout, stderr }
}

/** Checks that the link has made one image, with these bytes, and makes no other. */
async function expectImage(agent: AgentProcess, link: string, bytes: Uint8Array): Promise<void> {
  const made = await until('the link has its image', async () => (await agent.client.links.list()).items.find(({ state }) => state === 'completed'))
  const images = await until('the image is available', async () => {
    const { items } = await agent.client.images.list()
    return items.every(({ status }) => status === 'available') ? items : undefined
  })
  expect(images.map(({ id }) => id)).toEqual([made.imageId ?? 'none'])
  const content = await fetch(`${agent.url}/v1/images/${made.imageId}/content`, { headers: agent.headers() })
  expect(Buffer.from(await content.arrayBuffer()).equals(bytes)).toBe(true)
  const again = await fetch(addressOf(agent, link), { method: 'POST', headers: { 'tus-resumable': '1.0.0', 'upload-length': '5' } })
  expect(again.status).toBe(403)
}

describe('an upload link', () => {
  test('continues its upload with another client after the agent was killed in the middle', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const bytes = seededBytes(LENGTH, 2)
    await Bun.write(folder.file('disk'), bytes)
    const { url, id } = await agent.client.links.create({ kind: 'upload', name: 'killed' })
    // The first client sends a part that is acknowledged, and is sending the next one when the agent dies.
    const half = bytes.subarray(0, 1_000_000)
    const headers = { 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream' }
    const created = await fetch(url, { method: 'POST', headers: { ...headers, 'upload-length': String(LENGTH) }, body: half })
    expect([created.status, created.headers.get('upload-offset')]).toEqual([201, '1000000'])
    const pipe = new TransformStream<Uint8Array, Uint8Array>()
    const writer = pipe.writable.getWriter()
    const location = new URL(created.headers.get('location') ?? '', url)
    const sending = fetch(location, { method: 'PATCH', headers: { ...headers, 'upload-offset': '1000000' }, body: pipe.readable }).catch(() => undefined)
    await writer.write(bytes.subarray(1_000_000, 2_000_000))
    const { uploadId } = await agent.client.links.get(id)
    await until('the agent reads the body', async () => (await agent.client.uploads.list()).items.some((upload) => upload.id === uploadId && upload.rate > 0))
    await agent.kill()
    await Promise.allSettled([sending, writer.abort()])
    await agent.restart()
    expect(await agent.client.links.get(id)).toMatchObject({ state: 'used', uploadId })
    const line = await lineOf(addressOf(agent, url), 'PATCH')
    expect(await runLine(line, folder.file('disk'))).toEqual({ code: 0, stdout: '', stderr: '' })
    await expectImage(agent, url, bytes)
  })

  nodeTest('is the endpoint of tus-js-client, whose line it shows', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const bytes = seededBytes(LENGTH, 3)
    await Bun.write(folder.file('disk'), bytes)
    const { url } = await agent.client.links.create({ kind: 'upload' })
    const line = await lineOf(url, 'tus-js-client')
    expect(await runLine(line, folder.file('disk'))).toEqual({ code: 0, stdout: 'uploaded\n', stderr: '' })
    await expectImage(agent, url, bytes)
    const { code, stderr } = await runLine(line, folder.file('disk'))
    expect([code, stderr.includes('link-expired')]).toEqual([1, true])
  })

  test('takes the resumable uploads of HTTP, in two requests', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const bytes = seededBytes(LENGTH, 4)
    const { url } = await agent.client.links.create({ kind: 'upload', name: 'draft' })
    const draft = { 'upload-draft-interop-version': '6' }
    const created = await fetch(url, { method: 'POST', headers: { ...draft, 'upload-complete': '?0' }, body: bytes.subarray(0, 1_000_000) })
    expect(created.status).toBe(201)
    const sent = await fetch(new URL(created.headers.get('location') ?? '', url), {
      method: 'PATCH',
      headers: { ...draft, 'upload-complete': '?1', 'upload-offset': '1000000', 'content-type': 'application/partial-upload' },
      body: bytes.subarray(1_000_000),
    })
    expect([sent.status, sent.headers.get('upload-complete')]).toEqual([204, '?1'])
    await expectImage(agent, url, bytes)
  })
})
