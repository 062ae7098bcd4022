// `image add` with a real agent and a web server: plan, import, refusals, and what the audit log shows.

import { expect, test } from 'bun:test'
import type { CommandInput } from '../../../../bot/commands/command.ts'
import { imageAdd } from '../../../../bot/commands/image/add.ts'
import { runParsed } from '../../../../bot/commands/run.ts'
import type { Role } from '../../../../protocol/access.ts'
import { gzipSync } from 'node:zlib'
import { startAgent, TEST_ADMIN_TOKEN } from '../../../support/agents/agent-process.ts'
import { startFileServer } from '../../../support/clients/file-server.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'
import { openTestBot, runCommand, runJson } from '../../fixture.ts'

test('image add and image upload unpack compressed files', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path, { config: '[imports]\nallow = ["127.0.0.1"]\n' })
  const plain = crypto.getRandomValues(new Uint8Array(60_000))
  const compressed = new Uint8Array(gzipSync(plain))
  await using server = await startFileServer(compressed)
  using bot = openTestBot(folder.file('home'))
  await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')

  const shown = await runCommand(bot, 'image', 'add', `url=${server.url}`, 'name=added', 'decompress=true', '--dry-run')
  expect(shown.output).toContain('what the file unpacks to')
  expect((await runCommand(bot, 'image', 'add', `url=${server.url}`, 'name=added', 'decompress=perhaps')).code).toBe(1)
  expect((await runCommand(bot, 'image', 'add', `url=${server.url}`, 'name=added', 'decompress=true')).code).toBe(0)
  await Bun.write(folder.file('disk.raw.gz'), compressed)
  expect((await runCommand(bot, 'image', 'upload', folder.file('disk.raw.gz'), 'store=edge-a', 'name=uploaded', 'decompress=true')).code).toBe(0)
  const digest = `sha256:${Bun.SHA256.hash(plain, 'hex')}`
  const images = await until('both images are available', async () => {
    const { items } = await agent.client.images.list()
    return items.length === 2 && items.every((image) => image.digest !== null) ? items : undefined
  })
  for (const image of images) expect(image).toMatchObject({ status: 'available', format: 'raw', length: 60_000, digest })
}, 60_000)

test('image add shows the plan, imports the image and waits for the task', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path, { config: '[imports]\nallow = ["127.0.0.1"]\n' })
  await using server = await startFileServer(crypto.getRandomValues(new Uint8Array(60_000)))
  using bot = openTestBot(folder.file('home'))
  await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')

  const plan = await runJson(bot, 'image', 'add', `url=${server.url}`, 'store=edge-a', 'name=disk', '--dry-run')
  expect(plan).toMatchObject({
    code: 0,
    value: {
      dryRun: true,
      source: { kind: 'url', location: server.url, filename: 'file.img', length: 60_000, canResume: true },
      image: { name: 'disk' },
      objections: [],
    },
  })
  expect((await agent.client.tasks.list()).items).toEqual([])
  const shown = await runCommand(bot, 'image', 'add', `url=${server.url}`, 'name=disk', '--dry-run')
  expect(shown.output).toContain('Nothing was started.')
  expect(shown.output).toContain('continues where it ended')

  const added = await runJson(
    bot,
    'image',
    'add',
    `url=${server.url}?signature=s3cret`,
    'store=edge-a',
    'name=disk',
    'kind=disk',
    'password=pa55',
    'username=ann',
  )
  expect(added).toMatchObject({ code: 0, value: { kind: 'import', state: 'succeeded', store: 'edge-a', result: { name: 'disk', length: 60_000 } } })
  expect(server.requests.at(-1)?.headers.authorization).toBe('Basic YW5uOnBhNTU=')
  const audit = (await runCommand(bot, 'audit', 'list')).output
  expect(audit).toContain('image add')
  for (const hidden of ['s3cret', 'pa55']) expect(audit).not.toContain(hidden)

  expect((await runCommand(bot, 'image', 'add', 'name=x')).output).toContain('needs either url= or path=')
  expect((await runCommand(bot, 'image', 'add', `url=${server.url}`)).output).toContain('needs name=')
  expect((await runCommand(bot, 'image', 'add', `url=${server.url}`, 'name=x', 'kind=nothing')).output).toContain('kind')
  const refused = await runCommand(bot, 'image', 'add', 'url=http://10.0.0.1/x.img', 'name=x')
  expect(refused.code).toBe(1)
  expect(refused.output).toContain('imports.allow')
}, 30_000)

