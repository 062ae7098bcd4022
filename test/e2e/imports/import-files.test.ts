// Imports by a real agent from vsftpd, from sshd, and from paths of the node: through links that are cut, and with the agent killed meanwhile.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { chmod, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createAgentClient } from '../../../protocol/client/client.ts'
import type { Task } from '../../../protocol/task.ts'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { createCuttingProxy } from '../../support/clients/cutting-proxy.ts'
import { startFtpServer, startSftpServer } from '../../support/clients/file-servers.ts'
import { makeNoiseFile } from '../../support/images/noise-file.ts'
import { freePort } from '../../support/machine/free-port.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { requireThat, requireTool } from '../../support/require.ts'
import { until } from '../../support/until.ts'

setDefaultTimeout(120_000)

const MIB = 1024 * 1024
const LENGTH = 24 * MIB
const isRoot = process.getuid?.() === 0
const ftpTest = isRoot ? requireTool('vsftpd', 'vsftpd') : requireThat(false, 'vsftpd changes its root folder, which needs root rights')
const sftpTest = isRoot ? requireTool('sshd', 'openssh-server') : requireThat(false, 'sshd needs root rights')

let folder: TemporaryFolder
let digest: string

beforeAll(async () => {
  folder = await createTemporaryFolder()
  await mkdir(folder.file('root'))
  digest = await makeNoiseFile(folder.file('root', 'noise.raw'), LENGTH, 17)
  await chmod(folder.path, 0o755)
  await chmod(folder.file('root'), 0o555)
})
afterAll(() => folder[Symbol.asyncDispose]())

const config = (): string => `[imports]\nallow = ["127.0.0.1", "localhost"]\nroots = ["${folder.file('root')}"]\n`

async function order(agent: AgentProcess, source: Record<string, string>, more: Record<string, unknown> = {}): Promise<Response> {
  const headers = agent.headers({ 'content-type': 'application/json' })
  return fetch(`${agent.url}/v1/images`, { method: 'POST', headers, body: JSON.stringify({ source, name: 'imported', ...more }) })
}

async function started(agent: AgentProcess, source: Record<string, string>, more: Record<string, unknown> = {}): Promise<string> {
  const response = await order(agent, source, more)
  const body = (await response.json()) as Task
  expect({ status: response.status, body }).toMatchObject({ status: 202, body: { kind: 'import' } })
  return body.id
}

async function ended(agent: AgentProcess, id: string): Promise<Task> {
  return until('the import has ended', async () => {
    const task = await agent.client.tasks.get(id)
    return task.endedAt === null ? undefined : task
  })
}

async function expectWhole(agent: AgentProcess, task: Task, source: Record<string, unknown>): Promise<void> {
  expect({ state: task.state, error: task.error }).toEqual({ state: 'succeeded', error: undefined })
  await until('the digest is known', async () => (await agent.client.images.get(task.subject)).digest)
  expect(await agent.client.images.get(task.subject)).toMatchObject({
    status: 'available',
    digest,
    length: LENGTH,
    source: { filename: 'noise.raw', ...source },
  })
}

