// The description of a store: its saving, what only callers who see every image learn, and how long the answer waits for the file system.

import { expect, test } from 'bun:test'
import { describeStore } from '../../../../agent/http/routes/store.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

type Deps = Parameters<typeof describeStore>[0]
const SPACE = { totalBytes: 1000, freeBytes: 400, reservedBytes: 100, promisedBytes: 50, availableBytes: 250 }
const ANN = { key: 'ann', isSeen: () => true }

function depsOf(changes: object = {}): Deps {
  const deps = {
    clock: createManualClock(),
    facts: { id: 'x', transfer: { uploadConcurrency: 1, downloadConcurrency: 2 } },
    settings: { current: () => ({ name: 'edge-a' }), uploadConcurrency: () => 3 },
    publicKey: 'key',
    partners: () => [],
    origins: () => [],
    space: { state: async () => SPACE },
    sliceStats: () => ({ slices: 3, storedBytes: 200 }),
    images: async () => ({ available: 1, deleted: 2, other: 3, imageBytes: 600, usage: undefined }),
    uploadsActive: () => 4,
    traffic: () => ({ received: 5, served: 6, sinceMs: 0 }),
    scrubbedMs: () => 1000,
    imagesFingerprint: () => '6-0123456789abcdef',
  }
  return { ...deps, ...changes } as unknown as Deps
}

test.each([
  [200, 600, 3],
  [1, 1, 1],
  [0, 0, null],
])('with %p stored bytes of %p in images it saves %p', async (storedBytes, imageBytes, savingRatio) => {
  const deps = depsOf({ sliceStats: () => ({ slices: 3, storedBytes }), images: async () => ({ available: 1, deleted: 2, other: 3, imageBytes }) })
  expect((await describeStore(deps, undefined)).slices).toEqual({ count: 3, storedBytes, imageBytes, savingRatio })
})

test('only callers who see every image learn that images changed', async () => {
  expect((await describeStore(depsOf(), undefined)).imagesFingerprint).toBe('6-0123456789abcdef')
  expect(await describeStore(depsOf(), ANN)).not.toHaveProperty('imagesFingerprint')
  expect(await describeStore(depsOf({ imagesFingerprint: undefined }), undefined)).not.toHaveProperty('imagesFingerprint')
})

test('networks, origins and partners are members when there are some', async () => {
  const bare = await describeStore(depsOf(), undefined)
  expect(['networks', 'origins', 'partners'].filter((name) => name in bare)).toEqual([])
  const hub = { name: 'hub', url: 'https://hub:8420', state: 'reachable' }
  const full = await describeStore(
    depsOf({ networks: () => ['10.0.0.0/8'], origins: () => [{ ...hub, secret: 1 }], partners: () => [{ ...hub, storeId: 'y', sinceMs: 0 }] }),
    undefined,
  )
  expect(full).toMatchObject({ networks: ['10.0.0.0/8'], origins: [hub], partners: [{ ...hub, id: 'y', since: '1970-01-01T00:00:00.000Z' }] })
  expect(full.origins?.[0]).not.toHaveProperty('secret')
  expect([full.scrubbedAt, full.capacity.used, full.uploads.active]).toEqual(['1970-01-01T00:00:01.000Z', 600, 4])
})

test('a file system that does not answer for 2 seconds is unavailable', async () => {
  const clock = createManualClock()
  const space = Promise.withResolvers<typeof SPACE>()
  let outcome = ''
  const end = describeStore(depsOf({ clock, space: { state: () => space.promise } }), undefined)
    .then(() => 'described')
    .catch((error: { code: string }) => error.code)
    .then((text) => (outcome = text))
  await clock.untilSleeping(1)
  clock.advance(1999)
  await Bun.sleep(1)
  expect(outcome).toBe('')
  clock.advance(1)
  await end
  expect(outcome).toBe('store-unavailable')
})
