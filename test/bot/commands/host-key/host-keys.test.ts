// The commands about pinned host keys, with a whole agent behind them.

import { afterAll, beforeEach, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { systemClock } from '../../../../bot/system/clock.ts'
import type { OpenBot } from '../../../../bot/open.ts'
import { openAccessStage } from '../../../agent/http/access/access-stage.ts'
import type { AccessStage } from '../../../agent/http/access/access-stage.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../../fixture.ts'

// Connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const OLD = `SHA256:${'o'.repeat(43)}`
const NEW = `SHA256:${'n'.repeat(43)}`
const PINNED = { algorithm: 'ssh-ed25519', fingerprint: OLD, pinnedAt: '2026-11-20T08:00:00.000Z' }
const OFFERED = { algorithm: 'rsa-sha2-512', fingerprint: NEW, firstAt: '2026-11-21T09:00:00.000Z' }

let stack: AsyncDisposableStack
let stage: AccessStage
let bot: OpenBot

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  stage = stack.use(await openAccessStage())
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => stage.table.app.fetch(request) })
  stack.defer(() => server.stop(true))
  bot = stack.use(openTestBot(folder.path))
  const { token } = await stage.table.parts.access.tokens.create({ name: 'the bot', role: 'operator' }, { name: 'test', role: 'admin' })
  const storeId = ((await stage.admin.ask('GET', '/v1/store')).json as { id: string }).id
  bot.fleet.registry.add({ name: 'edge-a', url: `http://127.0.0.1:${server.port}`, token, zone: 'zone-1', provider: 'local', storeId }, systemClock.nowMs())
}, 60_000)

beforeEach(() =>
  stage.table.parts.kept.write('imports.host-keys', [
    { ...PINNED, host: 'files.example:22' },
    { ...PINNED, host: 'files.example:2222', offered: OFFERED },
    { ...PINNED, host: '[2001:db8::1]:22' },
  ]),
)

afterAll(() => stack.disposeAsync())

describe('host-key list', () => {
  test('shows the expected keys by host, and those that were offered instead', async () => {
    const { output, code } = await runCommand(bot, 'host-key')
    expect(code).toBe(0)
    expect(output).toContain('3 host keys')
    expect(output).toContain('Imports from 1 host were refused: host-key show HOST says what to do.')
    const { value } = await runJson(bot, 'host-key', 'list', 'store=edge-a')
    expect(value['items']).toEqual([
      { store: 'edge-a', host: '[2001:db8::1]:22', ...PINNED, offered: null },
      { store: 'edge-a', host: 'files.example:22', ...PINNED, offered: null },
      { store: 'edge-a', host: 'files.example:2222', ...PINNED, offered: OFFERED },
    ])
  })

  test('says when there are none', async () => {
    stage.table.parts.kept.write('imports.host-keys', [])
    expect((await runCommand(bot, 'host-key', 'list')).output).toContain('No host key is pinned.')
  })

  test('reads all pages', async () => {
    const many = Array.from({ length: 250 }, (_, i) => ({ ...PINNED, host: `host-${i}.example:22` }))
    stage.table.parts.kept.write('imports.host-keys', many)
    expect((await runJson(bot, 'host-key', 'list')).value['items']).toHaveLength(250)
    const { json } = await stage.admin.ask('GET', '/v1/host-keys?limit=2&cursor=host-98.example:22')
    expect((json as { items: { host: string }[] }).items.map(({ host }) => host)).toEqual(['host-99.example:22'])
    expect((await stage.admin.ask('GET', '/v1/host-keys?limit=250')).json).toMatchObject({ next: null })
    expect((await stage.admin.ask('GET', '/v1/host-keys?limit=249')).json).toMatchObject({ next: expect.stringMatching(/^host-\d+\.example:22$/) })
  })
})

describe('host-key show', () => {
  test('says which key is expected, which was offered, and what to do', async () => {
    const { output } = await runCommand(bot, 'host-key', 'show', 'files.example:2222')
    expect(output).toContain(`${OLD} (ssh-ed25519)`)
    expect(output).toContain(`${NEW} (rsa-sha2-512)`)
    expect(output).toContain('files.example:2222 offered another key than the pinned one, and edge-a refused the import before anything secret was sent.')
    expect(output).toContain('Compare both with "ssh-keygen -lf" on the server.')
    expect((await runJson(bot, 'host-key', 'show', 'files.example:22')).value).toMatchObject({ host: 'files.example:22', offered: null })
  })

  test('needs the port only where several are pinned', async () => {
    expect((await runJson(bot, 'host-key', 'show', '[2001:db8::1]')).value).toMatchObject({ host: '[2001:db8::1]:22' })
    const two = await runCommand(bot, 'host-key', 'show', 'files.example')
    expect([two.code, two.output]).toEqual([1, expect.stringContaining('edge-a has pinned host keys of files.example:22 and files.example:2222.')])
    const none = await runCommand(bot, 'host-key', 'show', 'nobody.example')
    expect([none.code, none.output]).toEqual([1, expect.stringContaining('edge-a has pinned no host key of nobody.example.')])
  })
})

describe('host-key forget', () => {
  test('asks for the host, removes one pin, and leaves an event with the token that did it', async () => {
    const asked = await runCommand(bot, 'host-key', 'forget', 'files.example:2222')
    expect([asked.code, asked.output]).toEqual([1, expect.stringContaining('trust whatever key answers next under this name')])
    expect(asked.output).toContain(`${NEW} (rsa-sha2-512); compare it with "ssh-keygen -lf" on the server`)
    const done = await runCommand(bot, 'host-key', 'forget', 'files.example:2222', '--confirm', 'files.example:2222')
    expect([done.code, done.output]).toEqual([0, expect.stringContaining('Host key of files.example:2222 forgotten')])
    const hosts = ((await stage.admin.ask('GET', '/v1/host-keys')).json as { items: { host: string }[] }).items.map(({ host }) => host)
    expect(hosts).toEqual(['[2001:db8::1]:22', 'files.example:22'])
    const { items } = (await stage.admin.ask('GET', '/v1/events?limit=1000')).json as { items: { type: string; subject: string; details: object }[] }
    expect(items.find(({ type }) => type === 'import.host-key-forgotten')).toMatchObject({
      subject: 'files.example:2222',
      details: { fingerprint: OLD, actor: 'the bot' },
    })
  })

  test('of an IPv6 address works, and of a host that is not pinned is refused', async () => {
    expect((await runCommand(bot, 'host-key', 'forget', '[2001:db8::1]:22', '--confirm', '[2001:db8::1]:22')).code).toBe(0)
    expect((await runCommand(bot, 'host-key', 'forget', '[2001:db8::1]:22', '--confirm', '[2001:db8::1]:22')).output).toContain('has pinned no host key')
    const gone = await stage.admin.ask('DELETE', `/v1/host-keys/${encodeURIComponent('[2001:db8::1]:22')}`)
    expect([gone.status, gone.code]).toEqual([404, 'not-found'])
  })
})
