// Kills an agent (SIGKILL) while it imports a file of the inbox, with and without the loss of its state folder. The file becomes exactly one image.

import { expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startAgent } from '../support/agents/agent-process.ts'
import { seededBytes } from '../support/images/image-store.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { until } from '../support/until.ts'

const CONFIG = '[imports]\ninbox-settle = "200ms"'
const POINTS = [
  'inbox:ticket-written',
  'tasks:kept',
  'uploads:created',
  'uploads:after-journal',
  'uploads:before-publish',
  'images:image-written',
  'uploads:after-publish',
  'images:inspected',
  'tasks:done',
  'tasks:ended',
  'inbox:set-aside',
  'inbox:removed',
]

/** Where the state folder is lost as well: before, while and after the image is published. */
const POINTS_OF_LOSS = ['inbox:ticket-written', 'uploads:created', 'uploads:before-publish', 'images:image-written', 'inbox:set-aside']

test.each([...POINTS.map((point) => ({ point, isStateLost: false })), ...POINTS_OF_LOSS.map((point) => ({ point, isStateLost: true }))])(
  'a file becomes one image after a kill at $point (state folder lost: $isStateLost)',
  async ({ point, isStateLost }) => {
    await using folder = await createTemporaryFolder()
    const inbox = join(folder.path, 'store', 'inbox')
    const bytes = seededBytes(3_000_000, 1)
    await using agent = await startAgent(folder.path, { config: CONFIG, environment: { SLIPWAY_CRASH_POINT: point } })
    await writeFile(join(inbox, 'once.img'), bytes)
    expect(await agent.ended()).toBe('SIGKILL')
    if (isStateLost) await rm(join(folder.path, 'state'), { recursive: true })
    await agent.restart({ config: CONFIG })
    await until(
      'the file was removed, and its ticket',
      async () => !existsSync(join(inbox, 'once.img')) && (await readdir(join(inbox, '.slipway'))).length === 0,
    )
    const { items } = await agent.client.images.list()
    expect(items.map(({ name, status }) => ({ name, status }))).toEqual([{ name: 'once.img', status: 'available' }])
    const content = await fetch(`${agent.url}/v1/images/${items[0]?.id}/content`, { headers: agent.headers() })
    expect(Buffer.from(await content.arrayBuffer()).equals(Buffer.from(bytes))).toBe(true)
    expect((await agent.client.tasks.list({ state: 'running', kind: 'import' })).items).toEqual([])
    await agent.restart({ config: CONFIG })
    expect((await agent.client.images.list()).items.length).toBe(1)
  },
  60_000,
)
