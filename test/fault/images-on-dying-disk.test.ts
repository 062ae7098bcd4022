// The catalogue on a disk that dies at every write operation and at every crash point of a series of operations on images. The next
// start finds everything that was acknowledged, and no image that was removed.

import { expect, test } from 'bun:test'
import { systemClock } from '../../agent/system/clock.ts'
import { createDisk } from '../../agent/system/disk.ts'
import { newId } from '../../protocol/ids.ts'
import { createFailingDisk } from '../support/machine/failing-disk.ts'
import type { FailingDisk } from '../support/machine/failing-disk.ts'
import { openImageStore, seededBytes } from '../support/images/image-store.ts'
import type { ImageStore } from '../support/images/image-store.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../support/machine/temporary-folder.ts'

/** A clock under which retries follow at once. */
const HURRIED = { ...systemClock, sleep: async () => {} }
const RETENTION = { deletion: 'delayed', retentionMs: 0 } as const
const BYTES = [seededBytes(300_000, 1), seededBytes(200_000, 2), seededBytes(100_000, 3)] as const
const IDS = BYTES.map((_bytes, i) => newId('img', i))

/** What was acknowledged: the states in which each image may be found. */
type Expected = Map<string, { readonly statuses: readonly string[]; readonly name?: string }>

/** Performs every operation on images and records in `expected` what was acknowledged. Throws at the first failure. */
async function live(store: ImageStore, expected: Expected): Promise<void> {
  const [one = '', two = '', three = ''] = IDS
  const alive = ['creating', 'available']
  for (const [i, id] of IDS.entries()) {
    const bytes = BYTES[i]
    if (!bytes) continue
    await store.publish(bytes, { name: `image ${i}` }, id)
    expected.set(id, { statuses: alive, name: `image ${i}` })
  }
  await store.catalogue.settled()
  expected.set(one, { statuses: alive })
  await store.catalogue.patch(one, { name: 'renamed' }, 'test')
  expected.set(one, { statuses: alive, name: 'renamed' })
  expected.set(two, { statuses: [...alive, 'deleted'] })
  await store.catalogue.delete(two, 'test')
  expected.set(two, { statuses: ['deleted'] })
  await store.catalogue.delete(three, 'test')
  expected.set(three, { statuses: ['deleted', ...alive] })
  await store.catalogue.restore(three, 'test')
  expected.set(three, { statuses: alive })
  expected.set(two, { statuses: ['deleted', 'deleting', 'gone'] })
  if ((await store.catalogue.prune({ dryRun: false })).purged.length > 0) expected.set(two, { statuses: ['gone'] })
  await store.slices.gc({ dryRun: false })
}

async function verify(folder: TemporaryFolder, expected: Expected, at: string): Promise<void> {
  await using store = await openImageStore(folder, { retention: RETENTION })
  await store.catalogue.settled()
  await store.slices.gc({ dryRun: false })
  for (const [i, id] of IDS.entries()) {
    const rule = expected.get(id)
    const image = store.catalogue.find(id)
    if (!rule) continue
    expect([at, rule.statuses]).toEqual([at, expect.arrayContaining([image?.status ?? 'gone'])])
    if (!image || image.status === 'deleted') continue
    expect([at, image.status]).toEqual([at, 'available'])
    if (rule.name !== undefined) expect([at, image.name]).toEqual([at, rule.name])
    expect([at, (await store.read(id)).equals(Buffer.from(BYTES[i] ?? []))]).toEqual([at, true])
  }
  expect([at, (await store.slices.scrub({ bytesPerSecond: 1e12 })).missing]).toEqual([at, []])
}

/** Performs the operations on a disk that dies, then starts on a working disk and verifies. Returns whether all operations were performed. */
async function dieAndVerify(at: string, arm: (disk: FailingDisk) => { crashPoint?: (name: string) => void }): Promise<boolean> {
  await using folder = await createTemporaryFolder()
  const disk = createFailingDisk(createDisk())
  const expected: Expected = new Map()
  let isWhole = false
  {
    await using store = await openImageStore(folder, { disk, clock: HURRIED, retention: RETENTION, crashPoint: (name) => hooks.crashPoint?.(name) })
    const hooks = arm(disk)
    await live(store, expected).then(
      () => {
        isWhole = true
      },
      () => {},
    )
    await store.catalogue.settled()
  }
  await verify(folder, expected, at)
  return isWhole
}

test('nothing acknowledged is lost when the disk dies at the n-th operation', async () => {
  let n = 1
  for (; n < 200; n++) {
    const isWhole = await dieAndVerify(`operation ${n}`, (disk) => {
      disk.failAfter(n)
      return {}
    })
    if (isWhole) break
  }
  expect(n).toBeGreaterThan(20)
  expect(n).toBeLessThan(200)
}, 120_000)

test.each([
  'images:manifest-written',
  'images:image-written',
  'images:inspected',
  'images:digest-written',
  'images:deleted',
  'images:purge-marked',
  'images:purge-manifest-removed',
  'images:purge-removed',
])('nothing acknowledged is lost in a crash at %s', async (planned) => {
  let crashes = 0
  await dieAndVerify(planned, (disk) => ({
    crashPoint(name) {
      if (name !== planned || crashes > 0) return
      crashes++
      disk.failAfter(1)
      throw new Error(`crash at ${name}`)
    },
  }))
  expect(crashes).toBe(1)
})
