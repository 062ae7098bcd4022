// The space that a pull promises: for the manifest, for the slices that are missing, and after each batch for those that are not written yet.

import { expect, setDefaultTimeout, test } from 'bun:test'
import type { Space } from '../../../agent/contract/space.ts'
import { openLeases } from '../../../agent/sync/leases.ts'
import { measureImage, pullImage } from '../../../agent/sync/pull.ts'
import type { PullDeps } from '../../../agent/sync/pull.ts'
import { createSourcePool } from '../../../agent/sync/sources/source-pool.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { createAgentClient } from '../../../protocol/client/client.ts'
import { serveImages } from '../../support/agents/image-server.ts'
import { createTwoFolders } from '../../support/agents/sync-target.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'

setDefaultTimeout(30_000)

test('a pull promises what it still has to write, and nothing at its end', async () => {
  await using folders = await createTwoFolders()
  await using source = await openImageStore(folders.source)
  await using server = await serveImages(source)
  await using target = await openImageStore(folders.target)
  const image = { ...(await source.add(seededBytes(1_000_000, 1), { name: 'one' })), storedSize: null }
  using content = await source.catalogue.open(image.id)
  // 32 bytes of header, 40 bytes for each entry, 32 bytes of digest.
  const manifestBytes = 64 + 40 * content.manifest.count
  const promises: number[] = []
  const space: Pick<Space, 'promise' | 'isBelowReserve'> = {
    async promise(key, bytes) {
      expect(key).toBe(`sync ${image.id}`)
      promises.push(bytes)
      return true
    },
    isBelowReserve: async () => false,
  }
  const { disk, log, mount, slices } = target
  const deps: PullDeps = {
    clock: systemClock,
    images: target.catalogue,
    slices,
    space: space as Space,
    leases: await openLeases({ disk, clock: systemClock, log, mount, missing: (digests) => slices.missing(digests) }),
    crashPoint: () => {},
    batchesMax: 1,
  }
  const described = { url: server.url, storeId: 'hub', name: 'hub', version: 2 as const, client: createAgentClient({ baseUrl: server.url, token: 'viewer' }) }
  const pool = createSourcePool({ clock: systemClock, log })
  pool.add(described, 0)
  const share = { take: async () => {}, inFlightMax: () => 300_000 }
  const signal = new AbortController().signal

  expect(await measureImage(deps, { described, pool }, image, { signal, share })).toEqual({ missingBytes: 1_000_000, zeroBytes: 0 })
  expect(promises.splice(0)).toEqual([2 * manifestBytes, 1_000_000 + manifestBytes, 0])
  expect(await disk.list(`${mount}/sync`)).toEqual([])

  const shown: [number, number][] = []
  const counts = { slicesMoved: 0, bytesMoved: 0, slicesPresent: 0 }
  const pulled = await pullImage(deps, { described, pool }, image, { signal, share, counts, onProgress: (done, total) => void shown.push([done, total]) })
  expect(pulled).toEqual({ isNew: true, missingBytes: 1_000_000, zeroBytes: 0 })
  const [manifest, all, ...rest] = promises
  expect([manifest, all, ...rest.slice(-2)]).toEqual([2 * manifestBytes, 1_000_000 + manifestBytes, manifestBytes, 0])
  // One promise for each batch of at most 300,000 bytes. The next batch may arrive while one is made durable.
  const batches = rest.slice(0, -1)
  expect(batches.length).toBeGreaterThan(3)
  expect(batches).toEqual(batches.toSorted((a, b) => b - a))
  expect(batches[0]).toBeLessThan(1_000_000 + manifestBytes)
  expect([shown[0], shown.at(-1)]).toEqual([
    [0, 1_000_000],
    [1_000_000, 1_000_000],
  ])
  expect(shown.map(([done]) => done)).toEqual(shown.map(([done]) => done).toSorted((a, b) => a - b))
  expect((await target.read(image.id)).equals(await source.read(image.id))).toBe(true)
})
