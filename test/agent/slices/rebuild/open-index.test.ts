// An index that turns out to be damaged while the store is opened: it is closed before a new one takes its place.

import { expect, test } from 'bun:test'
import { readdirSync, readlinkSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { IndexUnusable } from '../../../../agent/slices/index/index-unusable.ts'
import { openIndex } from '../../../../agent/slices/rebuild/open-index.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createSliceModel, filesBelow, noiseBlocks, openStore } from '../../../support/images/slice-model.ts'
import { damageBlocks } from '../../../support/machine/index-damage.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

/** Returns the files below a folder that this process has open, deleted ones too. */
function openFilesBelow(folder: string): string[] {
  const pathOf = (fd: string): string => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  }
  return readdirSync('/proc/self/fd')
    .map(pathOf)
    .filter((path) => path.startsWith(`${folder}/`))
}

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
    expect(openFilesBelow(state).filter((path) => path.endsWith('(deleted)'))).toEqual([])
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
  const stillOpen: string[] = []
  const opening = openIndex(deps, false).catch((error: unknown) => {
    stillOpen.push(...openFilesBelow(state))
    throw error
  })
  await expect(opening).rejects.toThrow('EROFS')
  expect(stillOpen).toEqual([])
  // The file is not in use any more: another process could open it.
  const { index } = await openIndex({ ...deps, disk }, false)
  await using _index = index
  expect(await index.check()).toBeUndefined()
})

test('what the packs added to the index is logged, and nothing when they added nothing', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createDisk()
  const [mount, state, packs] = [folder.file('mount'), folder.file('state'), folder.file('mount', 'packs')]
  await disk.makeFolder(packs)
  await disk.makeFolder(state)
  const model = createSliceModel()
  /** Returns what the log says of the packs. */
  const open = async (used: typeof disk): Promise<unknown[]> => {
    const log = createMemoryLog()
    const { index } = await openIndex({ disk: used, clock: systemClock, log, mount, state, packs, sealBytes: 1_000_000 }, false)
    await index[Symbol.asyncDispose]()
    return log.lines.filter(({ message }) => message.startsWith('the index database was brought in line')).map(({ fields }) => fields)
  }
  expect(await open(disk)).toEqual([])
  {
    await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 1_000_000 })
    await model.add(store, 'image', noiseBlocks(1, 30))
  }
  // An unsealed pack is read at every start.
  expect(await open(disk)).toMatchObject([{ packsRead: 1, slicesFound: model.live().size, tornBytes: 0, packsMissing: [], faults: [] }])
  const failing: typeof disk = { ...disk, openWrite: () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) }
  expect(await open(failing)).toMatchObject([{ packsRead: 0, slicesFound: 0, faults: [expect.stringContaining('cannot be read: EIO')] }])
})

test('a file that is no index is replaced, and the error of a state folder that cannot be used is thrown as it is', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createDisk()
  const [mount, state, packs] = [folder.file('mount'), folder.file('state'), folder.file('mount', 'packs')]
  await disk.makeFolder(packs)
  await disk.makeFolder(state)
  await Bun.write(folder.file('state', 'index.db'), 'this is no database, whatever its name says')
  const log = createMemoryLog()
  const deps = { disk, clock: systemClock, log, mount, state, packs, sealBytes: 1_000_000 }
  {
    const { index } = await openIndex(deps, false)
    await using _index = index
    expect(await index.check()).toBeUndefined()
  }
  expect(log.lines.map(({ message }) => message)).toEqual(['the index database cannot be used and is rebuilt from the packs'])
  await expect(openIndex({ ...deps, state: folder.file('nowhere') }, false)).rejects.toThrow('unable to open database file')
})

test('an index that is damaged again after it was replaced is an error', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createDisk()
  const [mount, state] = [folder.file('mount'), folder.file('state')]
  await disk.makeFolder(state)
  let opened = 0
  const damaging: typeof disk = { ...disk, list: () => Promise.reject(++opened > 2 ? new Error('opened too often') : new IndexUnusable('damaged again')) }
  const deps = { disk: damaging, clock: systemClock, log: createMemoryLog(), mount, state, packs: folder.file('mount', 'packs'), sealBytes: 20_000 }
  await expect(openIndex(deps, false)).rejects.toThrow('damaged again')
  expect(opened).toBe(2)
  await expect(openIndex(deps, true)).rejects.toThrow('opened too often')
  expect(opened).toBe(3)
})
