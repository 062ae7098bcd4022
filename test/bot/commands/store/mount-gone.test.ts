// A store whose mount path went away: its images are shown as unavailable and never as its last good state.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { rename } from 'node:fs/promises'
import { startAgent, TEST_ADMIN_TOKEN } from '../../../support/agents/agent-process.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'
import { openTestBot, runCommand, runJson } from '../../fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('image list, show and sync say that the files cannot be read, since when and what to do; afterwards everything is as before', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  using bot = openTestBot(folder.file('home'))
  expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')).code).toBe(0)
  await Bun.write(folder.file('disk.raw'), crypto.getRandomValues(new Uint8Array(20_000)))
  expect((await runCommand(bot, 'image', 'upload', folder.file('disk.raw'), 'name=disk')).code).toBe(0)

  await rename(folder.file('store'), folder.file('away'))
  await until('health says so', async () => (await agent.client.health()).state === 'error')
  const list = await runCommand(bot, 'image', 'list')
  expect(list.output).not.toContain('Available')
  expect(list.output).toMatch(/✖ disk +edge-a \(Error\) +File unavailable/)
  expect(list.output).toMatch(/edge-a +✖ Error since .* UTC.*mount-path: .* Mount .* again/s)
  expect(list.output.indexOf('Mount ')).toBeLessThan(list.output.indexOf('NAME'))
  const json = await runJson(bot, 'image', 'list')
  expect(json.value['items']).toMatchObject([{ name: 'disk', store: 'edge-a', status: 'fileUnavailable' }])
  expect(json.value['warnings']).toMatchObject([{ store: 'edge-a', state: 'error', since: expect.any(String), action: expect.stringContaining('Mount') }])
  expect((await runJson(bot, 'image', 'list', 'status=available')).value['items']).toEqual([])

  const show = await runCommand(bot, 'image', 'show', 'disk')
  expect(show.output).toContain('✖ File unavailable')
  expect(show.output).toContain('store health edge-a')
  expect(show.output).not.toContain('Available')
  for (const verb of ['delete', 'purge']) {
    const { code, output } = await runCommand(bot, 'image', verb, 'disk', '--confirm', 'disk')
    expect({ verb, code, output }).toEqual({
      verb,
      code: 1,
      output: expect.stringContaining('edge-a cannot read its mount path, so disk cannot be deleted now.'),
    })
  }
  expect((await runCommand(bot, 'image', 'sync', 'disk', 'to=edge-a')).output).toContain('disk is File unavailable in edge-a')
  const health = await runCommand(bot, 'store', 'health', 'edge-a')
  expect(health.output).toContain('mount-path')
  expect(health.output).toMatch(/Next +Mount .* again/)
  // The space cannot be measured, which says nothing about whether the disk is full.
  expect(health.output).not.toContain('Make room')

  await rename(folder.file('away'), folder.file('store'))
  await until('health is well again', async () => (await agent.client.health()).state !== 'error')
  expect((await runJson(bot, 'image', 'list')).value['items']).toMatchObject([{ name: 'disk', status: 'available' }])
})
