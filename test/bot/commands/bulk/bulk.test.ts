// Bulk runs of real images: what `all` selects, what is done once, cancel and retry, in the console and in Slack.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { openBot } from '../../../../bot/open.ts'
import type { OpenBot } from '../../../../bot/open.ts'
import { runLine } from '../../../../bot/commands/run.ts'
import { systemClock } from '../../../../bot/system/clock.ts'
import type { Fetch } from '../../../../protocol/client/exchange.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { serveImages, STORE_ID } from '../../../support/agents/image-server.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { runCommand, runJson } from '../../fixture.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** A store with these images, whose labels say `env=test` except for that of the last, and a bot that knows it. */
async function open(names: readonly string[], wrap: (send: Fetch) => Fetch = (send) => send) {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const store = stack.use(await openImageStore(folder))
  const server = stack.use(await serveImages(store))
  const ids: string[] = []
  for (const [n, name] of names.entries()) {
    const { id } = await store.add(seededBytes(5000, n), { name })
    if (n < names.length - 1) await server.client.images.patch(id, { labels: { env: 'test' } })
    ids.push(id)
  }
  const sent: string[] = []
  const record: Fetch = (url, init) => {
    if ((init.method ?? 'GET') !== 'GET') sent.push(`${init.method} ${new URL(url).pathname.replace('/v1/images/', '')}`)
    return fetch(url, init)
  }
  const bot: OpenBot = stack.use(openBot(folder.file('home'), { clock: systemClock, fetch: wrap(record) }))
  bot.fleet.registry.add({ name: 'edge-a', url: server.url, token: 'admin', zone: 'zone-1', provider: 'local', storeId: STORE_ID }, systemClock.nowMs())
  return { bot, ids, sent, client: server.client, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('all with filters asks for the number of images, and deletes exactly those that were shown', async () => {
  await using it = await open(['a', 'b', 'c', 'other'])
  await it.client.images.patch(it.ids[2] ?? '', { protected: true })
  const asked = await runJson(it.bot, 'image', 'delete', 'all', 'store=edge-a', 'label=env=test')
  expect(asked).toMatchObject({ code: 1, value: { confirm: '2 images', blocked: false } })
  expect(it.sent).toEqual(['POST /v1/unique-size'])
  const { value, code } = await runJson(
    it.bot,
    'image',
    'delete',
    'all',
    'store=edge-a',
    'label=env=test',
    '--confirm',
    '2 images',
    `--plan=${asked.value['planHash'] as string}`,
  )
  expect(code).toBe(0)
  expect(value).toMatchObject({
    items: [
      { name: 'a', status: 'deleted' },
      { name: 'b', status: 'deleted' },
    ],
    failed: [],
    run: { id: 'B1', state: 'done', progress: { done: 2, total: 2 } },
  })
  expect(it.sent.filter((line) => line.startsWith('DELETE'))).toEqual([`DELETE ${it.ids[0]}`, `DELETE ${it.ids[1]}`])
  expect((await it.client.images.get(it.ids[2] ?? '')).status).toBe('available')

  // Another image that fits changes the plan.
  await runJson(it.bot, 'image', 'restore', 'all', 'store=edge-a')
  expect((await it.client.images.get('a')).status).toBe('available')
  await it.client.images.patch(it.ids[3] ?? '', { labels: { env: 'test' } })
  const changed = await runCommand(
    it.bot,
    'image',
    'delete',
    'all',
    'store=edge-a',
    'label=env=test',
    '--confirm',
    '2 images',
    `--plan=${asked.value['planHash'] as string}`,
  )
  expect(changed.code).toBe(1)
  expect((await it.client.images.get('a')).status).toBe('available')
})

test('several images are changed, protected and restored in one run each, and the audit log has each of them', async () => {
  await using it = await open(['a', 'b', 'other'])
  expect(await runJson(it.bot, 'image', 'edit', 'a', 'b', 'labels=team=web', 'memory=1GB')).toMatchObject({
    code: 0,
    value: { run: { id: 'B1', state: 'done' } },
  })
  expect(await it.client.images.get('a')).toMatchObject({ labels: { env: 'test', team: 'web' }, requirements: { memory: 1e9 } })
  expect(await it.client.images.get('other')).toMatchObject({ labels: {}, requirements: null })
  expect((await runCommand(it.bot, 'image', 'edit', 'a', 'b', 'name=x')).output).toContain('name= names one image, and several are meant.')
  it.sent.length = 0
  expect((await runCommand(it.bot, 'image', 'protect', 'all', 'label=env=test')).output).toContain('Protected 2 images')
  expect((await runCommand(it.bot, 'image', 'protect', 'a', 'other')).code).toBe(0)
  // What was so already is not asked for again.
  expect(it.sent).toEqual([`PATCH ${it.ids[0]}`, `PATCH ${it.ids[1]}`, `PATCH ${it.ids[2]}`])
  const rows = it.bot.audit.list({ limit: 20, command: 'image protect', outcome: 'done' })
  expect(rows.map(({ target }) => target).toReversed()).toEqual(['a in edge-a', 'b in edge-a', 'B2', 'all', 'a in edge-a', 'other in edge-a', 'B3', 'a other'])
  expect((await runCommand(it.bot, 'image', 'unprotect', 'all', 'zone=zone-1')).output).toContain('Unprotected 3 images')
})

test('more than twenty images are changed only once somebody has seen how many', async () => {
  await using it = await open(Array.from({ length: 22 }, (_, n) => `n${n}`))
  const asked = await runJson(it.bot, 'image', 'protect', 'all', 'label=env=test')
  expect(asked).toMatchObject({
    code: 1,
    value: {
      confirm: '21 images',
      blocked: false,
      plan: [{ label: 'Bytes', value: '21 images, 105 kB long' }, { label: 'Stores', value: 'edge-a' }, { label: 'Duration' }],
    },
  })
  expect(it.sent).toEqual([])
  expect(await runJson(it.bot, 'image', 'protect', 'all', 'label=env=test', '--confirm', '21 images')).toMatchObject({
    code: 0,
    value: { run: { progress: { done: 21 } } },
  })
})

test('a run that is cancelled stops before its next image; retry does the rest, after the name where that destroys', async () => {
  let cancel = (): void => {}
  await using it = await open(['a', 'b', 'c', 'other'], (send) => (url, init) => {
    if (init.method === 'DELETE') cancel()
    return send(url, init)
  })
  cancel = () => {
    cancel = () => {}
    it.bot.bulkRuns.cancel(1, 'bob', 0)
  }
  const stopped = await runCommand(it.bot, 'image', 'delete', 'a', 'b', 'c', '--confirm', 'a, b, c')
  expect(stopped.code).toBe(1)
  expect(stopped.output).toContain('Deleted only 1 of 3 images')
  expect(stopped.output).toContain('Cancelled before 2 images: nothing was changed there.')
  expect((await runCommand(it.bot, 'task', 'list')).output).toMatch(/B1 +several +image delete +cancelled .*1 of 3 images/)
  expect((await runJson(it.bot, 'task', 'list')).value['bulk']).toMatchObject([{ id: 'B1', state: 'cancelled', counts: { done: 1, skipped: 2 } }])
  expect((await runJson(it.bot, 'task', 'show', 'b1')).value).toMatchObject({
    id: 'B1',
    cancelledBy: 'bob',
    items: [{ state: 'done' }, { state: 'skipped' }, { state: 'skipped' }],
  })
  expect((await runCommand(it.bot, 'task', 'cancel', 'B1')).output).toContain('B1 is not running: Cancelled.')
  const asked = await runJson(it.bot, 'task', 'retry', 'B1')
  expect(asked).toMatchObject({ code: 1, value: { confirm: '2 images' } })
  expect(it.sent.filter((line) => line.startsWith('DELETE'))).toHaveLength(1)
  expect(await runJson(it.bot, 'task', 'retry', 'B1', '--confirm', '2 images', `--plan=${asked.value['planHash'] as string}`)).toMatchObject({
    code: 0,
    value: { state: 'done', counts: { done: 3 } },
  })
  expect(it.sent.filter((line) => line.startsWith('DELETE'))).toEqual(it.ids.slice(0, 3).map((id) => `DELETE ${id}`))
  expect((await runCommand(it.bot, 'task', 'retry', 'B1')).output).toContain('B1 has nothing to retry: Done.')
})

test('an item that was done before the bot was killed is not done again, whatever it was', async () => {
  await using it = await open(['a', 'b', 'c', 'other'])
  const [a = '', b = '', c = ''] = it.ids
  const left = async (verb: 'delete' | 'purge' | 'restore' | 'unprotect', image: string): Promise<unknown> => {
    const begun = it.bot.bulkRuns.begin(
      { verb, title: verb, params: {}, origin: '', surface: 'console', actor: 'tester', actorId: '', channel: '' },
      [{ store: 'edge-a', image, name: 'x', length: 1, params: { wasDeleted: verb === 'purge' } }],
      'killed',
      0,
    )
    if (begun.kind !== 'begun') throw new Error(begun.kind)
    const { id } = begun.run
    it.bot.bulkRuns.next({ id, owner: 'killed' }, 0)
    it.bot.bulkRuns.acquire({ id, owner: 'me' }, 0, true)
    const { carryOut } = await import('../../../../bot/commands/bulk/carry-out.ts')
    const context = it.bot.context({ name: 'tester', role: 'admin' }, 'console')
    it.sent.length = 0
    const done = await carryOut({ runs: it.bot.bulkRuns, context: () => Promise.resolve(context), owner: 'me' }, begun.run)
    return [done.run.state, it.bot.bulkRuns.items(id)[0]?.detail, ...it.sent]
  }
  await it.client.images.delete(a)
  await it.client.images.delete(b, { permanent: true })
  expect(await left('delete', a)).toEqual(['done', 'Was deleted already'])
  expect(await left('delete', b)).toEqual(['done', 'Was deleted already'])
  expect(await left('purge', b)).toEqual(['done', 'Was deleted for good already'])
  expect(await left('restore', c)).toEqual(['done', 'Was restored already'])
  expect(await left('unprotect', c)).toEqual(['done', 'Was so already'])
  expect(await left('purge', c)).toEqual(['failed', 'x was restored.'])
  // Of what had not happened, each happens once.
  expect(await left('purge', a)).toEqual(['done', 'Deleted for good', `DELETE ${a}`])
  expect(await left('delete', c)).toEqual(['done', 'Moved to the recycle bin', `DELETE ${c}`])
})

test('in Slack, a role that was taken away during the run stops the rest', async () => {
  await using it = await open(['a', 'b', 'other'])
  let role: 'operator' | 'viewer' = 'operator'
  const actor = () => ({ id: 'U1', name: 'ada (U1)', role })
  const begun = await runLine({ ...it.bot.context(actor(), 'slack'), channel: 'C1' }, 'image protect a b')
  expect(begun).toMatchObject({ outcome: 'done', isPrivate: true, json: { run: 'B1' } })
  const { carryOut } = await import('../../../../bot/commands/bulk/carry-out.ts')
  it.bot.bulkRuns.acquire({ id: 1, owner: 'me' }, systemClock.nowMs(), true)
  const run = it.bot.bulkRuns.find(1)
  if (!run) throw new Error('no run')
  let asked = 0
  const context = () => {
    if (++asked > 2) role = 'viewer'
    return Promise.resolve(it.bot.context(actor(), 'slack'))
  }
  expect((await carryOut({ runs: it.bot.bulkRuns, context, owner: 'me' }, run)).run.counts).toMatchObject({ done: 1, failed: 1 })
  expect(it.bot.bulkRuns.items(1)[1]).toMatchObject({ detail: 'ada (U1) has the role viewer in edge-a now.' })
  expect((await it.client.images.get('b')).protected).toBe(false)
})
