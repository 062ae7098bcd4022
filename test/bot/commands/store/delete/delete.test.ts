// The checklist of `store delete`.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { OpenBot } from '../../../../../bot/open.ts'
import { systemClock } from '../../../../../bot/system/clock.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../../../support/agents/agent-process.ts'
import { uploadedImage } from '../../../../support/agents/uploaded-image.ts'
import { seededBytes } from '../../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../../../fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('names the images and instances that depend on the store, and what happens to each', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  using bot = openTestBot(folder.file('home'))
  bot.fleet.registry.add({ name: 'edge-a', url: agent.url, token: TEST_ADMIN_TOKEN, zone: 'zone-1', provider: 'local', storeId: null }, systemClock.nowMs())
  const check = async (label: string): Promise<string> => {
    const { value } = await runJson(bot, 'store', 'delete', 'edge-a')
    return (value['checklist'] as { label: string; detail: string }[]).find((item) => item.label === label)?.detail ?? 'not listed'
  }
  expect(await check('Images in edge-a')).toBe('none')
  expect(await check('Images of edge-a in use')).toBe('none')

  const ids: string[] = []
  for (let i = 0; i < 12; i++) {
    const created = await fetch(`${agent.url}/v1/uploads`, {
      method: 'POST',
      headers: agent.headers({
        'tus-resumable': '1.0.0',
        'upload-length': '1000',
        'upload-metadata': `name ${btoa(`image-${i}`)}`,
        'content-type': 'application/offset+octet-stream',
      }),
      body: seededBytes(1000, i + 1),
    })
    ids.push((created.headers.get('content-location') ?? '').slice('/v1/images/'.length))
  }
  await agent.client.images.bind(ids[3] ?? '', 'vm-7')
  expect(await check('Images in edge-a')).toMatch(/^12 images \(image-11, .* and 2 more\): they stay on the disk of the store, but the bot no longer lists/)
  expect(await check('Images of edge-a in use')).toMatch(/^image-3 by vm-7: these instances keep reading from the store/)
})

