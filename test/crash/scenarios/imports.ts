// Crashes while images are taken from files beside the store, and imported from an address.

import { expect } from 'bun:test'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { until } from '../../support/until.ts'
import { ended, MIB, noise } from './stage.ts'
import type { Scenario } from './stage.ts'

/** Puts a file into the inbox, or beside the store, and waits for the crash. */
const INBOX = '[imports]\ninbox-settle = "200ms"\n'
const fromFile = (config: string, place: string, bytes: Uint8Array, count: number): Scenario => ({
  config,
  async run({ agent }) {
    mkdirSync(dirname(join(agent.folder, 'store', place)), { recursive: true })
    writeFileSync(join(agent.folder, 'store', place), bytes)
    await agent.ended()
  },
  async after({ agent, ledger }) {
    await until('the file has left the inbox', () => !existsSync(join(agent.folder, 'store/inbox', basename(place))))
    const imported = async () => (await agent.client.images.list({ name: basename(place) })).items
    const images = await until('it was imported', async () => {
      const found = await imported()
      return found.length >= count && found.every(({ status }) => status === 'available') ? found : undefined
    })
    expect(images.length).toBe(count)
    for (const { id } of images) ledger.add(id, new Uint8Array(bytes))
    await agent.restart({ config })
    expect((await imported()).length).toBe(count)
    const kept = join(agent.folder, 'store/inbox/refused', basename(place).replace('\n', '_'))
    if (count === 0) await until('it was refused', () => existsSync(kept) && readFileSync(kept).equals(bytes))
  },
})
export const inbox = fromFile(INBOX, 'inbox/from-inbox.img', noise(3 * MIB, 31), 1)
export const refused = fromFile(INBOX, 'inbox/refused\n.img', noise(4096, 32), 0)
export const existing = fromFile('[images]\nretrieve-existing = true\n', 'old/found.img', noise(3 * MIB, 33), 1)
/** Imports the image of the other store, whose content is served by http with ranges. */
export const importImage: Scenario = {
  config: '[imports]\nallow = ["127.0.0.1"]\n',
  run: ({ agent, source }) =>
    agent.client.images.import({ name: 'imported', source: { url: `${source.url}/v1/images/${source.imageId}/content`, token: TEST_ADMIN_TOKEN } }),
  async after({ agent, ledger, source }) {
    // The task was acknowledged, so it resumes by itself, and makes one image.
    const { items } = await agent.client.tasks.list({ kind: 'import' })
    const task = await ended(agent, items[0]?.id ?? '')
    expect({ state: task.state, error: task.error }).toEqual({ state: 'succeeded', error: undefined })
    expect((await agent.client.images.list({ name: 'imported' })).items.map(({ id }) => id)).toEqual([task.subject])
    await ledger.verify([ledger.add(task.subject, source.bytes)])
  },
}
