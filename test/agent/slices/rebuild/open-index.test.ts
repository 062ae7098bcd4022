// An index that turns out to be damaged while the store is opened: it is closed before a new one takes its place.

import { expect, test } from 'bun:test'
import { rm } from 'node:fs/promises'
import { openIndex } from '../../../../agent/slices/rebuild/open-index.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createSliceModel, filesBelow, noiseBlocks, openStore } from '../../../support/images/slice-model.ts'
import { damageBlocks } from '../../../support/machine/index-damage.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

test('a damaged index is closed, deleted and rebuilt, and the new one is whole on disk', async () => {
  await using folder = await createTemporaryFolder()
  const model = createSliceModel()
  const options = { folder: folder.path, roots: [model], packSealBytes: 20_000 }
  {
    await using store = await openStore(options)
    for (let i = 0; i < 3; i++) await model.add(store, `image ${i}`, noiseBlocks(i, 65))
  }
  // A pack that is gone makes recovery read all rows, and so it meets the damage.
  const [gone = ''] = await filesBelow(folder.file('mount'), '.pack')
  await rm(gone)
  const state = folder.file('state')
  expect(damageBlocks(state)).toBeGreaterThan(0)
  const log = createMemoryLog()
  const deps = { disk: createDisk(), clock: systemClock, log, mount: folder.file('mount'), state, packs: folder.file('mount', 'packs'), sealBytes: 20_000 }
  let slices = 0
  {
    const { index, recovered } = await openIndex(deps, false)
    await using _index = index
    expect(log.lines.map(({ message }) => message)).toContain('the index database cannot be used and is rebuilt from the packs')
    expect(await index.check()).toBeUndefined()
    expect(recovered.slicesFound).toBeGreaterThan(0)
    slices = index.sliceCount
  }
  const { index, recovered } = await openIndex(deps, false)
  await using _index = index
  expect([index.sliceCount > 0, recovered.faults, await index.check()]).toEqual([true, [], undefined])
  expect(index.sliceCount).toBe(slices)
})

test('a new index that cannot be used is an error, and is closed', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createDisk()
  const [mount, state] = [folder.file('mount'), folder.file('state')]
  await disk.makeFolder(folder.file('mount', 'packs'))
  await disk.makeFolder(state)
  const failing: typeof disk = { ...disk, syncFolder: () => Promise.reject(Object.assign(new Error('EROFS'), { code: 'EROFS' })) }
  const deps = { disk: failing, clock: systemClock, log: createMemoryLog(), mount, state, packs: folder.file('mount', 'packs'), sealBytes: 20_000 }
  await expect(openIndex(deps, false)).rejects.toThrow('EROFS')
  // The file is not in use any more: another process could open it.
  const { index } = await openIndex({ ...deps, disk }, false)
  await using _index = index
  expect(await index.check()).toBeUndefined()
})
