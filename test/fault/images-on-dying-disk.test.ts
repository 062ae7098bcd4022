// The catalogue on a disk that dies at every write operation and at every crash point of a series of operations on images. The next
// start finds everything that was acknowledged, and no image that was removed.

import { expect, test } from 'bun:test'
import { createDisk } from '../../agent/system/disk.ts'
import { createFailingDisk } from '../support/machine/failing-disk.ts'
import type { FailingDisk } from '../support/machine/failing-disk.ts'
import { openImageStore } from '../support/images/image-store.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { IMMEDIATE_CLOCK, live, RETENTION, verify } from './image-life.ts'
import type { Expected } from './image-life.ts'

/** Runs one series of operations on a disk that dies, then starts again on an intact one. Returns whether the series was completed. */
async function dieAndVerify(at: string, arm: (disk: FailingDisk) => { crashPoint?: (name: string) => void }): Promise<boolean> {
  await using folder = await createTemporaryFolder()
  const disk = createFailingDisk(createDisk())
  const expected: Expected = new Map()
  let isWhole = false
  {
    await using store = await openImageStore(folder, { disk, clock: IMMEDIATE_CLOCK, retention: RETENTION, crashPoint: (name) => hooks.crashPoint?.(name) })
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
  'usage:recorded',
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
