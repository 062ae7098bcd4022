// Unique sizes: counts run one at a time, with a bounded queue and a bounded number of bytes read.

import { describe, expect, test } from 'bun:test'
import { storedSchema } from '../../../agent/images/records/image-file.ts'
import { createImageTable } from '../../../agent/images/records/image-table.ts'
import { createReadBudget } from '../../../agent/images/manifests/slice-sizes.ts'
import { createUniqueSizes } from '../../../agent/images/unique-sizes.ts'
import type { Image } from '../../../protocol/images/image.ts'
import type { Manifest } from '../../../protocol/slices/manifest.ts'
import { parseDigest } from '../../../protocol/slices/digest.ts'
import { encodeManifest } from '../../../protocol/slices/manifest.ts'
import { createManualClock } from '../../support/memory/manual-clock.ts'
import { memoryImage } from '../../support/memory/memory-image.ts'
import { createMemoryLog } from '../../support/memory/memory-log.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'

describe('counts of unique bytes', () => {
  test('run one at a time, and return null if 16 wait', async () => {
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
    const all = Array.from({ length: 26 }, (_, i) => sizes.count([`img_${i}`]))
    await Promise.resolve()
    expect(reading).toBe(1)
    // A second count of the same image shares the running one.
    const same = sizes.count(['img_0'])
    gate.resolve(manifest)
    const counted = await Promise.all(all)
    expect(counted.filter((size) => size === 4096)).toHaveLength(17)
    expect(counted.filter((size) => size === null)).toHaveLength(9)
    expect(await same).toBe(4096)
    expect(reading).toBe(17)
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

  test('do not read more than 128 MiB', () => {
    const budget = createReadBudget()
    budget.spend(134_217_728)
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

/** Images 1, 2 and so on with these slices; slice n takes 2 ** n bytes, and the manifest of each image can be read as long as it is in `manifests`. */
async function openSizes(...slices: readonly (readonly number[])[]) {
  const table = createImageTable()
  const manifests = new Map<string, Manifest>()
  const reads: string[] = []
  const idOf = (number: number): string => `img_${String(number).padStart(26, '0')}`
  const put = (number: number, members: Partial<Image> = {}): void => {
    const image = memoryImage({ id: idOf(number), manifestDigest: `sha256:${String(number).padStart(64, '0')}`, ...members })
    table.put({ image, life: storedSchema.parse(image).life })
  }
  for (const [i, own] of slices.entries()) {
    const digests = own.map((n) => ({ length: 4096, digest: Uint8Array.from([n, ...new Uint8Array(31).fill(1)]) }))
    manifests.set(idOf(i + 1), (await encodeManifest(digests)).manifest)
    put(i + 1)
  }
  let held = 0
  const sizes = createUniqueSizes({
    clock: createManualClock(),
    log: createMemoryLog(),
    table,
    manifests: {
      async openOnce(id, digest) {
        reads.push(id.slice(-1))
        const manifest = manifests.get(id)
        const parsed = digest === null ? undefined : parseDigest(digest)
        if (!manifest || !parsed) throw new Error('its manifest is damaged')
        held++
        return { manifest, digest: parsed, [Symbol.dispose]: () => void held-- }
      },
    },
    sizes: (digests) => ({ storedBytes: digests.reduce((sum, digest) => sum + 2 ** (digest[0] ?? 0), 0) }),
  })
  return { table, manifests, reads, idOf, put, sizes, held: () => held }
}

describe('the unique size', () => {
  test('of an image is what only it uses, and is known until an image is added or removed', async () => {
    const { sizes, table, idOf, reads, put, held } = await openSizes([0, 1, 2], [1, 3], [4])
    expect(sizes.known(idOf(1))).toBeNull()
    expect(await sizes.count([idOf(1)])).toBe(5)
    expect(reads.toSorted()).toEqual(['1', '2', '3'])
    expect(held()).toBe(0)
    expect([sizes.known(idOf(1)), sizes.known(idOf(2))]).toEqual([5, null])
    expect(await sizes.count([idOf(1)])).toBe(5)
    expect(reads).toHaveLength(3)
    // A changed image uses the same slices.
    put(3, { description: 'changed' })
    expect(sizes.known(idOf(1))).toBe(5)
    table.remove(idOf(2))
    expect(sizes.known(idOf(1))).toBeNull()
    expect(await sizes.count([idOf(1)])).toBe(7)
    expect(await sizes.count([idOf(3)])).toBe(16)
  })

  test('of several images is what goes with them together, and is not kept', async () => {
    const { sizes, idOf, reads } = await openSizes([0, 1, 2], [1, 3], [2])
    expect(await sizes.count([idOf(1), idOf(2)])).toBe(11)
    expect([sizes.known(idOf(1)), sizes.known(idOf(2))]).toEqual([null, null])
    expect(reads).toHaveLength(3)
    expect(await sizes.count([idOf(2), idOf(1)])).toBe(11)
    expect(reads).toHaveLength(6)
  })

  test('for an audience does not tell what images use that it may not see', async () => {
    const { sizes, idOf, put } = await openSizes([0, 1, 2], [1], [2])
    put(2, { owner: 'web' })
    const audience = { key: 'ann', isSeen: ({ owner }: Pick<Image, 'owner'>) => owner !== 'web' }
    expect(await sizes.count([idOf(1)], audience)).toBe(3)
    expect([sizes.known(idOf(1), audience), sizes.known(idOf(1))]).toEqual([3, null])
    expect(await sizes.count([idOf(1)])).toBe(1)
    expect([sizes.known(idOf(1), audience), sizes.known(idOf(1))]).toEqual([3, 1])
    // Its view may change with any change of an image, such as a grant.
    put(3, { description: 'changed' })
    expect([sizes.known(idOf(1), audience), sizes.known(idOf(1))]).toEqual([null, 1])
  })

  test('leaves out images without a manifest, and is unknown while files cannot be read', async () => {
    const { sizes, idOf, put, manifests } = await openSizes([0, 1], [1], [2])
    put(2, { manifestDigest: null })
    expect(await sizes.count([idOf(1)])).toBe(3)
    expect(await sizes.count([idOf(1), idOf(2)])).toBe(3)
    put(3, { status: 'fileUnavailable' })
    expect(await sizes.count([idOf(3)])).toBeNull()
    expect(await sizes.count([idOf(2)])).toBe(0)
    put(2)
    manifests.delete(idOf(2))
    expect(await sizes.count([idOf(1), idOf(3)])).toBeNull()
    expect(await sizes.count([idOf(3), idOf(2)])).toBeNull()
  })

  test('is counted again when a manifest that could not be read can be read', async () => {
    const { sizes, idOf, manifests } = await openSizes([0, 1], [1])
    const other = manifests.get(idOf(2))
    manifests.delete(idOf(2))
    expect(await sizes.count([idOf(1)])).toBeNull()
    if (other) manifests.set(idOf(2), other)
    expect(await sizes.count([idOf(1)])).toBe(1)
  })

  test('that would take more than 128 MiB of manifests is not tried again, and holds none of them', async () => {
    const { sizes, idOf, manifests, reads, held, put } = await openSizes([0], [1])
    const second = manifests.get(idOf(2))
    if (!second) throw new Error('no manifest')
    manifests.set(idOf(2), { ...second, count: 4_000_000 })
    expect([await sizes.count([idOf(1)]), await sizes.count([idOf(1)])]).toEqual([null, null])
    expect([reads, held()]).toEqual([['1', '2'], 0])
    put(3, { manifestDigest: null })
    await sizes.count([idOf(1)])
    expect(reads).toHaveLength(4)
  })

  test('that was counting is not counted a second time, and is counted again afterwards', async () => {
    const { sizes, idOf, reads } = await openSizes([0, 1], [1])
    expect(await Promise.all([sizes.count([idOf(1), idOf(2)]), sizes.count([idOf(2), idOf(1)])])).toEqual([3, 3])
    expect(reads).toHaveLength(2)
  })

  test('of images with more than two million slices together is unknown', async () => {
    const { sizes, idOf, manifests, reads } = await openSizes([0], [1], [2])
    const [first, second] = [manifests.get(idOf(1)), manifests.get(idOf(2))]
    const blocks = async function* (): AsyncGenerator<never> {
      yield* []
    }
    if (!first || !second) throw new Error('no manifest')
    manifests.set(idOf(1), { ...first, count: 1_999_999, blocks })
    expect(await sizes.count([idOf(1), idOf(2)])).toBe(2)
    manifests.set(idOf(1), { ...first, count: 2_000_000, blocks })
    expect(await sizes.count([idOf(1), idOf(2)])).toBeNull()
    // No further manifest is held in memory.
    reads.length = 0
    expect(await sizes.count([idOf(1), idOf(2), idOf(3)])).toBeNull()
    expect(reads).toEqual(['1', '2'])
  })

  test('is not counted where the manifests would have more than 128 MiB', async () => {
    const { sizes, idOf, put, reads } = await openSizes([0])
    // 64 KiB an entry: 200 GB are about 3 million entries, and 128 MiB of manifest.
    put(2, { length: 100 * 2 ** 30 })
    expect(await sizes.count([idOf(1)])).toBeNull()
    expect(reads).toEqual(['1', '2'])
    put(2, { length: 2 ** 40 })
    expect(await sizes.count([idOf(1)])).toBeNull()
    expect(reads).toEqual(['1', '2'])
  })
})
