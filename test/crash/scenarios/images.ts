// Crashes while images are hidden, deleted, purged, collected, exported, and while stray files are moved.

import { expect } from 'bun:test'
import { readdirSync, readFileSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { reconcileResultSchema } from '../../../protocol/reconcile.ts'
import { ended } from './stage.ts'
import type { Scenario } from './stage.ts'

const IMMEDIATE = '[images]\ndeletion = "immediate"\n'

/** Renames and hides the media group of an image. */
export const hideGroup: Scenario = {
  async run({ agent, going }) {
    await agent.client.images.patch(going.id, { mediaGroup: 'lab' })
    await agent.client.mediaGroups.patch('lab', { name: 'backroom', visible: false })
  },
  async after({ agent, going }) {
    expect((await agent.client.mediaGroups.list()).items).toEqual([{ name: 'backroom', description: '', visible: false, images: 1 }])
    expect(await agent.client.images.get(going.id)).toMatchObject({ mediaGroup: 'backroom', hidden: true })
    const { token } = await agent.client.tokens.create({ name: 'viewer', role: 'viewer' })
    const seen = async () => (await fetch(`${agent.url}/v1/images/${going.id}`, { headers: { authorization: `Bearer ${token}` } })).status
    expect(await seen()).toBe(404)
    await agent.client.mediaGroups.patch('backroom', { visible: true })
    expect(await seen()).toBe(200)
  },
}
export const remove: Scenario = { run: ({ ledger, going }) => ledger.delete(going) }
export const purge: Scenario = {
  ...remove,
  config: IMMEDIATE,
  async after({ agent, going }) {
    const { items, damagedRecords } = await agent.client.usage()
    expect(items.filter(({ imageId }) => imageId === going.id)).toHaveLength(1)
    expect(damagedRecords).toBe(0)
  },
}
export const collect: Scenario = {
  config: IMMEDIATE,
  async run({ ledger, going, agent }) {
    await ledger.delete(going)
    await agent.client.store.cleanup()
  },
  async after({ agent }) {
    const before = (await agent.client.store.get()).slices.storedBytes
    const { result } = await ended(agent, (await agent.client.store.cleanup()).id)
    expect(result?.['purgedCount']).toBe(0)
    expect((await agent.client.store.get()).slices.storedBytes).toBeLessThanOrEqual(before)
  },
}

/** Moves a file that the store does not know to quarantine. */
export const reconcile: Scenario = {
  async run({ agent }) {
    const { mount } = await agent.client.store.get()
    await Bun.write(join(mount, 'stray.img'), 'bytes')
    const oldS = Date.now() / 1000 - 90_000
    utimesSync(join(mount, 'stray.img'), oldS, oldS)
    const { result } = await ended(agent, (await agent.client.store.reconcile()).id)
    const { findings } = reconcileResultSchema.parse(result)
    await agent.client.store.reconcile({ apply: findings.map(({ id }) => id) })
    await agent.ended()
  },
  async after({ agent }) {
    // The task was acknowledged, so it resumes, and finds that its action was done.
    const { items } = await agent.client.tasks.list({ kind: 'reconcile' })
    const { result } = await ended(agent, items[0]?.id ?? '')
    expect(result).toMatchObject({ findings: [], applied: [], absent: [expect.any(String)] })
    const { mount } = await agent.client.store.get()
    expect(readdirSync(join(mount, 'quarantine')).filter((name) => name.endsWith('.stray.img'))).toHaveLength(1)
  },
}

/** Exports the image that stays. The exports of a store are its one export, or none. */
export const exportOnce: Scenario = {
  async run({ agent, ledger }) {
    const [staying] = ledger.images.values()
    await ended(agent, (await agent.client.images.export(staying?.id ?? '')).id)
  },
  async after({ agent, ledger }) {
    const [staying] = ledger.images.values()
    const { items } = await agent.client.tasks.list({ kind: 'export' })
    for (const { id } of items) expect((await ended(agent, id)).state).toBe('succeeded')
    const before = (await agent.client.exports.list()).items
    // Without a task nothing was acknowledged, and the image can be exported.
    if (before.length === 0) expect(items).toEqual([])
    if (before.length === 0) await ended(agent, (await agent.client.images.export(staying?.id ?? '')).id)
    const [made, ...others] = (await agent.client.exports.list()).items
    expect([made?.state, made?.name, others]).toEqual(['ready', 'staying.raw', []])
    const folder = join(agent.folder, 'store/exports')
    expect(readFileSync(join(folder, made?.name ?? '')).equals(staying?.bytes ?? new Uint8Array(0))).toBe(true)
    expect(readdirSync(folder).toSorted()).toEqual(['.slipway', 'staying.raw'])
    expect(readdirSync(join(folder, '.slipway'))).toEqual([`${made?.id}.json`])
  },
}
export const deleteExport: Scenario = {
  async run(stage) {
    await exportOnce.run(stage)
    const [made] = (await stage.agent.client.exports.list()).items
    await stage.agent.client.exports.delete(made?.id ?? '')
  },
  async after({ agent }) {
    expect((await agent.client.exports.list()).items).toEqual([])
    expect(readdirSync(join(agent.folder, 'store/exports'))).toEqual(['.slipway'])
    expect(readdirSync(join(agent.folder, 'store/exports/.slipway'))).toEqual([])
  },
}
