// The question of `image delete`.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { openBot } from '../../../../../bot/open.ts'
import { systemClock } from '../../../../../bot/system/clock.ts'
import type { Fetch } from '../../../../../protocol/client/exchange.ts'
import { formatSize } from '../../../../../protocol/units.ts'
import { openImageStore, seededBytes } from '../../../../support/images/image-store.ts'
import { serveImages, STORE_ID } from '../../../../support/agents/image-server.ts'
import { createTemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../../../fixture.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('says what several copies hold together, not each on its own', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  await using server = await serveImages(store)
  using bot = openTestBot(folder.file('home'))
  bot.fleet.registry.add({ name: 'edge-a', url: server.url, token: 'admin', zone: 'zone-1', provider: 'local', storeId: STORE_ID }, systemClock.nowMs())
  const bytes = seededBytes(300_000, 1)
  const one = await store.add(bytes, { name: 'one' })
  await store.add(Buffer.concat([bytes, seededBytes(30_000, 2)]), { name: 'two' })

  const { value } = await runJson(bot, 'image', 'delete', 'one', 'two')
  const union = await server.client.images.uniqueSize(['one', 'two'])
  expect(union).toBeGreaterThanOrEqual(320_000)
  expect(value['question']).toContain(`In edge-a only these images hold ${formatSize(union ?? 0)}: it stays taken for`)

  const alone = (await server.client.images.get(one.id)).uniqueSize
  const { output } = await runCommand(bot, 'image', 'delete', 'one')
  expect(output.replaceAll(/\s+/g, ' ')).toContain(`only this image holds ${formatSize(alone ?? -1)}`)
})

test('a failure for one of several images leaves the others deleted, and says why', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  await using server = await serveImages(store)
  const first = await store.add(seededBytes(9000, 1), { name: 'first' })
  const second = await store.add(seededBytes(9000, 2), { name: 'second' })
  /** Binds the second image at the moment when the first one is deleted. */
  const fetchAndBind: Fetch = async (url, init) => {
    if (init.method === 'DELETE' && url.includes(first.id)) await server.client.images.bind(second.id, 'vm-7')
    return fetch(url, init)
  }
  using bot = openBot(folder.file('home'), { clock: systemClock, fetch: fetchAndBind })
  bot.fleet.registry.add({ name: 'edge-a', url: server.url, token: 'admin', zone: 'zone-1', provider: 'local', storeId: STORE_ID }, systemClock.nowMs())
  const { code, output } = await runCommand(bot, 'image', 'delete', 'first', 'second', '--confirm', 'first, second')
  expect(code).toBe(1)
  expect(output).toContain('Deleted only 1 of 2 images')
  expect(output).toContain('In the recycle bin: first until')
  expect(output).toContain('second was not deleted: Image second is used by vm-7.')
})