describe('what exists only in the store, and what names it', () => {
  const stack = new AsyncDisposableStack()
  const ids = { shared: '', sole: '', bound: '' }
  let bot: OpenBot
  let a: AgentProcess
  let b: AgentProcess
  let c: AgentProcess
  beforeAll(async () => {
    bot = stack.use(openTestBot(stack.use(await createTemporaryFolder()).path))
    a = stack.use(await startAgent(stack.use(await createTemporaryFolder()).path))
    const origins = `[[origins]]\nname = "first"\nurl = "${a.url}"\ntoken = "${TEST_ADMIN_TOKEN}"\n`
    b = stack.use(await startAgent(stack.use(await createTemporaryFolder()).path, { config: origins }))
    c = stack.use(await startAgent(stack.use(await createTemporaryFolder()).path, { config: '[sync]\npeers = ["192.0.2.0/24"]\n' }))
    for (const [name, agent] of [
      ['edge-a', a],
      ['edge-b', b],
      ['edge-c', c],
    ] as const)
      // prettier-ignore
      expect((await runCommand(bot, 'store', 'add', `name=${name}`, `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')).code).toBe(0)
    ids.shared = await uploadedImage(a, 'shared', 1)
    expect((await runCommand(bot, 'image', 'sync', 'shared', 'to=edge-b')).code).toBe(0)
    ids.sole = await uploadedImage(a, 'sole', 2)
    ids.bound = await uploadedImage(a, 'bound', 3)
    await a.client.images.bind(ids.bound, 'vm-7')
    expect((await runCommand(bot, 'policy', 'add', 'mirror', 'follow=edge-a', 'store=edge-c')).code).toBe(0)
  })
  afterAll(() => stack.disposeAsync())

  const checklist = async (...words: string[]): Promise<Record<string, { passed: boolean; detail: string }>> => {
    const { value } = await runJson(bot, 'store', 'delete', 'edge-a', ...words)
    const items = value['checklist'] as { label: string; passed: boolean; detail: string }[]
    return Object.fromEntries(items.map(({ label, ...item }) => [label, item]))
  }

  test('is on the checklist, with what to add; a policy that names the store blocks', async () => {
    expect(await checklist()).toMatchObject({
      'Images only in edge-a': {
        passed: true,
        detail: '2 images (bound, sole): no other store has them; add copy-to=S to copy them to another store first',
      },
      'Policies that name edge-a': {
        passed: false,
        detail: 'mirror, which copies images of edge-a to edge-c; add repoint-to=S to let them name another store, or run policy edit or policy delete',
      },
      'Origins that name edge-a': {
        passed: true,
        detail: `in the configuration of edge-b (/etc/slipway/edge-b.toml), [[origins]] with name = "first" has url = "${a.url}": remove it, or write the address of another store, then restart the agent`,
      },
    })
  })

  test.each([
    [['copy-to=edge-a'], 'edge-a is to be removed itself'],
    [['repoint-to=edge-x'], 'No store is called "edge-x"'],
  ])('%p is refused', async (words, reason) => {
    expect((await runCommand(bot, 'store', 'delete', 'edge-a', ...words)).output).toContain(reason)
  })

  test('a policy would copy a store to itself, or a target that takes no images: both block', async () => {
    expect((await checklist('repoint-to=edge-c'))['Policies that name edge-a']).toEqual({
      passed: false,
      detail: 'mirror would copy edge-c to itself; run policy edit or policy delete first',
    })
    await b.client.store.patch({ imagesEnabled: false })
    expect((await checklist('copy-to=edge-b'))['Copies to edge-b']).toMatchObject({
      passed: false,
      detail: expect.stringContaining('images are switched off in edge-b'),
    })
    await b.client.store.patch({ imagesEnabled: true })
  })

  test('a copy that fails keeps the store', async () => {
    const { code, output } = await runCommand(bot, 'store', 'delete', 'edge-a', 'copy-to=edge-c', 'repoint-to=edge-b', '--confirm', 'edge-a')
    expect(code).toBe(1)
    expect(output).toContain('not allowed')
    expect(bot.fleet.registry.find('edge-a')).toBeDefined()
    expect((await b.client.images.list()).items.map(({ name }) => name)).toEqual(['shared'])
  })

  test('with copy-to= and repoint-to=, the images are copied first, and policies and bindings name the other store', async () => {
    const words = ['copy-to=edge-b', 'repoint-to=edge-b']
    expect(await checklist(...words)).toMatchObject({
      'Images only in edge-a': { passed: true, detail: '2 images (bound, sole): they are copied to edge-b before edge-a is removed' },
      'Policies that name edge-a': { passed: true, detail: 'mirror, which copies images of edge-a to edge-c; they will name edge-b instead' },
      'Bindings of edge-a': {
        passed: true,
        detail: 'bound for vm-7: edge-b binds its copies to these instances; the bindings of edge-a stay until the instances read from edge-b',
      },
      'Origins that name edge-a': { detail: expect.stringContaining(`write url = "${b.url}" and a token of edge-b`) },
      'Copies to edge-b': { passed: true, detail: expect.stringMatching(/^2 images, up to /) },
    })
    expect(bot.fleet.registry.find('edge-a')).toBeDefined()

    const { code, value } = await runJson(bot, 'store', 'delete', 'edge-a', ...words, '--confirm', 'edge-a')
    expect([code, value]).toMatchObject([0, { removed: ['edge-a'], tasks: [{ store: 'edge-b', state: 'succeeded' }] }])
    expect(bot.fleet.registry.find('edge-a')).toBeUndefined()
    expect((await b.client.images.list()).items.map(({ name }) => name).toSorted()).toEqual(['bound', 'shared', 'sole'])
    expect((await b.client.images.get(ids.bound)).bindings).toEqual(['vm-7'])
    expect((await a.client.images.get(ids.bound)).bindings).toEqual(['vm-7'])
    expect((await runJson(bot, 'policy', 'list')).value['items']).toMatchObject([{ name: 'mirror', follow: 'edge-b', store: 'edge-c' }])
  })
})
