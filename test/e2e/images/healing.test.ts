// Healing: damage in a store with an origin is repaired without an operator, whatever finds it, and as soon as the origin answers.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { addImage, contentOf, copyToEdge, damagePack, startHubAndEdge } from '../../support/agents/hub-and-edge.ts'
import type { HubAndEdge } from '../../support/agents/hub-and-edge.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { until } from '../../support/until.ts'

setDefaultTimeout(90_000)

const LENGTH = 8_000_000
const BYTES = seededBytes(LENGTH, 5)
/** Bytes of the pack that lie in different slices. */
const DAMAGED = [1_000_000, 2_000_000, 5_000_000]

async function untilIntact({ edge }: HubAndEdge, id: string): Promise<void> {
  await until('the image is available', async () => (await edge.client.images.get(id)).status === 'available')
  await until('health is good again', async () => {
    const { checks } = await edge.client.health()
    return ['quarantine', 'images', 'last-scrub'].every((sought) => checks.find(({ name }) => name === sought)?.state === 'ok')
  })
}

/** Waits until each of these events was emitted. */
async function untilEvents({ edge }: HubAndEdge, types: readonly string[]): Promise<void> {
  await until(`there are the events ${types.join()}`, async () => {
    const told = new Set((await edge.client.events.list({ limit: 100 })).items.map(({ type }) => type))
    return types.every((type) => told.has(type))
  })
}

test('reads that find damaged slices have them fetched once each, and the image leaves degraded by itself', async () => {
  await using pair = await startHubAndEdge()
  const id = await addImage(pair.hub, BYTES)
  await copyToEdge(pair, id)
  await damagePack(pair.edge, DAMAGED)
  const downBefore = pair.line.bytes.down
  const reads = await Promise.allSettled(Array.from({ length: 8 }, () => contentOf(pair.edge, id)))
  for (const read of reads) if (read.status === 'fulfilled' && Buffer.isBuffer(read.value)) expect(read.value.equals(BYTES)).toBe(true)
  await until('everything is read', async () => {
    const content = await contentOf(pair.edge, id).catch(() => undefined)
    return Buffer.isBuffer(content) && content.equals(BYTES)
  })
  await untilIntact(pair, id)
  // Three slices of at most 128 KiB, with identities, lists and headers.
  expect(pair.line.bytes.down - downBefore).toBeLessThan(3 * 131_072 + 100_000)
  await untilEvents(pair, ['slice.damaged', 'image.degraded', 'slices.healed', 'image.recovered'])
  const { items } = await pair.edge.client.events.list({ limit: 100 })
  const healed = items.filter(({ type }) => type === 'slices.healed')
  expect(healed.map(({ details }) => Number(details?.['slices'])).reduce((sum, slices) => sum + slices, 0)).toBe(3)
  expect(healed[0]?.message).toMatch(/from origin hub and put back\.$/)
  const tasks = await pair.edge.client.tasks.list({ kind: 'heal' })
  expect(tasks.items.length).toBeGreaterThan(0)
  expect(tasks.items.at(0)).toMatchObject({ state: 'succeeded', createdBy: 'healing', subject: 'test' })
  expect(pair.edge.log()).not.toContain(pair.token)
})

test('a scrub finds damage while the origin is down, and it is repaired when the origin is back', async () => {
  await using pair = await startHubAndEdge()
  const id = await addImage(pair.hub, BYTES)
  await copyToEdge(pair, id)
  await pair.hub.stop()
  await damagePack(pair.edge, DAMAGED)
  await pair.edge.restart()
  await pair.edge.client.schedules.run('scrub')
  await until('the image is degraded', async () => (await pair.edge.client.images.get(id)).status === 'degraded')
  const failed = await until('a task says that the origin does not answer', async () =>
    (await pair.edge.client.tasks.list({ kind: 'heal', state: 'failed' })).items.at(0),
  )
  expect(failed.error).toMatchObject({ type: 'urn:slipway:problem:origin-unreachable', status: 502 })
  expect((await pair.edge.client.store.get()).origins).toMatchObject([{ name: 'hub', state: 'unreachable' }])
  expect((await pair.edge.client.health()).checks.find(({ name }) => name === 'origins')).toMatchObject({ state: 'warning' })
  await pair.hub.restart()
  pair.line.setTarget(Number(new URL(pair.hub.url).port))
  // A probe finds the origin within a minute.
  await untilIntact(pair, id)
  expect((await contentOf(pair.edge, id)).toString()).toBe(Buffer.from(BYTES).toString())
  expect((await pair.edge.client.store.get()).origins).toMatchObject([{ name: 'hub', state: 'reachable' }])
}, 150_000)

test('a start repairs what was known to be damaged, manifests too', async () => {
  await using pair = await startHubAndEdge()
  const id = await addImage(pair.hub, BYTES)
  await copyToEdge(pair, id)
  await pair.edge.stop()
  await rm(join(pair.edge.folder, 'store', 'images', id, 'manifest'))
  await damagePack(pair.edge, DAMAGED)
  await pair.edge.restart()
  await until('the image is available', async () => (await pair.edge.client.images.get(id)).status === 'available')
  await untilEvents(pair, ['image.healed'])
  await until('everything is read', async () => {
    const content = await contentOf(pair.edge, id).catch(() => undefined)
    return Buffer.isBuffer(content) && content.equals(BYTES)
  })
  await untilIntact(pair, id)
})

test('what no origin has stays degraded, and the task says so', async () => {
  await using pair = await startHubAndEdge()
  const id = await addImage(pair.edge, BYTES)
  await damagePack(pair.edge, DAMAGED)
  await pair.edge.restart()
  await contentOf(pair.edge, id).catch(() => undefined)
  const failed = await until('a task failed', async () => (await pair.edge.client.tasks.list({ kind: 'heal', state: 'failed' })).items.at(0))
  expect(failed.error).toMatchObject({ type: 'urn:slipway:problem:data-corrupt' })
  expect(failed.error?.detail).toMatch(/^1 image and [1-3] slices? are still damaged: no origin has them\.$/)
  expect((await pair.edge.client.images.get(id)).status).toBe('degraded')
  await untilEvents(pair, ['heal.incomplete'])
})