test('image add refuses what the plan objects to', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path, { config: '[imports]\nallow = ["127.0.0.1"]\n[uploads]\nmax-length = "50 KB"\n' })
  await using server = await startFileServer(crypto.getRandomValues(new Uint8Array(60_000)))
  using bot = openTestBot(folder.file('home'))
  await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')
  const refused = await runCommand(bot, 'image', 'add', `url=${server.url}`, 'name=disk')
  expect(refused.code).toBe(1)
  expect(refused.output).toContain('Not possible now. The source has 60 kB; the store accepts at most 50 kB. Nothing was started.')
  expect((await agent.client.tasks.list()).items).toEqual([])
}, 30_000)

test('image upload --dry-run shows what an upload would do, and uploads nothing', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path, { config: '[uploads]\nmax-length = "50 KB"\n[images]\nmax-per-owner = 7\n' })
  using bot = openTestBot(folder.file('home'))
  await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')
  await Bun.write(folder.file('small.raw'), new Uint8Array(40_000))
  await Bun.write(folder.file('large.raw'), new Uint8Array(60_000))
  expect(await runJson(bot, 'image', 'upload', folder.file('small.raw'), 'owner=ann', '--dry-run')).toMatchObject({
    code: 0,
    value: {
      dryRun: true,
      source: { kind: 'upload', length: 40_000 },
      image: { name: 'small.raw', owner: 'ann' },
      space: { neededBytes: 40_000 },
      limits: { lengthMax: 50_000, imagesPerOwnerMax: 7, bytesPerOwnerMax: 0 },
      objections: [],
    },
  })
  const large = await runCommand(bot, 'image', 'upload', folder.file('large.raw'), '--dry-run')
  expect(large.output).toContain('Not possible now. The source has 60 kB; the store accepts at most 50 kB. Nothing was started.')
  expect((await runCommand(bot, 'image', 'upload', 'name=x', '--dry-run')).output).toContain('--dry-run needs the path of a file')
  expect((await agent.client.store.get()).uploads.active).toBe(0)
  expect((await agent.client.images.list()).items).toEqual([])
  const sent = await fetch(`${agent.url}/v1/images`, { method: 'POST', headers: agent.headers(), body: JSON.stringify({ name: 'x', source: { length: 5 } }) })
  expect([sent.status, ((await sent.json()) as { detail: string }).detail]).toEqual([
    400,
    'A source with a length is for plans only: send the bytes to /v1/uploads.',
  ])
}, 30_000)

test('in Slack the plan has a button that starts the import, unless it would carry a secret; a path needs an administrator', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path, { config: '[imports]\nallow = ["127.0.0.1"]\n' })
  await using server = await startFileServer(crypto.getRandomValues(new Uint8Array(60_000)))
  using bot = openTestBot(folder.file('home'))
  await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')
  const run = (role: Role, options: Record<string, string>, ...flags: string[]) => {
    const input: CommandInput = { targets: [], options, flags: new Set(flags), confirm: [], plan: undefined }
    return runParsed(bot.context({ name: 'ann', role }, 'slack'), { kind: 'command', command: imageAdd, input, common: new Set() })
  }
  const tasks = async () => (await agent.client.tasks.list()).items.filter(({ kind }) => kind === 'import').length

  const asked = await run('uploader', { url: server.url, name: 'my disk' })
  expect(asked.actions).toEqual([
    { label: 'Import', command: `image add url=${server.url} name="my disk" store=edge-a --start`, role: 'uploader', style: 'primary' },
  ])
  expect(asked.text).toContain('Nothing was started.')
  expect(await tasks()).toBe(0)
  expect((await run('uploader', { url: server.url, name: 'my disk' }, 'start')).progress).toHaveLength(1)
  expect(await tasks()).toBe(1)
  expect((await run('uploader', { url: `${server.url}?signature=1`, name: 'signed' })).progress).toHaveLength(1)
  expect((await run('uploader', { url: server.url, name: 'with token', token: 'abc' })).progress).toHaveLength(1)
  expect(await tasks()).toBe(3)

  for (const role of ['uploader', 'operator'] as const) {
    const refused = await run(role, { path: '/etc/passwd', name: 'x' }, 'start')
    expect([refused.outcome, refused.text]).toEqual(['failed', expect.stringContaining('Importing from a path needs the role admin')])
  }
  expect(await tasks()).toBe(3)
}, 30_000)
