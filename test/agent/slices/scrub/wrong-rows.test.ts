// A scrub corrects an index that is intact but wrong about a slice, and has it rebuilt.

import { expect, test } from 'bun:test'
import type { SliceRow } from '../../../../agent/slices/packs/slice-row.ts'
import { createSliceModel, noiseBlocks, openStore, readOutcome } from '../../../support/images/slice-model.ts'
import { changeRows } from '../../../support/machine/index-damage.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

test.each<[string, (row: SliceRow) => Partial<SliceRow>]>([
  ['place', ({ offset }) => ({ offset: offset === 16 ? 2000 : 16 })],
  ['length', ({ length }) => ({ length: length + 512 })],
  ['stored length', ({ storedLength }) => ({ storedLength: storedLength - 1 })],
])('another %s than the packs have is noticed, and the slices stay', async (_what, change) => {
  await using folder = await createTemporaryFolder()
  const model = createSliceModel()
  const reasons: string[] = []
  const options = { folder: folder.path, roots: [model], packSealBytes: 20_000, onIndexDamaged: (reason: string) => void reasons.push(reason) }
  {
    await using store = await openStore(options)
    await model.add(store, 'image', noiseBlocks(1, 65))
  }
  // The pack was sealed at the latest by this start, so that its rows are on disk.
  await using store = await openStore(options)
  expect(changeRows(folder.file('state'), change)).toBeGreaterThan(0)
  const report = await store.scrub({ bytesPerSecond: Infinity })
  expect(report).toMatchObject({ corrupt: [], missing: [], damagedRoots: [] })
  expect(reasons[0]).toStartWith('it had a wrong location for a slice of pack ')
  for (const image of model.images.values()) expect(await readOutcome(store, image)).toBe('whole')
  expect(store.quarantined()).toEqual([])
})
