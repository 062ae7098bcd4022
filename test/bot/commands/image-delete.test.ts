// The question of `image delete`.

import { expect, test } from 'bun:test'
import { systemClock } from '../../../bot/system/clock.ts'
import { formatSize } from '../../../protocol/units.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { serveImages, STORE_ID } from '../../support/agents/image-server.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../fixture.ts'

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
