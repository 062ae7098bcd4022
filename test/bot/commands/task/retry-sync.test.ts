// `task retry` of a sync orders all that was ordered, whatever a sync may be told: a member that is new in the order must have a row here.

import { describe, expect, test } from 'bun:test'
import { syncOrderSchema, syncRequestSchema } from '../../../../protocol/sync/sync.ts'
import type { SyncOrder, SyncRequest } from '../../../../protocol/sync/sync.ts'
import { syncLimitsSchema } from '../../../../protocol/sync/sync-limits.ts'
import type { SyncLimits } from '../../../../protocol/sync/sync-limits.ts'
import { createAgentClient } from '../../../../protocol/client/client.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../../support/agents/agent-process.ts'
import { addImage, untilEnded } from '../../../support/agents/hub-and-edge.ts'
import { seededBytes } from '../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'
import { openTestBot, runCommand, runJson } from '../../fixture.ts'

/** A window that is open all the time, and one that opens on leap days only. */
const ALWAYS = { cron: '* * * * *', minutes: 5 }
const NEVER = { cron: '0 0 29 2 *', minutes: 1 }
const LIMITS: Required<SyncLimits> = { bytesPerSecond: 5_000_000, hours: [ALWAYS], priority: 'low' }
/** Every member of a request other than its sources and images, with a value that is not the default. */
const REQUEST: Required<Omit<SyncRequest, 'source' | 'sources' | 'images'>> = { dryRun: true, limits: LIMITS }

async function setUp() {
  await using own = new AsyncDisposableStack()
  const folders = await Promise.all(Array.from({ length: 3 }, async () => own.use(await createTemporaryFolder())))
  const [a, b, target] = await Promise.all(folders.map(async ({ path }) => own.use(await startAgent(path))))
  if (!a || !b || !target) throw new Error('three agents must have started')
  const bot = own.use(openTestBot(folders[0]?.file('home') ?? ''))
  for (const [name, agent] of Object.entries({ 'edge-a': a, 'edge-b': b, 'edge-c': target }))
    await runCommand(bot, 'store', 'add', `name=${name}`, `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')
  const bytes = seededBytes(60_000, 1)
  const ids = [await addImage(a, bytes, 'one'), await addImage(a, seededBytes(50_000, 2), 'two')]
  // Both sources have the first image, under one id.
  const copied = await b.client.sync({ source: { url: a.url, token: TEST_ADMIN_TOKEN }, images: [ids[0] ?? ''] })
  await untilEnded(b, copied.id)
  await until('the copy is available', async () => (await b.client.images.get(ids[0] ?? '')).status === 'available')
  const owned = own.move()
  return { a, b, target, bot, ids, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

describe('a sync that is ordered again', () => {
  test('has a row here for each member of an order', () => {
    expect(['images', 'sources', ...Object.keys(REQUEST)].toSorted()).toEqual(Object.keys(syncOrderSchema.shape).toSorted())
    expect(
      Object.keys(syncRequestSchema.shape)
        .filter((name) => name !== 'source')
        .toSorted(),
    ).toEqual(Object.keys(syncOrderSchema.shape).toSorted())
    expect(Object.keys(LIMITS).toSorted()).toEqual(Object.keys(syncLimitsSchema.shape).toSorted())
  })

  test('keeps its sources, images and everything else', async () => {
    await using it = await setUp()
    const { a, b, target, bot, ids } = it
    const [id = ''] = ids
    // Two syncs from a server that does not answer leave no place for others, which therefore stay as they were ordered.
    using silent = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
    for (const image of ids)
      await target.client.sync({ source: { url: `http://127.0.0.1:${silent.port}`, token: 'x' }, images: [image], limits: { priority: 'high' } })
    await until('both run', async () => (await target.client.tasks.list({ state: 'running' })).items.length === 2)

    for (const request of [REQUEST, { limits: LIMITS }, { limits: { bytesPerSecond: 70_000 } }, { dryRun: true }, {}]) {
      const sources = [b.url, a.url].map((url) => ({ url, token: TEST_ADMIN_TOKEN }))
      const first = await target.client.sync({ sources, images: [id], ...request })
      const expected: SyncOrder = { sources: [{ url: b.url }, { url: a.url }], images: [id], ...request }
      expect((await target.client.tasks.get(first.id)).order).toEqual(expected)
      await target.client.tasks.cancel(first.id)
      expect(await target.client.tasks.get(first.id)).toMatchObject({ state: 'cancelled', order: expected })

      const again = await runJson(bot, 'task', 'retry', first.id, '--no-wait')
      expect(again).toMatchObject({ code: 0, value: { kind: 'sync', state: 'queued', store: 'edge-c' } })
      const secondId = again.value['id'] as string
      expect(secondId).not.toBe(first.id)
      // The bot has the target keep the new grants for repairs, which a dry run does not need.
      const healing = 'dryRun' in request ? {} : { healing: true }
      expect((await target.client.tasks.get(secondId)).order).toEqual({
        ...expected,
        sources: [
          { url: b.url, ...healing },
          { url: a.url, ...healing },
        ],
      })
      await target.client.tasks.cancel(secondId)
    }
  }, 60_000)

  test('says which of its sources the fleet does not have, and needs no result', async () => {
    await using it = await setUp()
    const { a, target, bot, ids } = it
    const sources = [a.url, 'http://127.0.0.1:9'].map((url) => ({ url, token: TEST_ADMIN_TOKEN }))
    const { id } = await target.client.sync({ sources, images: ids, limits: { hours: [NEVER], priority: 'high' } })
    await until('it waits for its hours', async () => (await target.client.tasks.get(id)).continuesAt)
    await target.client.tasks.cancel(id)
    expect(await target.client.tasks.get(id)).not.toHaveProperty('result')
    const again = await runCommand(bot, 'task', 'retry', id, '--no-wait')
    expect(again).toMatchObject({ code: 0, output: expect.stringContaining('http://127.0.0.1:9 is no store of this fleet and is not used again.') })
    const { items } = await target.client.tasks.list({ kind: 'sync', state: 'queued' })
    expect(items).toHaveLength(1)
    expect((await target.client.tasks.get(items[0]?.id ?? '')).order).toEqual({
      sources: [{ url: a.url, healing: true }],
      images: ids,
      limits: { hours: [NEVER], priority: 'high' },
    })
  }, 60_000)

  test('is shown to operators only, and not in lists', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    const image = await addImage(agent, seededBytes(10_000, 3), 'one')
    const { id } = await agent.client.sync({ source: { url: 'http://127.0.0.1:9', token: 'x' }, images: [image], limits: { hours: [NEVER] } })
    const order = { sources: [{ url: 'http://127.0.0.1:9' }], images: [image], limits: { hours: [NEVER] } }
    for (const [role, shown] of [
      ['viewer', undefined],
      ['uploader', undefined],
      ['operator', order],
    ] as const) {
      const { token } = await agent.client.tokens.create({ name: role, role })
      expect((await createAgentClient({ baseUrl: agent.url, token }).tasks.get(id)).order).toEqual(shown)
    }
    expect((await agent.client.tasks.list({ kind: 'sync' })).items[0]).not.toHaveProperty('order')
  }, 60_000)
})
