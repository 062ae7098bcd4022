// Recovery with an older index: it may still have rows of records that were quarantined since.

import { expect, test } from 'bun:test'
import { cp, rm } from 'node:fs/promises'
import { RECORD_HEADER_BYTES } from '../../../../agent/slices/packs/record.ts'
import { createRandom } from '../../../support/properties.ts'
import { createSliceModel, damage, filesBelow, openStore, readOutcome, SMALL_CUTTER } from '../../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

test('an index from before a record was quarantined loses its row at the next start', async () => {
  await using folder = await createTemporaryFolder()
  const model = createSliceModel()
  const options = { folder: folder.path, roots: [model], packSealBytes: 20_000 }
  {
    await using store = await openStore(options)
    await model.add(store, 'image', createRandom(1).bytes(50 * SMALL_CUTTER.block))
    expect(store.stats().packs).toBe(1)
  }
  await cp(folder.file('state'), folder.file('older'), { recursive: true })
  const [pack = ''] = await filesBelow(folder.file('mount'), '.pack')
  await damage(pack, 16 + RECORD_HEADER_BYTES + 10)
  const [image] = model.images.values()
  if (!image) throw new Error('there is no image')
  {
    await using store = await openStore(options)
    expect(await readOutcome(store, image)).toBe('unreadable')
    expect(store.quarantined()).toHaveLength(1)
  }
  await rm(folder.file('state'), { recursive: true })
  await cp(folder.file('older'), folder.file('state'), { recursive: true })
  await using store = await openStore(options)
  expect(store.recovered.packsRead).toBe(0)
  expect(store.missing([image.manifest.digestAt(0)])).toEqual([0])
  expect(store.stats().slices).toBe(model.live().size - 1)
  // The slice can be stored again at once, which repairs the image.
  await model.add(store, 'again', image.bytes)
  expect(await readOutcome(store, image)).toBe('whole')
})
