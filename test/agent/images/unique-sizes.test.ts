// Unique sizes: counts run one at a time, with a bounded queue and a bounded number of bytes read.

import { describe, expect, test } from 'bun:test'
import { storedSchema } from '../../../agent/images/image-file.ts'
import { createImageTable } from '../../../agent/images/image-table.ts'
import { createReadBudget, UNIQUE_READ_BYTES_MAX } from '../../../agent/images/manifests/slice-sizes.ts'
import { createUniqueSizes, UNIQUE_COUNTS_WAITING_MAX } from '../../../agent/images/unique-sizes.ts'
import type { Image } from '../../../protocol/images/image.ts'
import type { Manifest } from '../../../protocol/slices/manifest.ts'
import { encodeManifest } from '../../../protocol/slices/manifest.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { memoryImage } from '../../support/memory/memory-image.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

describe('counts of unique bytes', () => {
  test('run one at a time, and return null if the queue is full', async () => {
    const { manifest, digest } = await encodeManifest([{ length: 4096, digest: new Uint8Array(32).fill(1) }])
    const gate = Promise.withResolvers<Manifest>()
    let reading = 0
    const sizes = createUniqueSizes({
      clock: createManualClock(),
      log: createMemoryLog(),
      table: createImageTable(),
      manifests: {
        openOnce: async () => {
          reading++
          return { manifest: await gate.promise, digest, [Symbol.dispose]: () => {} }
        },
      },
      sizes: () => ({ storedBytes: 4096 }),
    })
    const all = Array.from({ length: UNIQUE_COUNTS_WAITING_MAX + 10 }, (_, i) => sizes.count([`img_${i}`]))
    await Promise.resolve()
    expect(reading).toBe(1)
    // A second count of the same image shares the running one.
    const same = sizes.count(['img_0'])
    gate.resolve(manifest)
    const counted = await Promise.all(all)
    expect(counted.filter((size) => size === 4096)).toHaveLength(UNIQUE_COUNTS_WAITING_MAX + 1)
    expect(counted.filter((size) => size === null)).toHaveLength(9)
    expect(await same).toBe(4096)
    expect(reading).toBe(UNIQUE_COUNTS_WAITING_MAX + 1)
  })

  test('ask once per image what an audience sees, until an image changes or more than 64 audiences asked', async () => {
    const table = createImageTable()
    const put = (number: number, members: Partial<Image> = {}): void => {
      const image = memoryImage({ id: `img_${String(number).padStart(26, '0')}`, manifestDigest: null, ...members })
      table.put({ image, life: storedSchema.parse(image).life })
    }
    for (let i = 1; i <= 3; i++) put(i)
    const sizes = createUniqueSizes({
      clock: createManualClock(),
      log: createMemoryLog(),
      table,
      manifests: { openOnce: () => Promise.reject(new Error('no image has a manifest')) },
      sizes: () => ({ storedBytes: 0 }),
    })
    let asked = 0
    const audience = (key: string) => ({ key, isSeen: ({ owner }: Pick<Image, 'owner'>) => (asked++, owner !== 'web') })
    expect(await sizes.count(['img_00000000000000000000000001'], audience('a'))).toBe(0)
    const once = asked
    expect(once).toBeGreaterThanOrEqual(3)
    expect([sizes.known('img_00000000000000000000000001', audience('a')), sizes.known('img_00000000000000000000000001')]).toEqual([0, 0])
    expect(asked).toBe(once)
    // An image that the audience does not see: it has sizes of its own.
    put(4, { owner: 'web' })
    expect([sizes.known('img_00000000000000000000000001', audience('a')), sizes.known('img_00000000000000000000000001')]).toEqual([null, null])
    expect(asked).toBeGreaterThan(once)
    const again = asked
    sizes.known('img_00000000000000000000000001', audience('a'))
    expect(asked).toBe(again)
    for (let other = 0; other < 63; other++) sizes.known('img_00000000000000000000000001', audience(`other ${other}`))
    const full = asked
    sizes.known('img_00000000000000000000000001', audience('a'))
    expect(asked).toBe(full)
    sizes.known('img_00000000000000000000000001', audience('one more'))
    sizes.known('img_00000000000000000000000001', audience('a'))
    expect(asked).toBeGreaterThan(full + 4)
  })

  test('do not read more than the budget', () => {
    const budget = createReadBudget()
    budget.spend(UNIQUE_READ_BYTES_MAX)
    expect(budget.isSpent).toBe(false)
    expect(() => budget.spend(1)).toThrow(RangeError)
    expect(budget.isSpent).toBe(true)
  })

  test('count an image once if it is named twice', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const image = await store.add(seededBytes(100_000, 1), { name: 'one' })
    expect(await store.catalogue.uniqueSize(['one', image.id])).toBe(image.storedSize)
  })
})
