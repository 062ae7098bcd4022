// Imports from nginx by a real agent: with ranges, without, through a link that is cut, over TLS, and with the agent killed or stopped meanwhile.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { startNginx } from '../../support/clients/nginx.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { requireTool } from '../../support/require.ts'
import { until } from '../../support/until.ts'
import type { Task } from '../../../protocol/task.ts'

setDefaultTimeout(120_000)

const MIB = 1024 * 1024
const LENGTH = 40 * MIB
const nginxTest = requireTool('nginx', 'nginx')

let folder: TemporaryFolder
let digest: string

beforeAll(async () => {
  folder = await createTemporaryFolder()
  digest = await makeNoiseFile(folder.file('noise.raw'), LENGTH, 17)
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const files = ['-keyout', folder.file('key.pem'), '-out', folder.file('cert.pem')]
  expect(Bun.spawnSync(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject, ...files]).exitCode).toBe(0)
})
afterAll(() => folder[Symbol.asyncDispose]())

const allowing = (concurrency: number): string => `[imports]\nallow = ["127.0.0.1", "localhost"]\n[transfer]\nupload-concurrency = ${concurrency}\n`

async function ended(agent: AgentProcess, id: string): Promise<Task> {
  return until('the import has ended', async () => {
    const task = await agent.client.tasks.get(id)
    return task.endedAt === null ? undefined : task
  })
}

async function expectWhole(agent: AgentProcess, task: Task): Promise<void> {
  expect({ state: task.state, error: task.error }).toEqual({ state: 'succeeded', error: undefined })
  expect(await agent.client.images.get(task.subject)).toMatchObject({
    status: 'available',
    digest,
    length: LENGTH,
    source: { kind: 'url', filename: 'noise.raw' },
  })
}

describe.each([
  ['with ranges, 1 connection', '', 1],
  ['with ranges, 4 connections', '', 4],
  ['without ranges', 'max_ranges 0;', 4],
] as const)('nginx %s', (_name, directives, concurrency) => {
  nginxTest('gives the right digest', async () => {
    await using nginx = await startNginx({ root: folder.path, directives })
    await using store = await createTemporaryFolder()
    await using agent = await startAgent(store.path, { config: allowing(concurrency) })
    const task = await agent.client.images.import({ name: 'imported', digest, source: { url: `${nginx.url}/noise.raw` } })
    await expectWhole(agent, await ended(agent, task.id))
  })

  nginxTest('gives the right digest after three cuts, and sends no more than it must', async () => {
    await using nginx = await startNginx({ root: folder.path, directives })
    await using link = await createCuttingProxy(nginx.port)
    await using store = await createTemporaryFolder()
    await using agent = await startAgent(store.path, { config: allowing(concurrency) })
    link.setFaults({ cutAfter: 9 * MIB, direction: 'down', reset: true }, 3)
    const task = await agent.client.images.import({ name: 'imported', digest, source: { url: `${link.url}/noise.raw` } })
    await expectWhole(agent, await ended(agent, task.id))
    expect(link.cuts).toBe(3)
    // With ranges, at most the ranges in flight of each cut are sent again.
    if (directives === '') expect(link.bytes.down).toBeLessThan(LENGTH + 3 * (2 * concurrency * 2 + 4) * MIB)
  })
})

nginxTest('an import continues at its durable offset after the agent was killed, and after it was stopped', async () => {
  await using nginx = await startNginx({ root: folder.path, directives: 'limit_rate 6m;' })
  await using link = await createCuttingProxy(nginx.port)
  await using store = await createTemporaryFolder()
  await using agent = await startAgent(store.path, { config: allowing(1) })
  const { id, subject } = await agent.client.images.import({ name: 'imported', digest, source: { url: `${link.url}/noise.raw` } })
  const reached = (bytes: number) => until(`${bytes} bytes arrived`, async () => (await agent.client.tasks.get(id)).progress.done >= bytes)

  // A checkpoint is due every two seconds, so some of this is durable.
  await reached(15 * MIB)
  await agent.kill()
  await agent.restart()
  const resumed = await reached(8 * MIB)
  expect(resumed).toBe(true)
  expect((await agent.client.tasks.get(id)).progress).toMatchObject({ total: LENGTH, unit: 'bytes' })
  expect(await agent.stop()).toBe(0)
  await agent.restart()
  const task = await ended(agent, id)
  expect(task.subject).toBe(subject)
  await expectWhole(agent, task)
  // Sent twice is only what was not durable when the agent was killed, and the first byte that each opening asks for.
  expect(link.bytes.down).toBeLessThan(LENGTH + 20 * MIB)
  expect((await agent.client.images.list()).items).toHaveLength(1)
})

