// Common mistakes: each is refused with one sentence and the next step, with exit code 2 at the start or with a problem, and changes
// nothing. commands.test.ts has more refused starts.

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { problemSchema } from '../../../protocol/problems.ts'
import type { Problem } from '../../../protocol/problems.ts'
import { runAgent } from '../../support/agents/agent-command.ts'
import { agentToml } from '../../support/agents/agent-config.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { Ledger } from '../../support/agents/ledger.ts'
import type { LedgerImage } from '../../support/agents/ledger.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'

/** Returns every path below a folder with its length and a hash of its bytes; links are not followed. */
function snapshot(folder: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) Object.assign(found, { [path]: 'folder' }, snapshot(path))
    else found[path] = entry.isFile() ? `${Bun.hash(readFileSync(path))}` : 'other'
  }
  return found
}

describe('a start with', () => {
  /** Starts with this configuration; expects a refusal that creates and changes nothing. Returns the sentence. */
  const refused = async (folder: TemporaryFolder, toml: string, environment: Record<string, string> = {}): Promise<string> => {
    const file = folder.file('agent.toml')
    writeFileSync(file, toml)
    const before = snapshot(folder.path)
    const { exitCode, stdout, stderr } = await runAgent(['serve', '--config', file], { environment })
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(snapshot(folder.path)).toEqual(before)
    const lines = stderr.trim().split('\n')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/[.?]$/)
    return lines[0] ?? ''
  }

  test('an unknown key names the nearest one', async () => {
    await using folder = await createTemporaryFolder()
    const sentence = await refused(folder, agentToml(folder.path, '[uploads]\nexpirey = "2h"\n'))
    expect(sentence).toContain('uploads.expirey')
    expect(sentence).toContain('uploads.expiry')
    expect(await refused(folder, agentToml(folder.path, '[upload]\nexpiry = "2h"\n'))).toContain('uploads')
    expect(await refused(folder, agentToml(folder.path), { SLIPWAY_STORE_MONT: '/srv/x' })).toContain('SLIPWAY_STORE_MOUNT')
  })

  test('a value out of range says what it must be', async () => {
    await using folder = await createTemporaryFolder()
    expect(await refused(folder, agentToml(folder.path, '[transfer]\nupload-concurrency = 17\n'))).toContain('transfer.upload-concurrency')
    expect(await refused(folder, agentToml(folder.path, '[schedules]\nscrub = "never"\n'))).toContain('schedules.scrub')
  })

  for (const mount of ['/', '/usr', '/etc/slipway', '/lib/x86_64-linux-gnu', '/run/store', '/srv/../proc/1', '/dev/shm/store']) {
    test(`the system folder ${mount} as mount path is refused`, async () => {
      await using folder = await createTemporaryFolder()
      const sentence = await refused(folder, agentToml(folder.path).replace(/mount = "[^"]+"/, `mount = "${mount}"`))
      expect(sentence).toContain(`"${mount}"`)
      expect(sentence).toContain('a system folder')
      expect(sentence).toContain('Choose a folder of its own')
    })
  }

  test('a mount path that is or contains a link to a system folder is refused', async () => {
    await using folder = await createTemporaryFolder()
    symlinkSync('/usr/share', folder.file('link'))
    symlinkSync(folder.file('link'), folder.file('again'))
    for (const path of ['link', 'link/store', 'again/store/deep']) {
      const sentence = await refused(folder, agentToml(folder.path).replace(/mount = "[^"]+"/, `mount = "${folder.file(path)}"`))
      expect(sentence).toContain('"/usr/share')
    }
  })
})

describe('a request with', () => {
  let folder: TemporaryFolder
  let agent: AgentProcess
  let image: LedgerImage
  const tokens: Record<string, string> = {}

  beforeAll(async () => {
    folder = await createTemporaryFolder()
    agent = await startAgent(folder.path, { config: '[uploads]\nmax-length = "4 GB"\n', environment: { SLIPWAY_STORE_RESERVED: '1 GB' } })
    const ledger = new Ledger(agent)
    const made = await ledger.create(new Uint8Array(100_000).fill(7), 'there')
    const found = made && (await ledger.send(made, 0))
    if (!found) throw new Error('the image could not be created')
    image = found
    await ledger.verify()
    for (const role of ['viewer', 'uploader', 'operator'] as const) tokens[role] = (await agent.client.tokens.create({ name: role, role })).token
    mkdirSync(folder.file('store', 'inbox', 'deep'))
    symlinkSync('/etc', folder.file('store', 'inbox', 'etc'))
    writeFileSync(folder.file('secret'), 'secret')
    symlinkSync('../../secret', folder.file('store', 'inbox', 'up'))
  }, 30_000)
  afterAll(async () => {
    await agent[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  /** Returns the problem of a refused request; expects all of its members, and an unchanged store. */
  const problemOf = async (method: string, path: string, init: { token?: string; headers?: Record<string, string>; body?: string } = {}): Promise<Problem> => {
    const response = await fetch(`${agent.url}${path}`, {
      method,
      headers: { ...(init.token ? { authorization: `Bearer ${init.token}` } : {}), ...init.headers },
      ...(init.body === undefined ? {} : { body: init.body }),
    })
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    const problem = problemSchema.parse(await response.json())
    expect(problem.status).toBe(response.status)
    expect(problem.detail).toMatch(/\.$/)
    expect(problem.action).toMatch(/\.$/)
    if (response.status === 401) expect(response.headers.get('www-authenticate')).toContain('Bearer')
    const { items } = await agent.client.images.list()
    expect(items.map(({ id, name, status }) => ({ id, name, status }))).toEqual([{ id: image.id, name: 'there', status: 'available' }])
    return problem
  }
  const admin = { token: TEST_ADMIN_TOKEN }
  const json = (value: unknown) => ({ headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) })
  const tus = { 'Tus-Resumable': '1.0.0' }

  test('no token, or one that is not valid, is unauthenticated', async () => {
    for (const path of ['/v1/store', '/v1/images', `/v1/images/${image.id}/content`, '/v1/files', '/v1/tasks', '/v1/events', '/metrics']) {
      expect(await problemOf('GET', path)).toMatchObject({ status: 401, type: 'urn:slipway:problem:unauthenticated' })
      expect(await problemOf('GET', path, { token: 'slipway_not_a_token' })).toMatchObject({ status: 401 })
    }
    expect(await problemOf('POST', '/v1/uploads', { headers: { ...tus, 'Upload-Length': '1' } })).toMatchObject({ status: 401 })
    expect(await problemOf('DELETE', `/v1/images/${image.id}`)).toMatchObject({ status: 401 })
    // Without a token, health shows its state and nothing else.
    const health = (await (await fetch(`${agent.url}/v1/health`)).json()) as { state: string; checks: unknown[] }
    expect(health).toMatchObject({ checks: [] })
  })

  test('a role that is too low is forbidden; the detail names the required one', async () => {
    const cases: [string, string, string, string, object][] = [
      ['viewer', 'POST', '/v1/uploads', 'uploader', { headers: { ...tus, 'Upload-Length': '1' } }],
      ['uploader', 'POST', '/v1/store/cleanup', 'operator', json({})],
      // An uploader may delete the image of its own upload in progress; any other image needs an operator.
      ['viewer', 'DELETE', `/v1/images/${image.id}`, 'uploader', {}],
      ['uploader', 'DELETE', `/v1/images/${image.id}`, 'operator', {}],
      ['uploader', 'PATCH', '/v1/store', 'operator', json({ name: 'mine' })],
      ['operator', 'POST', '/v1/tokens', 'admin', json({ name: 'more', role: 'admin' })],
      ['viewer', 'POST', '/v1/sync', 'operator', json({ source: { url: 'http://127.0.0.1:1', token: 'x' }, images: ['x'] })],
    ]
    for (const [role, method, path, needed, init] of cases) {
      const problem = await problemOf(method, path, { token: tokens[role] ?? '', ...init })
      expect([path, problem.status, problem.type]).toEqual([path, 403, 'urn:slipway:problem:forbidden'])
      expect(problem.detail).toContain(needed)
    }
  })

  test('a path outside the mount path is refused, whether by dots, encodings, NUL or links', async () => {
    const outside = [
      '../secret',
      'inbox/../../secret',
      '/etc/passwd',
      'inbox/etc/passwd',
      'inbox/up',
      './../secret',
      'inbox/deep/../../../secret',
      'inbox/a\0b',
      '..\\secret',
    ]
    for (const path of outside) {
      for (const route of ['/v1/files', '/v1/files/content']) {
        for (const encoded of [encodeURIComponent(path), encodeURIComponent(path).replaceAll('.', '%2e')]) {
          const problem = await problemOf('GET', `${route}?path=${encoded}`, admin)
          expect([path, [400, 404].includes(problem.status)]).toEqual([path, true])
          expect(JSON.stringify(problem)).not.toContain('root:')
        }
      }
    }
    expect((await problemOf('GET', '/v1/files?path=../secret', admin)).type).toBe('urn:slipway:problem:outside-mount-path')
    expect((await problemOf('GET', '/v1/files/content?path=inbox/etc/passwd', admin)).type).toBe('urn:slipway:problem:outside-mount-path')
  })

  test('an upload over the space above the reserve, or over the limit, is refused when it is created', async () => {
    const { capacity } = await agent.client.store.get()
    const { available } = capacity
    const over = await problemOf('POST', '/v1/uploads', { ...admin, headers: { ...tus, 'Upload-Length': '4000000001' } })
    expect(over).toMatchObject({ status: 413, type: 'urn:slipway:problem:payload-too-large' })
    // Both agents share the disk of this machine, so the second one gets a reserve larger than the free space.
    await using tight = await createTemporaryFolder()
    await using full = await startAgent(tight.path, { environment: { SLIPWAY_STORE_RESERVED: String(Math.max(0, available) + 2 ** 50) } })
    const response = await fetch(`${full.url}/v1/uploads`, { method: 'POST', headers: full.headers({ ...tus, 'Upload-Length': '1000' }) })
    const problem = problemSchema.parse(await response.json())
    expect({ status: response.status, type: problem.type }).toEqual({ status: 507, type: 'urn:slipway:problem:insufficient-storage' })
    expect(problem.action).toMatch(/cleanup/)
    expect(readdirSync(tight.file('store', 'uploads'))).toEqual([])
    expect(readdirSync(folder.file('store', 'uploads'))).toHaveLength(1)
  }, 30_000)

  test('an unknown id or path is not found', async () => {
    const unknown = 'img_01m7yhh91ya0weh8ee92b9mcj7'
    for (const [method, path, init] of [
      ['GET', `/v1/images/${unknown}`, {}],
      ['GET', '/v1/images/nobody', {}],
      ['GET', `/v1/images/${unknown}/content`, {}],
      ['PATCH', `/v1/images/${unknown}`, json({ name: 'x' })],
      ['DELETE', `/v1/images/${unknown}`, {}],
      ['POST', `/v1/images/${unknown}/restore`, {}],
      ['GET', '/v1/tasks/tsk_01m7yhh91ya0weh8ee92b9mcj7', {}],
      ['PATCH', '/v1/schedules/nightly', json({ cron: '* * * * *' })],
      ['GET', '/v1/files?path=nowhere', {}],
      ['GET', '/v1/nothing', {}],
      ['DELETE', '/v1/uploads/upl_01m7yhh91ya0weh8ee92b9mcj7', { headers: tus }],
    ] as const) {
      const problem = await problemOf(method, path, { ...admin, ...init })
      expect([method, path, [400, 404].includes(problem.status)]).toEqual([method, path, true])
      if (path.includes(unknown)) expect(problem.type).toBe('urn:slipway:problem:not-found')
    }
  })

  test('a body that does not match the route is refused with its errors', async () => {
    expect(await problemOf('PATCH', `/v1/images/${image.id}`, { ...admin, ...json({ length: 5 }) })).toMatchObject({
      status: 400,
      type: 'urn:slipway:problem:invalid-input',
    })
    expect(await problemOf('PATCH', `/v1/images/${image.id}`, { ...admin, headers: { 'content-type': 'application/json' }, body: '{"name":' })).toMatchObject({
      status: 400,
    })
    expect(await problemOf('POST', '/v1/sync', { ...admin, ...json({ source: { url: 'ftp://x', token: 'x' }, images: [] }) })).toMatchObject({ status: 400 })
    for (const source of [
      { url: 'http://10.0.0.1', token: 'a\nb' },
      { url: 'http://10.0.0.1/?link=SECRET', token: 'x' },
    ]) {
      const problem = await problemOf('POST', '/v1/sync', { ...admin, ...json({ source, images: ['x'] }) })
      expect(problem.status).toBe(400)
      expect(JSON.stringify(problem)).not.toContain('SECRET')
    }
    const metadata = json({ source: { url: 'http://169.254.169.254', token: 'x' }, images: ['x'] })
    expect(await problemOf('POST', '/v1/sync', { ...admin, ...metadata })).toMatchObject({ status: 403, type: 'urn:slipway:problem:peer-not-allowed' })
    expect(await problemOf('POST', '/v1/uploads', { ...admin, headers: { ...tus, 'Upload-Length': '-5' } })).toMatchObject({ status: 400 })
    expect(await problemOf('PUT', '/v1/store', admin)).toMatchObject({ status: 405 })
  })
})
