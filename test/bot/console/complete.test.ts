// Completion: verbs, options, and the names of images, of deleted images, and of both.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { createCompleter } from '../../../bot/console/complete.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { serveImages, STORE_ID } from '../../support/agents/image-server.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { openTestBot } from '../fixture.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

test('completes nouns, verbs, options, flags and the names that a command accepts', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  await using server = await serveImages(store)
  using bot = openTestBot(folder.file('home'))
  bot.fleet.registry.add({ name: 'edge-a', url: server.url, token: 'admin', zone: 'zone-1', provider: 'local', storeId: STORE_ID }, systemClock.nowMs())
  await store.add(seededBytes(4096, 1), { name: 'debian-12' })
  const { id } = await store.add(seededBytes(4096, 2), { name: 'debian-11' })
  await server.client.images.delete(id)
  const complete = createCompleter(bot.context({ name: 'tester', role: 'admin' }, 'console'))
  const cases: [string, string[]][] = [
    ['ima', ['image ']],
    ['image pu', ['purge ']],
    ['image delete deb', ['debian-12 ']],
    ['image restore deb', ['debian-11 ']],
    ['image purge deb', ['debian-12 ', 'debian-11 ']],
    ['image purge debian-11 deb', ['debian-12 ', 'debian-11 ']],
    ['image purge --b', ['--bin ']],
    ['image purge --bin sto', ['store=']],
    ['image purge --bin store=e', ['store=edge-a ']],
    ['image purge --bin --conf', ['--confirm ']],
  ]
  for (const [line, hits] of cases) expect({ line, hits: (await complete(line)).hits }).toEqual({ line, hits })
})
