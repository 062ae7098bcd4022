// The next step after a refusal names the command that helps: a token that is no longer valid, and a store without space.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { rm } from 'node:fs/promises'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../fixture.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

/** The token that an agent without one in its environment created in its state folder. */
const OWN_TOKEN = { environment: { SLIPWAY_ADMIN_TOKEN: '' } }

describe('an agent that lost its state folder', () => {
  test('every command names store edit and the file of the new token, and store edit makes the store usable again', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path, OWN_TOKEN)
    using bot = openTestBot(folder.file('home'))
    const tokenFile = Bun.file(folder.file('state/admin-token'))
    const first = (await tokenFile.text()).trim()
    expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${first}`, 'zone=zone-1')).code).toBe(0)
    await Bun.write(folder.file('disk.raw'), crypto.getRandomValues(new Uint8Array(20_000)))
    expect((await runCommand(bot, 'image', 'upload', folder.file('disk.raw'), 'name=disk')).code).toBe(0)

    expect(await agent.stop()).toBe(0)
    await rm(folder.file('state'), { recursive: true })
    await agent.restart()
    bot.fleet.registry.change('edge-a', { url: agent.url })
    const lines = [
      'store list',
      'store health',
      'store health edge-a',
      'store show',
      'store cleanup',
      'store disable',
      'store reconnect',
      'store browse',
      'image list',
      'image bin',
      'image show disk',
      'image delete disk',
      'image purge disk',
      'image upload name=by-link',
      'task list',
      'schedule list',
      'zone list',
    ]
    for (const line of lines) {
      const { output } = await runCommand(bot, ...line.split(' '))
      expect({ line, output: output.replaceAll(/\s+/g, ' ') }).toEqual({ line, output: expect.stringContaining('store edit edge-a token=') })
      expect({ line, output }).toEqual({ line, output: expect.stringContaining('/var/lib/slipway/edge-a/admin-token') })
    }

    const second = (await tokenFile.text()).trim()
    expect(second).not.toBe(first)
    expect((await runCommand(bot, 'store', 'edit', 'edge-a', `token=${second}`)).code).toBe(0)
    expect((await runJson(bot, 'image', 'list')).value['items']).toMatchObject([{ name: 'disk', status: 'available' }])
    expect((await runCommand(bot, 'audit')).output).not.toContain(second)
  })
})

test('a store without space names image purge and store cleanup, in its health and in a refused upload', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path, { environment: { SLIPWAY_STORE_RESERVED: '900 TB' } })
  using bot = openTestBot(folder.file('home'))
  expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')).code).toBe(0)
  await Bun.write(folder.file('disk.raw'), crypto.getRandomValues(new Uint8Array(20_000)))
  for (const line of [`image upload ${folder.file('disk.raw')} name=disk`, 'store health edge-a', 'store health', 'store list']) {
    const { output } = await runCommand(bot, ...line.split(' '))
    expect({ line, output }).toEqual({ line, output: expect.stringContaining('image purge --bin store=edge-a empties the recycle bin') })
    expect({ line, output }).toEqual({ line, output: expect.stringContaining('then run store cleanup edge-a, which frees the space') })
  }
})
