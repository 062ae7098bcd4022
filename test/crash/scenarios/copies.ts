// Crashes while images are copied from another store: by a sync, to repair a slice, and to answer a reader.

import { expect } from 'bun:test'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAgentClient } from '../../../protocol/client/client.ts'
import { TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import type { AgentProcess } from '../../support/agents/agent-process.ts'
import { until } from '../../support/until.ts'
import { ended, MIB } from './stage.ts'
import type { Scenario, Stage } from './stage.ts'

/** Pauses a sync whose source does not answer. */
export const pauseSync: Scenario = {
  async run({ agent }) {
    const { id } = await agent.client.sync({ source: { url: 'http://127.0.0.1:9', token: 'none' }, images: ['elsewhere'] })
    await agent.client.tasks.pause(id)
  },
  async after({ agent }) {
    const { items } = await agent.client.tasks.list({ kind: 'sync' })
    expect(items).toMatchObject([{ state: 'queued', detail: expect.stringContaining('Paused by') }])
    await agent.client.tasks.cancel(items[0]?.id ?? '')
  },
}
export const sync: Scenario = {
  run: ({ agent, source }) => agent.client.sync({ source: { url: source.url, token: TEST_ADMIN_TOKEN }, images: [source.imageId] }),
  async after({ agent, ledger, source }) {
    // The task was acknowledged, so it resumes by itself.
    const { items } = await agent.client.tasks.list({ kind: 'sync' })
    const task = await ended(agent, items[0]?.id ?? '')
    expect({ state: task.state, error: task.error }).toEqual({ state: 'succeeded', error: undefined })
    await ledger.verify([ledger.add(source.imageId, source.bytes)])
  },
}

/** Copies an image with a grant for repairs, which is kept at the end of the sync. */
export const syncWithGrant: Scenario = {
  async run({ agent, source }) {
    const sourceClient = createAgentClient({ baseUrl: source.url, token: TEST_ADMIN_TOKEN })
    const key = (await agent.client.store.get()).protocol?.key
    const { token } = await sourceClient.syncGrants.create({ images: [source.imageId], targetKey: key, hours: 1, healing: true })
    await agent.client.sync({ source: { url: source.url, token, healing: true }, images: [source.imageId] })
  },
  async after(stage) {
    await sync.after?.(stage)
    expect((await stage.agent.client.store.get()).partners).toMatchObject([{ url: stage.source.url }])
  },
}

/** Damages one slice of a copy whose source is an origin, and reads it, so that the slice is fetched. */
const originOf = ({ source }: Stage): string => `[[origins]]\nname = "elsewhere"\nurl = "${source.url}"\ntoken = "${TEST_ADMIN_TOKEN}"\n`
export const heal: Scenario = {
  async run(stage) {
    const { agent, source } = stage
    const { id } = await agent.client.sync({ source: { url: source.url, token: TEST_ADMIN_TOKEN }, images: [source.imageId] })
    await ended(agent, id)
    await agent.restart({ config: originOf(stage), environment: { SLIPWAY_CRASH_POINT: 'heal:slices-stored' } })
    flipStored(agent, source.bytes.subarray(5 * MIB, 5 * MIB + 64))
    await fetch(`${agent.url}/v1/images/${source.imageId}/content`, { headers: agent.headers() }).then((answer) => answer.arrayBuffer())
    await agent.ended()
  },
  async after(stage) {
    const { agent, ledger, source } = stage
    await agent.restart({ config: originOf(stage) })
    await until('the image is available', async () => (await agent.client.images.get(source.imageId)).status === 'available')
    await until('nothing is quarantined', async () => (await agent.client.health()).checks.find(({ name }) => name === 'quarantine')?.state === 'ok')
    ledger.add(source.imageId, source.bytes)
  },
}
/** Reads an image that only the origin has, so that it is copied. */
export const readThrough = (point: string): Scenario => ({
  async run(stage) {
    const { agent, source } = stage
    await agent.restart({ config: originOf(stage), environment: { SLIPWAY_CRASH_POINT: point } })
    await fetch(`${agent.url}/v1/images/${source.imageId}/content`, { headers: agent.headers() }).then((answer) => answer.arrayBuffer())
    await agent.ended()
  },
  async after(stage) {
    const { agent, ledger, source } = stage
    await agent.restart({ config: originOf(stage) })
    await until('the content is read', async () => {
      const answer = await fetch(`${agent.url}/v1/images/${source.imageId}/content`, { headers: agent.headers() })
      return Buffer.from(await answer.arrayBuffer()).equals(source.bytes)
    })
    await until('the image is kept', async () => (await agent.client.images.list({ name: 'elsewhere', status: 'available' })).items.length === 1)
    ledger.add(source.imageId, source.bytes)
  },
})
/** Flips a bit of these bytes in the pack that has them as they are. */
function flipStored(agent: AgentProcess, sought: Uint8Array): void {
  const packs = join(agent.folder, 'store/packs')
  for (const name of readdirSync(packs, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.pack'))) {
    const bytes = readFileSync(join(packs, name))
    const at = bytes.indexOf(sought)
    if (at < 0) continue
    bytes[at] = (bytes[at] ?? 0) ^ 1
    return writeFileSync(join(packs, name), bytes)
  }
  throw new Error('no pack has these bytes')
}
