// Opening a slice store: the name of its folder is durable before anything in it is read or written.

import { expect, test } from 'bun:test'
import { rm } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Disk } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { createSliceModel, damage, digestsOf, filesBelow, noiseBlocks, openStore, readOutcome } from '../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

test('the folder of the packs is synced into the mount path before it is read', async () => {
  await using folder = await createTemporaryFolder()
  const real = createDisk()
  const mount = folder.file('mount')
  const operations: string[] = []
  const waiting: (() => void)[] = []
  const disk: Disk = {
    ...real,
    list(path) {
      operations.push(`list ${basename(path)}`)
      return real.list(path)
    },
    async syncFolder(path) {
      if (path === mount) await new Promise<void>((resolve) => waiting.push(resolve))
      operations.push(`sync ${basename(path)}`)
      await real.syncFolder(path)
    },
  }
  const opening = openStore({ folder: folder.path, disk })
  await until('the mount path is being synced', () => waiting.length === 1)
  await Bun.sleep(5)
  expect(operations).toEqual([])
  waiting.shift()?.()
  await using _store = await opening
  expect(operations[0]).toBe('sync mount')
  expect(operations).toContain('list packs')
})

test('a pack that cannot be sealed at the start is sealed by the next gc', async () => {
  await using folder = await createTemporaryFolder()
  const model = createSliceModel()
  {
    await using store = await openStore({ folder: folder.path, roots: [model] })
    await model.add(store, 'image', noiseBlocks(1, 30))
  }
  const [pack = ''] = await filesBelow(folder.file('mount'), '.pack')
  const isSealed = async (): Promise<boolean> =>
    Buffer.from(await Bun.file(pack).bytes())
      .subarray(-32)
      .toString('latin1')
      .startsWith('SLIPWAYT')
  const real = createDisk()
  let isFull = true
  const disk: Disk = {
    ...real,
    async openWrite(path, mode) {
      const file = await real.openWrite(path, mode)
      const write: typeof file.write = (parts, position) =>
        isFull ? Promise.reject(Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })) : file.write(parts, position)
      return { ...file, write }
    },
  }
  // The pack is longer than this, so it is sealed and not continued.
  await using store = await openStore({ folder: folder.path, roots: [model], disk, packSealBytes: 1000 })
  expect(await isSealed()).toBe(false)
  isFull = false
  await store.gc({ dryRun: false })
  expect(await isSealed()).toBe(true)
  for (const image of model.images.values()) expect(await readOutcome(store, image)).toBe('whole')
})

test('packs whose file is gone are named, with the slices that are lost with them', async () => {
  await using folder = await createTemporaryFolder()
  const model = createSliceModel()
  await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 20_000 })
  const first = await model.add(store, 'first', noiseBlocks(1, 65))
  const [gone = ''] = await filesBelow(folder.file('mount'), '.pack')
  const second = await model.add(store, 'second', noiseBlocks(2, 65))
  const digests = (image: typeof first): Buffer[] => digestsOf(image.manifest).map((hex) => Buffer.from(hex, 'hex'))
  const whole = await store.lostPacks()
  expect([whole.names, digests(first).some((digest) => whole.has(digest))]).toEqual([[], false])
  await rm(gone)
  const lost = await store.lostPacks()
  expect(lost.names).toEqual([basename(gone, '.pack')])
  expect([digests(first).filter((digest) => lost.has(digest)).length > 0, digests(second).some((digest) => lost.has(digest))]).toEqual([true, false])
  expect(lost.has(new Uint8Array(32))).toBe(false)
})

test('the quarantine is settled without a scrub: slices that are stored again are no longer listed', async () => {
  await using folder = await createTemporaryFolder()
  const model = createSliceModel()
  await using store = await openStore({ folder: folder.path, roots: [model] })
  const [first, second] = [await model.add(store, 'first', noiseBlocks(1, 2)), await model.add(store, 'second', noiseBlocks(2, 2))]
  const [pack = ''] = await filesBelow(folder.file('mount'), '.pack')
  for (const record of [16, 16 + 64 + 1024]) await damage(pack, record + 100)
  for (const image of [first, second]) expect(await readOutcome(store, image)).toBe('unreadable')
  const quarantined = (): string[] => store.quarantined().map(({ digest }) => digest.slice(7))
  const [one = '', other = ''] = [digestsOf(first.manifest)[0], digestsOf(second.manifest)[0]]
  expect(quarantined()).toEqual([one, other])
  await model.add(store, 'first again', noiseBlocks(1, 2))
  await store.settleQuarantine()
  expect(quarantined()).toEqual([other])
  await model.add(store, 'second again', noiseBlocks(2, 2))
  await store.settleQuarantine()
  expect(quarantined()).toEqual([])
})

test('a damaged slice is reported when its quarantine is durable, and not before', async () => {
  await using folder = await createTemporaryFolder()
  const real = createDisk()
  const written = Promise.withResolvers<void>()
  let writes = 0
  const disk: Disk = {
    ...real,
    async writeFileAtomic(path, bytes) {
      writes++
      await written.promise
      await real.writeFileAtomic(path, bytes)
    },
  }
  const model = createSliceModel()
  const reported: string[] = []
  await using store = await openStore({ folder: folder.path, roots: [model], disk, onCorrupt: (_digest, reason) => void reported.push(reason) })
  const image = await model.add(store, 'image', noiseBlocks(1, 2))
  const [pack = ''] = await filesBelow(folder.file('mount'), '.pack')
  await damage(pack, 16 + 100)
  const read = readOutcome(store, image)
  await until('the quarantine is being written', () => writes === 1)
  await Bun.sleep(2)
  expect(reported).toEqual([])
  written.resolve()
  expect([await read, reported]).toEqual(['unreadable', ['its checksum does not match']])
})

test('the size of slices is that of their stored bytes, and slices that are not stored have none', async () => {
  await using folder = await createTemporaryFolder()
  const model = createSliceModel()
  await using store = await openStore({ folder: folder.path, roots: [model] })
  const { manifest } = await model.add(store, 'image', noiseBlocks(1, 2))
  const [digest = Buffer.alloc(32)] = digestsOf(manifest).map((hex) => Buffer.from(hex, 'hex'))
  const other = new Uint8Array(32).fill(7)
  expect([[digest], [other], [other, digest, other], []].map((digests) => store.sizes(digests))).toEqual(
    [1024, 0, 1024, 0].map((storedBytes) => ({ storedBytes })),
  )
})
