// `store edit S reserved=` and upload-concurrency= with a real agent: they apply at once, survive a restart, and are shown beside the configuration.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { openTestBot, runCommand, runJson } from '../../bot/fixture.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(120_000)

test('a reserve is in force at once and after a restart of the agent, until it is reset', async () => {
  await using folder = await createTemporaryFolder()
  await using home = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  using bot = openTestBot(home.path)
  const add = await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')
  expect(add.code).toBe(0)
  expect((await agent.client.store.get()).reserve).toEqual({ bytes: 0, configured: 0 })
  const { total } = (await agent.client.store.get()).capacity

  // The file system has less free space than its size, so that nothing is left above such a reserve.
  const full = await runCommand(bot, 'store', 'edit', 'edge-a', `reserved=${total}`)
  expect(full.output.replaceAll(/\s+/g, ' ')).toContain(
    'edge-a has no space above the reserve now. New images are refused until there is: lower reserved=, or make room.',
  )
  expect(full.output).toContain('(the configuration says 0 B)')
  const upload = () => fetch(`${agent.url}/v1/uploads`, { method: 'POST', headers: agent.headers({ 'Tus-Resumable': '1.0.0', 'Upload-Length': '4096' }) })
  expect((await upload()).status).toBe(507)
  expect((await runCommand(bot, 'store', 'edit', 'edge-a', 'upload-concurrency=3')).output).toContain('at most 3 at once (the configuration says 1)')
  await agent.restart()
  expect((await agent.client.store.get()).reserve).toEqual({ bytes: total, configured: 0 })
  expect((await upload()).status).toBe(507)
  expect((await agent.client.store.get()).transfer).toEqual({
    uploadConcurrency: 3,
    downloadConcurrency: 1,
    configured: { uploadConcurrency: 1, downloadConcurrency: 1 },
  })

  expect((await runCommand(bot, 'store', 'edit', 'edge-a', `url=${agent.url}`)).code).toBe(0)
  const more = await runJson(bot, 'store', 'edit', 'edge-a', 'reserved=1000TB')
  expect(more).toMatchObject({ code: 1, value: { error: { detail: expect.stringMatching(/^reserved is 1\.0 PB, and the file system of the store has /) } } })
  expect((await runCommand(bot, 'store', 'edit', 'edge-a', 'reserved=configured')).code).toBe(0)
  expect((await agent.client.store.get()).reserve).toEqual({ bytes: 0, configured: 0 })
  expect((await upload()).status).toBe(201)
})