describe('ftp', () => {
  ftpTest('cut three times gives the right digest', async () => {
    const dataPort = await freePort('127.0.0.2')
    await using server = await startFtpServer(folder.file('root'), folder.path, { host: '127.0.0.2', dataPort })
    const place = { targetHost: '127.0.0.2' }
    await using control = await createCuttingProxy(server.port, {}, place)
    await using data = await createCuttingProxy(dataPort, {}, { ...place, listenPort: dataPort })
    data.setFaults({ cutAfter: 5 * MIB, direction: 'down' }, 3)
    await using store = await createTemporaryFolder()
    await using agent = await startAgent(store.path, { config: config() })
    const url = `ftp://localhost:${control.port}/noise.raw`
    await expectWhole(agent, await ended(agent, await started(agent, { url }, { digest })), { kind: 'url', url })
    expect(data.cuts).toBe(3)
    // Only what was in flight when a connection was cut is sent twice: beginning again each time would send 15 MiB more.
    expect(data.bytes.down).toBeLessThan(LENGTH + 14 * MIB)
  })

  ftpTest('without a digest is marked as unverified', async () => {
    await using server = await startFtpServer(folder.file('root'), folder.path)
    await using store = await createTemporaryFolder()
    await using agent = await startAgent(store.path, { config: config() })
    const url = `ftp://localhost:${server.port}/noise.raw`
    const task = await ended(agent, await started(agent, { url }))
    expect(task).toMatchObject({ state: 'succeeded', result: { verification: 'none' } })
    const verified = await ended(agent, await started(agent, { url }, { digest }))
    expect(verified).toMatchObject({ state: 'succeeded', result: { verification: 'digest' } })
  })

  for (const reuse of ['NO', 'YES'])
    ftpTest(`over TLS gives the right digest with require_ssl_reuse=${reuse}`, async () => {
      const pem = folder.file(`tls-${reuse}.pem`)
      const authority = folder.file(`ca-${reuse}.pem`)
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
      const command = ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject, '-keyout', pem, '-out', authority]
      expect(Bun.spawnSync(command).exitCode).toBe(0)
      await writeFile(pem, (await Bun.file(pem).text()) + (await Bun.file(authority).text()))
      await using server = await startFtpServer(folder.file('root'), folder.path, { certificate: pem, lines: [`require_ssl_reuse=${reuse}`] })
      await using store = await createTemporaryFolder()
      await using agent = await startAgent(store.path, { config: config(), environment: { NODE_EXTRA_CA_CERTS: authority } })
      const url = `ftps://localhost:${server.port}/noise.raw`
      await expectWhole(agent, await ended(agent, await started(agent, { url })), { kind: 'url', url })
    })
})

describe('sftp', () => {
  sftpTest('cut three times, with a key, gives the right digest; the key is in no log, task or file', async () => {
    await using server = await startSftpServer(folder.path)
    await using proxy = await createCuttingProxy(server.port)
    proxy.setFaults({ cutAfter: 5 * MIB, direction: 'down' }, 3)
    await using store = await createTemporaryFolder()
    await using agent = await startAgent(store.path, { config: config() })
    const url = `sftp://localhost:${proxy.port}${folder.path}/root/noise.raw`
    const { privateKey } = server
    const id = await started(agent, { url, username: 'root', privateKey })
    await expectWhole(agent, await ended(agent, id), { kind: 'url', url })
    expect(proxy.cuts).toBe(3)
    const pinned = (await agent.client.events.list({ limit: 100 })).items.find(({ type }) => type === 'import.host-key-pinned')
    expect(pinned?.message).toContain(server.fingerprint)
    const part = privateKey.split('\n')[2] ?? ''
    expect(part.length).toBeGreaterThan(50)
    expect(agent.log()).not.toContain(part)
    expect(JSON.stringify(await agent.client.tasks.get(id))).not.toContain(part)
    for (const place of ['state', 'store']) {
      const grep = Bun.spawnSync(['grep', '-rlF', '--', part, join(store.path, place)])
      expect(grep.stdout.toString()).toBe('')
    }
  })

  sftpTest('with another host key than the pinned one is refused, until the request names it', async () => {
    await using first = await startSftpServer(folder.path)
    await using second = await startSftpServer(folder.path)
    await using proxy = await createCuttingProxy(first.port)
    await using store = await createTemporaryFolder()
    await using agent = await startAgent(store.path, { config: config() })
    const url = `sftp://localhost:${proxy.port}${folder.path}/root/noise.raw`
    const from = async (server: typeof first, more: Record<string, string> = {}) =>
      ended(agent, await started(agent, { url, username: 'root', privateKey: server.privateKey, ...more }))
    expect((await from(first)).state).toBe('succeeded')
    proxy.setTarget(second.port)
    const refused = await from(second)
    expect(refused).toMatchObject({
      state: 'failed',
      error: { type: 'urn:slipway:problem:host-key-mismatch', fingerprint: second.fingerprint, pinnedFingerprint: first.fingerprint },
    })
    const host = `localhost:${proxy.port}`
    expect((await agent.client.hostKeys.list()).items).toMatchObject([
      { host, fingerprint: first.fingerprint, offered: { algorithm: 'ssh-ed25519', fingerprint: second.fingerprint } },
    ])
    expect((await from(second, { hostKey: second.fingerprint })).state).toBe('succeeded')
    // Forgotten, it is pinned again on first use.
    await agent.client.hostKeys.forget(host)
    expect((await agent.client.hostKeys.list()).items).toEqual([])
    expect((await from(second)).state).toBe('succeeded')
    expect((await agent.client.hostKeys.list()).items).toMatchObject([{ host, fingerprint: second.fingerprint, offered: null }])
    expect((await agent.client.uploads.show(refused.subject)) ?? 'none').toBe('none')
  })

  sftpTest('is continued after the agent was killed', async () => {
    await using server = await startSftpServer(folder.path)
    await using proxy = await createCuttingProxy(server.port, { bytesPerSecond: 6 * MIB })
    await using store = await createTemporaryFolder()
    await using agent = await startAgent(store.path, { config: config() })
    const url = `sftp://localhost:${proxy.port}${folder.path}/root/noise.raw`
    const id = await started(agent, { url, username: 'root', privateKey: server.privateKey })
    await until('half was sent', () => proxy.bytes.down > LENGTH / 2)
    await agent.restart()
    await expectWhole(agent, await ended(agent, id), { kind: 'url', url })
    // A checkpoint is at most 2 s old.
    expect(proxy.bytes.down).toBeLessThan(LENGTH * 1.8)
  })
})

