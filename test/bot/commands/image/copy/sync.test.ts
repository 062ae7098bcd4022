// `image sync` between two real agents.

import { expect, test } from 'bun:test'
import { syncResultSchema } from '../../../../../protocol/sync/sync.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import { until } from '../../../../support/until.ts'
import { imageOf, openScriptedFleet, page } from '../../scripted-fleet.ts'
import type { Asked } from '../../scripted-fleet.ts'
import { taskOf } from '../../sessions/fleet.ts'
import { openTestBot, runCommand, runJson } from '../../../fixture.ts'

test('image sync finds the store that has the image, gives the other store a grant for it, and waits for the task', async () => {
  await using folderA = await createTemporaryFolder()
  await using folderB = await createTemporaryFolder()
  await using agentA = await startAgent(folderA.path)
  await using agentB = await startAgent(folderB.path)
  using bot = openTestBot(folderA.file('home'))
  await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agentA.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')
  await runCommand(bot, 'store', 'add', 'name=edge-b', `url=${agentB.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-2')
  await Bun.write(folderA.file('disk.raw'), crypto.getRandomValues(new Uint8Array(60_000)))
  expect((await runCommand(bot, 'image', 'upload', folderA.file('disk.raw'), 'store=edge-a', 'name=disk')).code).toBe(0)

  const synced = await runJson(bot, 'image', 'sync', 'disk', 'to=edge-b')
  expect(synced).toMatchObject({
    code: 0,
    value: { kind: 'sync', state: 'succeeded', store: 'edge-b', result: { images: [{ name: 'disk', outcome: 'copied' }] } },
  })
  const again = await runJson(bot, 'image', 'sync', 'disk', 'to=edge-b', 'from=edge-a')
  expect(again).toMatchObject({ code: 0, value: { result: { slicesMoved: 0, images: [{ outcome: 'already-there' }] } } })
  const target = (await agentB.client.store.get()).id
  const { items } = await agentA.client.tokens.list()
  const image = (await agentA.client.images.get('disk')).id
  const key = (await agentB.client.store.get()).protocol?.key ?? 'none'
  const grant = { images: [image], target, createdBy: 'admin', key, healingUntil: expect.any(String) }
  expect(items.map((item) => item.grant)).toEqual([null, grant, grant])
  expect((await runCommand(bot, 'store', 'show', 'edge-b')).output).toMatch(/Repairs from +test \(reachable\), by grants of syncs/)
  expect((await runJson(bot, 'store', 'show', 'edge-b')).value['partners']).toMatchObject([{ name: 'test', url: agentA.url }])
  expect((await agentB.client.store.get()).partners).toMatchObject([{ name: 'test', url: agentA.url, state: 'reachable' }])

  expect((await runCommand(bot, 'token', 'list', 'store=edge-a')).output).toContain('2 grants between stores: grant list')
  const grants = await runCommand(bot, 'grant', 'list')
  expect(grants.output).toContain('2 grants')
  expect(grants.output).toMatch(new RegExp(`edge-a +edge-b +${image}`))
  expect((await runCommand(bot, 'grant', 'revoke', items[0]?.id ?? '')).output).toContain('is a token, not a grant')
  expect((await runCommand(bot, 'grant', 'revoke', items[1]?.id ?? '')).output).toContain('task retry, which gives it another grant')
  expect((await runJson(bot, 'grant', 'list')).value['items']).toHaveLength(1)

  expect((await runJson(bot, 'image', 'show', 'disk')).value['stores']).toHaveLength(2)
  const unsaid = await runCommand(bot, 'image', 'delete', 'disk', '--confirm', 'disk')
  expect(unsaid).toMatchObject({ code: 1, output: expect.stringContaining('Add store=NAME to say which copy you mean') })
  expect((await runCommand(bot, 'image', 'sync', 'disk')).output).toContain('needs to=')
  expect((await runCommand(bot, 'image', 'sync', 'disk', 'to=edge-b', 'zone=zone-1')).output).toContain('so it does not serve zone "zone-1"')
  expect((await runCommand(bot, 'image', 'migrate', 'disk', 'to=edge-b', 'zone=zone-1')).output).toContain('so it does not serve zone "zone-1"')
  expect(await runJson(bot, 'image', 'sync', 'disk', 'zone=zone-2')).toMatchObject({ code: 0, value: { store: 'edge-b', state: 'succeeded' } })
  expect((await runCommand(bot, 'image', 'migrate', 'disk', 'zone=zone-2', 'from=edge-a', '--dry-run')).output).toContain('would be copied to edge-b')
  expect((await runCommand(bot, 'image', 'sync', 'nothing', 'to=edge-b')).output).toContain('No store has an image "nothing"')

  await agentA.kill()
  const list = await runJson(bot, 'image', 'list')
  expect(list.value['items']).toHaveLength(1)
  expect(list.value['missing']).toMatchObject([{ store: 'edge-a', state: 'stopped' }])
  expect((await runCommand(bot, 'image', 'list')).output).toContain('edge-a has been Stopped since')
}, 30_000)

test('image sync copies from all stores in from= that have the image, each target first from another one', async () => {
  await using own = new AsyncDisposableStack()
  const folders = await Promise.all(Array.from({ length: 4 }, async () => own.use(await createTemporaryFolder())))
  const agents = await Promise.all(folders.map(async ({ path }) => own.use(await startAgent(path))))
  using bot = openTestBot(folders[0]?.file('home') ?? '')
  for (const [i, agent] of agents.entries())
    await runCommand(bot, 'store', 'add', `name=edge-${i}`, `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')
  const file = folders[0]?.file('disk.raw') ?? ''
  await Bun.write(file, crypto.getRandomValues(new Uint8Array(60_000)))
  expect((await runCommand(bot, 'image', 'upload', file, 'store=edge-0', 'name=disk')).code).toBe(0)
  expect((await runCommand(bot, 'image', 'sync', 'disk', 'to=edge-1')).code).toBe(0)

  expect((await runCommand(bot, 'image', 'sync', 'disk', 'to=edge-2,edge-3', 'from=edge-0,edge-1')).code).toBe(0)
  const sourcesOf = async (number: number): Promise<unknown> => {
    const [task] = (await agents[number]?.client.tasks.list())?.items ?? []
    return syncResultSchema.parse(task?.result).sources?.map(({ url }) => url)
  }
  const [first, second] = agents.map(({ url }) => url)
  expect(await sourcesOf(2)).toEqual([first, second])
  expect(await sourcesOf(3)).toEqual([second, first])
}, 60_000)

test('image migrate copies, checks and then deletes; task retry orders a sync again with a new grant', async () => {
  await using folderA = await createTemporaryFolder()
  await using folderB = await createTemporaryFolder()
  await using agentA = await startAgent(folderA.path)
  await using agentB = await startAgent(folderB.path)
  using bot = openTestBot(folderA.file('home'))
  await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agentA.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')
  await runCommand(bot, 'store', 'add', 'name=edge-b', `url=${agentB.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-2')
  await Bun.write(folderA.file('disk.raw'), crypto.getRandomValues(new Uint8Array(60_000)))
  await runCommand(bot, 'image', 'upload', folderA.file('disk.raw'), 'store=edge-a', 'name=disk')
  const { id } = await agentA.client.images.get('disk')

  const dry = await runJson(bot, 'image', 'sync', 'disk', 'to=edge-b', '--dry-run')
  expect(dry).toMatchObject({ code: 0, value: { state: 'succeeded', result: { dryRun: true, images: [{ id, outcome: 'would-copy', bytesMoved: 60_000 }] } } })
  const migration = await runJson(bot, 'image', 'migrate', 'disk', 'to=edge-b', '--dry-run')
  expect(migration).toMatchObject({
    code: 0,
    value: { confirm: 'disk', blocked: false, question: expect.stringContaining('deleted in edge-a once the copy is checked') },
  })
  expect((await agentA.client.images.list()).items).toHaveLength(1)
  expect((await agentB.client.images.list()).items).toEqual([])

  for (const [option, says] of [
    ['rate=1kB', 'rate=1kB is not a rate from 64 KiB/s to 1 TB/s.'],
    ['rate=65535', 'rate=65535 is not a rate'],
    ['hours=always', 'hours=always is not a list of at most 16 windows.'],
    ['priority=urgent', 'priority=urgent is not valid.'],
  ] as const)
    expect((await runCommand(bot, 'image', 'sync', 'disk', 'to=edge-b', option)).output).toContain(says)
  // The window opens on leap days only, so the copy waits.
  const late = ['rate=64KiB', 'hours=0 0 29 2 * for 1m', 'priority=high']
  const ordered = (await runJson(bot, 'image', 'sync', 'disk', 'to=edge-b', ...late, '--no-wait')).value['id'] as string
  await until('it waits for its window', async () => /-02-29T00:00/.test((await agentB.client.tasks.get(ordered)).continuesAt ?? ''))
  expect((await runCommand(bot, 'task', 'pause', ordered)).code).toBe(0)
  expect(await agentB.client.tasks.get(ordered)).toMatchObject({ state: 'queued', pausedAt: expect.any(String) })
  expect((await runCommand(bot, 'task', 'resume', ordered)).code).toBe(0)
  expect(await agentB.client.tasks.get(ordered)).not.toHaveProperty('pausedAt')
  expect((await runCommand(bot, 'task', 'cancel', ordered)).code).toBe(0)

  expect((await runCommand(bot, 'image', 'migrate', 'disk')).output).toContain('image migrate needs to=')
  expect((await runCommand(bot, 'image', 'migrate', 'disk', 'to=edge-a')).output).toContain('is in edge-a already')
  const asked = await runCommand(bot, 'image', 'migrate', 'disk', 'to=edge-b')
  expect(asked).toMatchObject({ code: 1, output: expect.stringContaining('deleted in edge-a once the copy is checked') })
  expect((await agentB.client.images.list()).items).toEqual([])
  await agentA.client.images.bind(id, 'vm-1')
  expect((await runCommand(bot, 'image', 'migrate', 'disk', 'to=edge-b', '--confirm', 'disk')).output).toContain('used by vm-1')
  await agentA.client.images.unbind(id, 'vm-1')
  const moved = await runJson(bot, 'image', 'migrate', 'disk', 'to=edge-b', '--confirm', 'disk')
  expect(moved).toMatchObject({ code: 0, value: { id, from: 'edge-a', to: 'edge-b' } })
  expect((await agentA.client.images.get(id)).status).toBe('deleted')
  expect((await agentB.client.images.get(id)).status).toBe('available')

  // A sync with a grant that nobody gave fails, and a retry gets one.
  const failed = await agentA.client.sync({ source: { url: agentB.url, token: `slg_${'a'.repeat(43)}` }, images: [id] })
  await until('the task has failed', async () => (await agentA.client.tasks.get(failed.id)).state === 'failed')
  expect((await agentA.client.tasks.get(failed.id)).error?.type).toBe('urn:slipway:problem:grant-ended')
  const again = await runJson(bot, 'task', 'retry', failed.id)
  expect(again).toMatchObject({ code: 0, value: { kind: 'sync', state: 'succeeded', store: 'edge-a' } })
  expect((await agentA.client.images.get(id)).status).toBe('available')
}, 60_000)

test('up to 1 GiB is copied without asking, and one byte more needs the name of the image', async () => {
  const run = async (bytesMoved: number, words = ''): Promise<[string, string | undefined, number]> => {
    const orders: unknown[] = []
    const disk = imageOf(1, { name: 'disk' })
    const result = { slicesMoved: 0, slicesPresent: 0, bytesMoved, images: [{ id: disk.id, name: 'disk', outcome: 'would-copy', bytesMoved }] }
    using it = openScriptedFleet({
      'edge-a': { 'GET /images': page([disk]), 'POST /sync/grants': { id: 'tok_1', token: 'grant', expiresAt: '2026-01-04T00:00:00.000Z' } },
      'edge-x': {
        'GET /images': page([]),
        'POST /sync': ({ body }: Asked) => {
          if ((body as { dryRun?: boolean }).dryRun !== true) orders.push(body)
          return taskOf('x', 'sync', 'succeeded', { id: 'tsk_1', endedAt: '2026-01-01T00:00:01.000Z', result })
        },
      },
    })
    const { outcome, confirm } = await it.run(`image sync disk to=edge-x ${words}`)
    return [outcome, confirm?.name, orders.length]
  }
  expect(await run(1_073_741_824)).toEqual(['done', undefined, 1])
  expect(await run(1_073_741_825)).toEqual(['refused', 'disk', 0])
  expect(await run(1_073_741_825, '--confirm disk')).toEqual(['done', undefined, 1])
})
