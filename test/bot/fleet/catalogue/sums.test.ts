// Sums of the images of stores: who sees what, and that they follow each change, whoever writes it.

import { expect, test } from 'bun:test'
import { heldOf } from '../../../../bot/fleet/catalogue/held-image.ts'
import { openBot } from '../../../../bot/open.ts'
import type { OpenBot } from '../../../../bot/open.ts'
import { systemClock } from '../../../../bot/system/clock.ts'
import { imageOf } from '../../commands/scripted-fleet.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

type Members = Parameters<typeof imageOf>[1]
const GRANTS = [{ subject: 'user:eve', rights: ['read' as const] }]

function openStore(bot: OpenBot, name: string): { readonly key: number; readonly put: (number: number, members: Members) => void } {
  bot.fleet.registry.add({ name, url: 'http://127.0.0.1:1', token: 'x', zone: 'z', provider: 'local', storeId: crypto.randomUUID() }, 0)
  const store = bot.catalogue.open(name)
  if (!store) throw new Error('the store is not registered')
  return { key: store.key, put: (number, members) => void bot.catalogue.put(store, [heldOf(imageOf(number, members), 0)]) }
}

test('sums count what is seen, outside the recycle bin, and follow the changes of another process', async () => {
  await using folder = await createTemporaryFolder()
  using service = openBot(folder.path, { clock: systemClock })
  using console = openBot(folder.path, { clock: systemClock })
  const a = openStore(service, 'edge-a')
  const b = openStore(service, 'edge-b')
  a.put(1, { length: 1000, storedSize: 10 })
  a.put(2, { length: 200, storedSize: null, grants: GRANTS })
  a.put(3, { length: 70, storedSize: 7, status: 'deleted' })
  b.put(1, { length: 30_000, storedSize: 300 })
  b.put(2, { length: 400_000, storedSize: 4000, grants: GRANTS })
  const sums = (keys: readonly number[], wholeKeys: readonly number[]): readonly number[] => {
    const { images, length, stored } = console.catalogue.windows.sums({ keys, wholeKeys })
    return [images, length, stored]
  }
  const both = [a.key, b.key]
  expect(sums(both, both)).toEqual([4, 431_200, 4310])
  expect(sums(both, [])).toEqual([2, 31_000, 310])
  expect(sums(both, [b.key])).toEqual([3, 431_000, 4310])
  expect(sums([a.key], both)).toEqual([2, 1200, 10])
  expect(sums([], both)).toEqual([0, 0, 0])

  a.put(1, { length: 1000, storedSize: 11 })
  b.put(1, { length: 30_000, storedSize: 300, status: 'deleted' })
  expect(sums(both, both)).toEqual([3, 401_200, 4011])
  service.catalogue.drop(a, [imageOf(2).id])
  expect(sums(both, both)).toEqual([2, 401_000, 4011])
  a.put(2, { length: 200, storedSize: null })
  expect(sums(both, [])).toEqual([2, 1200, 11])
})
