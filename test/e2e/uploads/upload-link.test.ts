// Runs the curl line of an upload link as `image upload` prints it.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { seededBytes } from '../../support/images/image-store.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'
import { openTestBot, runJson } from '../../bot/fixture.ts'

// On a busy machine a process takes longer than the runner's default of 5 s.
setDefaultTimeout(60_000)

test.each([
  ['the name in the link', 'name=linked', 'linked'],
  ['the name of the file', '', 'my disk.raw'],
])('the curl line of an upload link sends a file; the image gets %s', async (_what, option, expected) => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  using bot = openTestBot(folder.file('home'))
  bot.fleet.registry.add({ name: 'edge-a', url: agent.url, token: TEST_ADMIN_TOKEN, zone: 'zone-1', provider: 'local', storeId: null }, 0)
  const { value } = await runJson(bot, 'image', 'upload', 'store=edge-a', ...(option === '' ? [] : [option]))
  const path = folder.file('my disk.raw')
  await Bun.write(path, seededBytes(300_000, 1))
  const line = String(value['curl'])
  expect(line).toStartWith('FILE=disk.raw; curl ')
  const shell = Bun.spawn(['sh', '-c', line.replace('FILE=disk.raw', `FILE='${path}'`)], { stdout: 'pipe', stderr: 'pipe' })
  const [stderr, code] = await Promise.all([shell.stderr.text(), shell.exited])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const image = await until('the image is available', async () => (await agent.client.images.list()).items.find(({ status }) => status === 'available'))
  expect(image).toMatchObject({ name: expected, length: 300_000 })
})
