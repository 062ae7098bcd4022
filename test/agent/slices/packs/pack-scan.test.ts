// Scanning an unsealed pack that is longer than the scan's window: one damaged record must not cost another.

import { expect, test } from 'bun:test'
import { RECORD_HEADER_BYTES } from '../../../../agent/slices/packs/record.ts'
import { createRandom } from '../../../support/properties.ts'
import { createSliceModel, damage, digestsOf, filesBelow, openStore, readOutcome } from '../../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const MIB = 1024 * 1024
const PACK_HEADER_BYTES = 16
/** More than three windows of 4 MiB, so that several records cross a window's end. */
const PACK_BYTES = 14 * MIB

test('a damaged first record of an unsealed pack affects that slice only, at each start', async () => {
  await using folder = await createTemporaryFolder()
  const model = createSliceModel()
  const options = {
    folder: folder.path,
    roots: [model],
    packSealBytes: 4 * PACK_BYTES,
    cutter: { block: 4096, minimum: 16_384, average: 65_536, maximum: 262_144 },
  }
  {
    await using store = await openStore(options)
    await model.add(store, 'first', createRandom(1).bytes(4096))
    await model.add(store, 'behind it', createRandom(2).bytes(PACK_BYTES))
  }
  const [pack = ''] = await filesBelow(folder.file('mount'), '.pack')
  await damage(pack, PACK_HEADER_BYTES + RECORD_HEADER_BYTES + 10)
  const slices = model.live().size
  for (const start of ['first', 'second']) {
    await using store = await openStore(options)
    expect([start, store.recovered.slicesFound]).toEqual([start, slices - 1])
    expect(store.recovered.faults).toHaveLength(1)
    for (const image of model.images.values()) expect(await readOutcome(store, image)).toBe(image.name === 'first' ? 'unreadable' : 'whole')
    const { missing } = await store.scrub({ bytesPerSecond: Infinity })
    const [lost] = [...model.images.values()].filter((image) => image.name === 'first').flatMap(({ manifest }) => digestsOf(manifest))
    expect(missing).toEqual([{ digest: `sha256:${lost}`, root: 'image first' }])
  }
})
