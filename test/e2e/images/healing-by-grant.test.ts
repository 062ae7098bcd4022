// Healing without origins: a store repairs its slices from a store that it copied from, with the grant of that sync, which no other store can use.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { Database } from 'bun:sqlite'
import { join } from 'node:path'
import { startAgent } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { addImage, contentOf, damagePack, untilEnded } from '../../support/agents/hub-and-edge.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

setDefaultTimeout(90_000)

const BYTES = seededBytes(4_000_000, 7)
/** Bytes of the pack that lie in different slices. */
const DAMAGED = [500_000, 1_500_000, 3_000_000]

interface Stores extends AsyncDisposable {
  readonly source: AgentProcess
  readonly target: AgentProcess
  readonly other: AgentProcess
}

async function startStores(): Promise<Stores> {
  await using stack = new AsyncDisposableStack()
  const start = async (): Promise<AgentProcess> => stack.use(await startAgent(stack.use(await createTemporaryFolder()).path))
  const [source, target, other] = await Promise.all([start(), start(), start()])
  const owned = stack.move()
  return { source, target, other, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Makes a grant for repairs for the target, and copies the image with it. */
async function copyWithGrant({ source, target }: Stores, id: string): Promise<{ readonly id: string; readonly token: string }> {
  const store = await target.client.store.get()
  const grant = await source.client.syncGrants.create({ images: [id], target: store.id, targetKey: store.protocol?.key, hours: 1, healing: true })
  const { id: task } = await target.client.sync({ source: { url: source.url, token: grant.token, healing: true }, images: [id] })
  expect(await untilEnded(target, task)).toMatchObject({ state: 'succeeded' })
  return grant
}

/** Damages the pack of the target, reads until a read has noticed, and waits until the image has left `degraded`. */
async function healOnce(target: AgentProcess, id: string): Promise<void> {
  await damagePack(target, DAMAGED)
  await until('everything is read', async () => {
    const content = await contentOf(target, id).catch(() => undefined)
    return Buffer.isBuffer(content) && content.equals(BYTES)
  })
  await until('the image is available', async () => (await target.client.images.get(id)).status === 'available')
}

async function eventsOf(agent: AgentProcess, type: string) {
  return (await agent.client.events.list({ limit: 200 })).items.filter((event) => event.type === type)
}

test('damage is repaired with the grant of a sync, after a restart too, until the grant is revoked', async () => {
  await using stores = await startStores()
  const { source, target } = stores
  const id = await addImage(source, BYTES)
  const grant = await copyWithGrant(stores, id)
  await until('the source is remembered', async () => (await target.client.store.get()).partners?.[0]?.state === 'reachable')
  const sourceId = (await source.client.store.get()).id
  expect((await target.client.store.get()).partners).toMatchObject([{ id: sourceId, name: 'test', url: source.url }])
  expect((await target.client.health()).checks.find(({ name }) => name === 'sync-partners')).toMatchObject({ state: 'ok' })

  await target.restart()
  await healOnce(target, id)
  // A pass tells what it put back at its end, after the image is available again.
  const slicesHealed = (events: Awaited<ReturnType<typeof eventsOf>>): number => events.reduce((sum, { details }) => sum + Number(details?.['slices']), 0)
  await until('the events name every slice', async () => slicesHealed(await eventsOf(target, 'slices.healed')) >= DAMAGED.length)
  const events = await eventsOf(target, 'slices.healed')
  expect(slicesHealed(events)).toBe(3)
  const [healed] = events
  expect(healed?.message).toMatch(/from store test, which this store synced with, and put back\.$/)
  expect(healed?.details).toMatchObject({ partner: 'test', storeId: sourceId, url: source.url })
  await until('the last pass has succeeded', async () => (await target.client.tasks.list({ kind: 'heal' })).items.at(0)?.state === 'succeeded')

  // The token is neither in the database of the target in clear, nor in its log.
  using database = new Database(join(target.folder, 'state', 'agent.db'), { readonly: true })
  const kept = JSON.stringify(database.query('SELECT * FROM kept').all())
  expect(kept).toContain(sourceId)
  expect(kept).not.toContain(grant.token)
  expect(target.log()).not.toContain(grant.token)

  await source.client.tokens.delete(grant.id)
  await damagePack(target, [700_000])
  await target.restart()
  await target.client.schedules.run('scrub')
  await until('the image is degraded', async () => (await target.client.images.get(id)).status === 'degraded')
  await until('the partner is forgotten', async () => (await eventsOf(target, 'partner.forgotten')).length === 1)
  expect((await target.client.store.get()).partners).toBeUndefined()
}, 150_000)

test('a grant that was stolen is refused to another store and to who sends it without a proof', async () => {
  await using stores = await startStores()
  const { source, target, other } = stores
  const id = await addImage(source, BYTES)
  const { token } = await copyWithGrant(stores, id)
  const stolen = await other.client.sync({ source: { url: source.url, token }, images: [id] })
  expect(await untilEnded(other, stolen.id)).toMatchObject({
    state: 'failed',
    error: { type: 'urn:slipway:problem:peer-refused', detail: expect.stringContaining('403, grant-bound: grant is for another store') },
  })
  for (const path of ['/v1/store', `/v1/images/${id}`, `/v1/images/${id}/manifest`]) {
    const refused = await fetch(`${source.url}${path}`, { headers: { authorization: `Bearer ${token}` } })
    expect([refused.status, refused.headers.get('slipway-nonce')]).toEqual([401, expect.stringMatching(/^[\w-]{32}$/)])
  }
  expect((await other.client.images.list()).items).toEqual([])

  // The bound store goes on.
  const again = await target.client.sync({ source: { url: source.url, token }, images: [id] })
  expect(await untilEnded(target, again.id)).toMatchObject({ state: 'succeeded', result: { images: [{ outcome: 'already-there' }] } })
})

test('only grants are kept for repairs', async () => {
  await using stores = await startStores()
  const { source, target } = stores
  const id = await addImage(source, BYTES)
  const { token } = await source.client.tokens.create({ name: 'target', role: 'viewer' })
  expect(target.client.sync({ source: { url: source.url, token, healing: true }, images: [id] })).rejects.toMatchObject({ code: 'invalid-input' })
  const { id: task } = await target.client.sync({ source: { url: source.url, token }, images: [id] })
  await untilEnded(target, task)
  const plain = await source.client.syncGrants.create({ images: [id], hours: 1 })
  const { id: second } = await target.client.sync({ source: { url: source.url, token: plain.token }, images: [id] })
  await untilEnded(target, second)
  expect((await target.client.store.get()).partners).toBeUndefined()
})
