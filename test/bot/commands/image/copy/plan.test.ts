// What image sync and image migrate say before they copy, between two real agents: bytes to send, bytes that are there, space, and how large a plan asks.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { blankImage } from '../../../../../agent/images/records/image-file.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../../../support/agents/agent-process.ts'
import { uploadedImage } from '../../../../support/agents/uploaded-image.ts'
import { createMemoryAgent } from '../../../../support/memory/memory-agent.ts'
import { createTemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import { seededBytes } from '../../../../support/images/image-store.ts'
import { openTestBot, runCommand, runJson } from '../../../fixture.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(120_000)

const SOURCE = { kind: 'upload', uploadId: null, storeId: null, url: null, filename: null, device: null } as const
const IMAGE = { kind: 'system', format: 'raw', status: 'available', source: SOURCE, length: 600, virtualSize: 600 } as const

async function open() {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const [a, b] = [stack.use(await startAgent(folder.file('a'))), stack.use(await startAgent(folder.file('b')))]
  const bot = stack.use(openTestBot(folder.file('home')))
  for (const [name, { url }] of [
    ['edge-a', a],
    ['edge-b', b],
  ] as const)
    await runCommand(bot, 'store', 'add', `name=${name}`, `url=${url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')
  const upload = async (name: string, bytes: Uint8Array): Promise<void> => {
    await Bun.write(folder.file(name), bytes)
    expect((await runCommand(bot, 'image', 'upload', folder.file(name), 'store=edge-a', `name=${name}`)).code).toBe(0)
  }
  return { a, b, bot, upload, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('a plan has the bytes that the target lacks, and a copy runs only while its plan is the one that was seen', async () => {
  await using it = await open()
  const first = seededBytes(400_000, 1)
  await it.upload('one', first)
  expect((await runCommand(it.bot, 'image', 'sync', 'one', 'to=edge-b')).output.replaceAll(/\s+/g, ' ')).toContain('Plan: bytes: at most 400 kB to copy')
  // The second version repeats the first and has 100 kB more.
  await it.upload('two', Buffer.concat([first, seededBytes(100_000, 2)]))
  const plan = async () =>
    (await runJson(it.bot, 'image', 'migrate', 'two', 'from=edge-a', 'to=edge-b', '--dry-run')).value as {
      planHash: string
      plan: { label: string; value: string }[]
    }
  const { planHash, plan: promises } = await plan()
  const facts = Object.fromEntries(promises.map(({ label, value }) => [label, value]))
  const [missing, present] = [facts['Bytes'] ?? '', facts['Already there'] ?? ''].map((text) => Number(/(?<kB>[\d.]+) kB/.exec(text)?.groups?.['kB']))
  expect(missing).toBeGreaterThanOrEqual(100)
  expect(missing).toBeLessThan(300)
  expect((missing ?? 0) + (present ?? 0)).toBeGreaterThanOrEqual(499)
  expect((missing ?? 0) + (present ?? 0)).toBeLessThanOrEqual(501)
  expect(facts['Space']).toMatch(/available in edge-b$/)
  // The grants of the questions are taken back: only that of the first copy is left.
  expect((await it.a.client.tokens.list()).items.filter(({ grant }) => grant !== null)).toHaveLength(1)

  const stale = await runJson(it.bot, 'image', 'sync', 'two', 'to=edge-b', `--plan=${'0'.repeat(32)}`)
  expect(stale).toMatchObject({ code: 1, value: { confirm: 'two', blocked: false } })
  expect((await it.b.client.images.list()).items).toHaveLength(1)
  const hash = stale.value['planHash'] as string
  expect(await runJson(it.bot, 'image', 'sync', 'two', 'to=edge-b', `--plan=${hash}`)).toMatchObject({
    code: 0,
    value: { state: 'succeeded', store: 'edge-b' },
  })
  // What was to be copied is there now, so the plan of the move is another one.
  expect(await runJson(it.bot, 'image', 'migrate', 'two', 'from=edge-a', 'to=edge-b', '--confirm', 'two', `--plan=${planHash}`)).toMatchObject({
    code: 1,
    value: { changes: expect.any(Array) },
  })
  expect((await it.a.client.images.get('two')).status).toBe('available')
  const now = await plan()
  const moved = await runJson(it.bot, 'image', 'migrate', 'two', 'from=edge-a', 'to=edge-b', '--confirm', 'two', `--plan=${now.planHash}`)
  expect(moved).toMatchObject({ code: 0, value: { name: 'two', from: 'edge-a', to: 'edge-b' } })
  expect((await runJson(it.bot, 'task', 'show', 'B1')).value).toMatchObject({
    command: 'image migrate',
    state: 'done',
    items: [{ name: 'two', state: 'done', detail: 'It is in the recycle bin of edge-a.' }],
  })
})

test('all copies what the filters select, as one bulk run', async () => {
  await using it = await open()
  for (let n = 1; n < 4; n++) await it.a.client.images.patch(await uploadedImage(it.a, `n${n}`, n), { labels: n < 3 ? { env: 'test' } : {} })
  const words = ['image', 'sync', 'all', 'label=env=test', 'to=edge-b'] as const
  const { code, value } = await runJson(it.bot, ...words)
  expect([code, value['run']]).toMatchObject([0, { id: 'B1', command: 'image sync', state: 'done', progress: { done: 2, total: 2 } }])
  expect(value['items']).toHaveLength(2)
  expect((await it.b.client.images.list()).items.map(({ name }) => name).toSorted()).toEqual(['n1', 'n2'])
  expect((await runCommand(it.bot, 'image', 'sync', 'all', 'to=edge-b')).output).toContain('all images of the whole fleet are never meant')
})

test('more than twenty copies ask for their number', async () => {
  const images = Array.from({ length: 21 }, (_, n) => blankImage({ ...IMAGE, id: `img_${String(n).padStart(26, '0')}`, name: `n${n}` }, 0))
  await using a = createMemoryAgent('edge-a')
  await using b = createMemoryAgent('edge-b')
  a.images.push(...images)
  await using folder = await createTemporaryFolder()
  using bot = openTestBot(folder.path)
  for (const { url, token, store } of [a, b]) bot.fleet.registry.add({ name: store.name, url, token, zone: 'zone-1', provider: 'local', storeId: store.id }, 0)
  const asked = await runJson(bot, 'image', 'sync', 'all', 'from=edge-a', 'to=edge-b')
  expect(asked).toMatchObject({ code: 1, value: { confirm: '21 copies', blocked: false } })
  expect([a.tasks.size, b.tasks.size, bot.bulkRuns.list(10)]).toEqual([0, 0, []])
})
