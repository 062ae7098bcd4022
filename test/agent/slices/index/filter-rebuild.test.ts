// The filter of an index while it is in use: it has every row, in memory and on disk, and damage that its rebuild meets is reported.

import { expect, test } from 'bun:test'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { damageBlocks } from '../../../support/machine/index-damage.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const row = (n: number): PackRow => ({ digest: Bun.SHA256.hash(String(n)) as Uint8Array, offset: 16 + n * 100, length: 36, storedLength: 36 })
const NUMBERS = [1, 2, 3, 4]

/** Adds rows 1 and 2 on disk, 3 and 4 in memory. */
async function fill(index: IndexDatabase): Promise<void> {
  const sealed = index.addPack('a'.repeat(32))
  index.add(sealed.id, [row(1), row(2)])
  index.sealPack(sealed.id, 1000)
  await index.flush()
  index.add(index.addPack('b'.repeat(32)).id, [row(3), row(4)])
}

test('a filter that was built again has the rows in memory and on disk, and no other', async () => {
  await using folder = await createTemporaryFolder()
  await using index = IndexDatabase.open(folder.file('index.db'))
  await fill(index)
  const before = index.filter
  await index.rebuildFilter()
  expect(index.filter).not.toBe(before)
  expect([...NUMBERS, 5].map((n) => index.filter.mayHave(row(n).digest))).toEqual([true, true, true, true, false])
  expect(NUMBERS.map((n) => index.find(row(n).digest)?.offset)).toEqual([116, 216, 316, 416])
  index.add(2, [row(5)])
  expect(index.find(row(5).digest)?.offset).toBe(516)
})

test('a damaged block fails the rebuild of the filter, which stays as it was, and the index is distrusted', async () => {
  await using folder = await createTemporaryFolder()
  await using index = IndexDatabase.open(folder.file('index.db'))
  await fill(index)
  const before = index.filter
  expect(damageBlocks(folder.path)).toBe(1)
  await expect(index.rebuildFilter()).rejects.toThrow('block 0 of run 1 of the index is damaged')
  expect([index.filter === before, index.isDistrusted, index.damage]).toEqual([true, true, 'block 0 of run 1 of the index is damaged'])
})

test('an abort ends the rebuild of the filter, and the index stays trusted', async () => {
  await using folder = await createTemporaryFolder()
  await using index = IndexDatabase.open(folder.file('index.db'))
  await fill(index)
  await expect(index.rebuildFilter(AbortSignal.abort(new Error('closing')))).rejects.toThrow('closing')
  expect(index.isDistrusted).toBe(false)
})