describe('a path', () => {
  test('below a root is imported, and refused elsewhere, through links, and for others than administrators', async () => {
    await using store = await createTemporaryFolder()
    await using roots = await createTemporaryFolder()
    await using agent = await startAgent(store.path, { config: `[imports]\nroots = ["${roots.path}"]\n` })
    await writeFile(roots.file('small.img'), new Uint8Array(100_000).fill(7))
    await symlink('/etc/passwd', roots.file('link.img'))
    await symlink('/etc', roots.file('linked'))
    const task = await ended(agent, await started(agent, { path: roots.file('small.img') }))
    expect(task.state).toBe('succeeded')
    expect(await agent.client.images.get(task.subject)).toMatchObject({ length: 100_000, source: { kind: 'path', filename: 'small.img' } })
    expect(await readdir(roots.path)).toContain('small.img')
    const codeOf = async (response: Response) => `${response.status} ${((await response.json()) as { type: string }).type.split(':').at(-1)}`
    for (const path of ['/etc/passwd', `${roots.path}/../etc/passwd`, `${roots.path}x/a.img`])
      expect(await codeOf(await order(agent, { path }))).toMatch(/^(403 source-not-allowed|400 invalid-input)$/)
    for (const path of [roots.file('link.img'), roots.file('linked', 'passwd')])
      expect((await ended(agent, await started(agent, { path }))).error?.type).toBe('urn:slipway:problem:source-not-allowed')
    const { token } = await agent.client.tokens.create({ name: 'operator', role: 'operator' })
    const operator = createAgentClient({ baseUrl: agent.url, token })
    expect((await operator.store.get()).name).toBe('test')
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const body = JSON.stringify({ source: { path: roots.file('small.img') }, name: 'imported' })
    expect(await codeOf(await fetch(`${agent.url}/v1/images`, { method: 'POST', headers, body }))).toBe('403 forbidden')
    expect((await agent.client.images.list()).items.map(({ name }) => name)).toEqual(['imported'])
  })

  test('is continued after the agent was killed', async () => {
    await using store = await createTemporaryFolder()
    const plan = { config: config(), environment: { SLIPWAY_CRASH_POINT: 'uploads:after-journal' } }
    await using agent = await startAgent(store.path, plan)
    const id = await started(agent, { path: folder.file('root', 'noise.raw') })
    expect(await agent.ended()).toBe('SIGKILL')
    await agent.restart({ config: config() })
    await expectWhole(agent, await ended(agent, id), { kind: 'path' })
  })
})
