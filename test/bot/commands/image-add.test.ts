// `image add` with a real agent and a web server: plan, import, refusals, and what the audit log shows.

import { expect, test } from 'bun:test'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { startFileServer } from '../../support/clients/file-server.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../fixture.ts'

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
