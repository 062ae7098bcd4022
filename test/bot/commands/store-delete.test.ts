// The checklist of `store delete`.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { systemClock } from '../../../bot/system/clock.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot, runJson } from '../fixture.ts'

// Processes and connections on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('names the images and instances that depend on the store, and what happens to each', async () => {
  await using folder = await createTemporaryFolder()
  await using agent = await startAgent(folder.path)
  using bot = openTestBot(folder.file('home'))
  bot.fleet.registry.add({ name: 'edge-a', url: agent.url, token: TEST_ADMIN_TOKEN, zone: 'zone-1', provider: 'local', storeId: null }, systemClock.nowMs())
  const check = async (label: string): Promise<string> => {
    const { value } = await runJson(bot, 'store', 'delete', 'edge-a')
    return (value['checklist'] as { label: string; detail: string }[]).find((item) => item.label === label)?.detail ?? 'not listed'
  }
  expect(await check('Images in edge-a')).toBe('none')
  expect(await check('Images of edge-a in use')).toBe('none')

  const ids: string[] = []
  for (let i = 0; i < 12; i++) {
    const created = await fetch(`${agent.url}/v1/uploads`, {
      method: 'POST',
      headers: agent.headers({
        'tus-resumable': '1.0.0',
        'upload-length': '1000',
        'upload-metadata': `name ${btoa(`image-${i}`)}`,
        'content-type': 'application/offset+octet-stream',
      }),
      body: seededBytes(1000, i + 1),
    })
    ids.push((created.headers.get('content-location') ?? '').slice('/v1/images/'.length))
  }
  await agent.client.images.bind(ids[3] ?? '', 'vm-7')
  expect(await check('Images in edge-a')).toMatch(/^12 images \(image-11, .* and 2 more\): they stay on the disk of the store, but the bot no longer lists/)
  expect(await check('Images of edge-a in use')).toMatch(/^image-3 by vm-7: these instances keep reading from the store/)
})