nginxTest('TLS: the certificate must be valid for the name of the address', async () => {
  const tls = { cert: folder.file('cert.pem'), key: folder.file('key.pem') }
  await using nginx = await startNginx({ root: folder.path, tls })
  await using store = await createTemporaryFolder()
  await using agent = await startAgent(store.path, { config: allowing(1), environment: { NODE_EXTRA_CA_CERTS: tls.cert } })
  const good = await agent.client.images.import({ name: 'by name', digest, source: { url: `https://localhost:${nginx.port}/noise.raw` } })
  await expectWhole(agent, await ended(agent, good.id))
  const wrong = await agent.client.images.import({ name: 'by address', source: { url: `https://127.0.0.1:${nginx.port}/noise.raw` } })
  const task = await ended(agent, wrong.id)
  expect(task.error).toMatchObject({ type: 'urn:slipway:problem:source-unreachable' })
  expect(task.error?.detail).toContain('its certificate is not valid for its name')
})

nginxTest('who may import, what a plan says, and what stays secret', async () => {
  await using nginx = await startNginx({ root: folder.path, directives: 'location /closed/ { return 403 "the secret of the server"; }' })
  await using store = await createTemporaryFolder()
  await using agent = await startAgent(store.path, { config: allowing(1) })
  const post = async (token: string, body: unknown): Promise<{ status: number; body: Record<string, unknown> }> => {
    const response = await fetch(`${agent.url}/v1/images`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  const tokens = {
    viewer: (await agent.client.tokens.create({ name: 'vic', role: 'viewer' })).token,
    uploader: (await agent.client.tokens.create({ name: 'ann', role: 'uploader' })).token,
  }
  const url = `${nginx.url}/noise.raw`
  expect(await post(tokens.viewer, { name: 'x', source: { url } })).toMatchObject({ status: 403, body: { type: 'urn:slipway:problem:forbidden' } })
  expect(await post(tokens.uploader, { name: 'x', source: { path: '/etc/passwd' } })).toMatchObject({
    status: 403,
    body: { type: 'urn:slipway:problem:forbidden' },
  })

  // A plan changes nothing.
  const plan = await post(tokens.uploader, { name: 'planned', source: { url: `${url}?signature=s3cret` }, dryRun: true })
  expect(plan).toMatchObject({
    status: 200,
    body: {
      dryRun: true,
      source: { kind: 'url', location: url, filename: 'noise.raw', length: LENGTH, canResume: true },
      image: { name: 'planned' },
      objections: [],
    },
  })
  expect((await agent.client.tasks.list()).items).toEqual([])
  expect((await agent.client.images.list()).items).toEqual([])

  // Secrets of the address and of the request are neither shown nor logged, and the task can be retried nevertheless.
  const secret = 'pa55-of-ann'
  const refused = await post(tokens.uploader, { name: 'closed', source: { url: `${nginx.url}/closed/x?signature=s3cret`, username: 'ann', password: secret } })
  expect(refused.status).toBe(202)
  const failed = await ended(agent, String(refused.body['id']))
  // Whoever started it sees why it failed, although there is no image; other uploaders see nothing.
  const shownTo = async (token: string): Promise<number> =>
    (await fetch(`${agent.url}/v1/tasks/${failed.id}`, { headers: { authorization: `Bearer ${token}` } })).status
  expect([await shownTo(tokens.uploader), await shownTo(tokens.viewer)]).toEqual([200, 404])
  expect(failed.error).toMatchObject({ type: 'urn:slipway:problem:source-refused', detail: 'The server of the source answered with status 403.' })
  await agent.client.tasks.retry(failed.id)
  expect((await ended(agent, failed.id)).error).toMatchObject({ type: 'urn:slipway:problem:source-refused' })
  const shown = JSON.stringify([await agent.client.tasks.list(), await agent.client.images.list(), await agent.client.events.list(), agent.log()])
  for (const hidden of [secret, 's3cret', 'the secret of the server']) expect(shown).not.toContain(hidden)
  const database = Buffer.concat(
    await Promise.all(['', '-wal'].map(async (suffix) => Buffer.from(await Bun.file(`${store.path}/state/agent.db${suffix}`).bytes()))),
  )
  for (const hidden of [secret, 's3cret']) expect(database.includes(hidden)).toBe(false)

  // Refusals leave nothing.
  expect((await agent.client.store.get()).uploads.active).toBe(0)
  expect((await agent.client.images.list()).items).toEqual([])

  for (const [source, code] of [
    [{ url: 'http://169.254.169.254/latest/meta-data/' }, 'source-not-allowed'],
    [{ url: 'http://10.0.0.1/x' }, 'source-not-allowed'],
    [{ url: 'http://[::ffff:10.0.0.1]/x' }, 'source-not-allowed'],
    [{ url: 'gopher://127.0.0.1/x' }, 'invalid-input'],
    [{ url: 'file:///etc/passwd' }, 'invalid-input'],
    [{ url: 'http://ann:secret@mirror.example/x' }, 'invalid-input'],
    [{ url: 'not an address' }, 'invalid-input'],
    [{}, 'invalid-input'],
    [{ url, path: '/x' }, 'invalid-input'],
  ] as const) {
    const answer = await post(tokens.uploader, { name: 'x', source })
    expect(answer.body['type']).toBe(`urn:slipway:problem:${code}`)
    expect(JSON.stringify(answer.body)).not.toContain('ann:secret')
  }
  expect((await post(tokens.uploader, { name: 'x', sourcee: { url } })).body['detail']).toContain('source')
})
