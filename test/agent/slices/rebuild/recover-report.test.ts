// What recovery makes of packs that changed while the agent was not running: another file under a known name, files that are gone or cannot be read.

import { expect, test } from 'bun:test'
import { dirname } from 'node:path'
import type { Disk } from '../../../../agent/contract/disk.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { encodePackFooter, encodePackHeader, packPath } from '../../../../agent/slices/packs/pack-format.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { checksumOf, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { openQuarantine } from '../../../../agent/slices/rebuild/quarantine.ts'
import { recoverIndex, recoverLeftOut } from '../../../../agent/slices/rebuild/recover.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'

const [A = '', B = ''] = ['a', 'b'].map((letter) => letter.repeat(32))
const bytesOf = (n: number): Buffer => Buffer.alloc(100, `slice ${n} `)
const digestOf = (n: number): Uint8Array => new Uint8Array(Bun.SHA256.hash(bytesOf(n)) as Uint8Array)
const rowsOf = (slices: readonly number[]): PackRow[] => slices.map((n, i) => ({ digest: digestOf(n), offset: 16 + i * 164, length: 100, storedLength: 100 }))

/** The bytes of a pack with these slices. */
function packOf(slices: readonly number[], isSealed = true): Buffer {
  const records = slices.flatMap((n) => {
    const header = Buffer.alloc(64)
    writeRecordHeader(header, 0, { digest: digestOf(n), codec: 0, length: 100, storedLength: 100, checksum: checksumOf(bytesOf(n)) })
    return [header, bytesOf(n)]
  })
  return Buffer.concat([encodePackHeader(), ...records, ...(isSealed ? [encodePackFooter(rowsOf(slices), 16 + slices.length * 164)] : [])])
}

/** Opens a store with these slices of pack A in quarantine. */
async function openScene(quarantined: readonly PackRow[] = []) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const index = stack.use(IndexDatabase.open(folder.file('index.db')))
  const real = createDisk()
  await real.makeFolder(folder.file('packs'))
  const broken = new Set<string>()
  const disk: Disk = {
    ...real,
    async openWrite(path, mode) {
      if (broken.has(path)) throw Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' })
      return await real.openWrite(path, mode)
    },
  }
  const log = createMemoryLog()
  for (const { digest, offset } of quarantined) {
    const hex = Buffer.from(digest).toString('hex')
    const entry = { digest: `sha256:${hex}`, pack: A, offset, reason: 'for the test', foundAt: '2026-01-01T00:00:00.000Z', healedAt: null }
    await real.makeFolder(folder.file('quarantine'))
    await Bun.write(folder.file('quarantine', `${hex}-${A}-${offset}.slice.json`), JSON.stringify(entry))
  }
  const quarantine = await openQuarantine({ disk, clock: systemClock, log, folder: folder.file('quarantine'), index })
  const pathOf = (name: string): string => folder.file('packs', packPath(name))
  const own = stack.move()
  return {
    index,
    broken,
    pathOf,
    /** Puts a file at the place of a pack. */
    async place(name: string, bytes: Buffer): Promise<void> {
      await real.makeFolder(dirname(pathOf(name)))
      await Bun.write(pathOf(name), bytes)
    },
    /** Tells the index of a sealed pack. */
    async know(name: string, slices: readonly number[], length: number): Promise<void> {
      const { id } = index.addPack(name)
      index.add(id, rowsOf(slices))
      index.sealPack(id, length)
      await index.flush()
    },
    /** Puts a file that is no pack, or not where packs are, below the packs. */
    placeOther: (...path: string[]) => Bun.write(folder.file('packs', ...path), packOf([9])),
    recover: () => recoverIndex({ disk, log, folder: folder.file('packs'), index, quarantine, sealBytes: 1_000_000 }),
    retry: (names: readonly string[]) => recoverLeftOut({ disk, log, folder: folder.file('packs'), index, quarantine, sealBytes: 1_000_000 }, new Set(names)),
    [Symbol.asyncDispose]: () => own.disposeAsync(),
  }
}

test('a sealed pack that has another length than before is another pack: the index has its rows and no others', async () => {
  await using scene = await openScene()
  await scene.place(A, packOf([3, 4]))
  await scene.know(A, [1, 2], 5000)
  expect(await scene.recover()).toMatchObject({ packsRead: 1, slicesFound: 2, bytesFound: 200, faults: [], packsMissing: [] })
  expect([1, 2, 3, 4].map((n) => scene.index.find(digestOf(n))?.offset)).toEqual([undefined, undefined, 16, 180])
})

test('a sealed pack of the same length is not read', async () => {
  await using scene = await openScene()
  await scene.place(A, packOf([1, 2]))
  await scene.know(A, [1, 2], packOf([1, 2]).length)
  expect(await scene.recover()).toMatchObject({ packsRead: 0, slicesFound: 0, faults: [] })
  expect(scene.index.find(digestOf(2))?.offset).toBe(180)
})

// Columns: slices of the pack that is gone, those of the pack that is there, and the fault.
test.each<[number[], number[], string[]]>([
  [[1, 2], [3], ['1 packs are gone from the mount path and 2 slices with them; scrub names the images.']],
  [[1], [3], ['1 packs are gone from the mount path and 1 slices with them; scrub names the images.']],
  [[], [3], []],
])('a pack with slices %j that is gone is reported with the slices that no other pack has', async (gone, there, faults) => {
  await using scene = await openScene()
  await scene.place(B, packOf(there))
  await scene.know(B, there, packOf(there).length)
  await scene.know(A, gone, 5000)
  expect(await scene.recover()).toMatchObject({ packsMissing: [A], faults })
  expect([...scene.index.packs()].map(({ name }) => name)).toEqual([B])
  expect([scene.index.sliceCount, ...gone.map((n) => scene.index.find(digestOf(n)))]).toEqual([there.length, ...gone.map(() => undefined)])
})

test('a pack that cannot be read is left out and named, and the others are read', async () => {
  await using scene = await openScene()
  await scene.place(A, packOf([1]))
  await scene.place(B, packOf([2]))
  scene.broken.add(scene.pathOf(A))
  const { leftOut, faults, packsRead } = await scene.recover()
  expect([[...leftOut], faults, packsRead]).toEqual([[A], [`Pack ${A} cannot be read: EIO: the disk is broken.`], 1])
  expect([1, 2].map((n) => scene.index.find(digestOf(n))?.offset)).toEqual([undefined, 16])
})

test('the longest unsealed pack is continued, and shorter ones are sealed', async () => {
  await using scene = await openScene()
  await scene.place(A, packOf([1], false))
  await scene.place(B, packOf([2, 3], false))
  const { unsealed, abandoned } = await scene.recover()
  expect([unsealed?.name, unsealed?.length, unsealed?.rows.length, abandoned]).toEqual([B, 344, 2, []])
  expect([...scene.index.packs()].map(({ name, sealed, length }) => [name, sealed, length]).toSorted(([a], [b]) => String(a).localeCompare(String(b)))).toEqual(
    [
      [A, true, 260],
      [B, false, 0],
    ],
  )
})

test('a sealed pack that was read is sealed in the index on disk, so that the next start does not read it', async () => {
  await using scene = await openScene()
  await scene.place(A, packOf([1, 2]))
  await scene.recover()
  expect([...scene.index.packs()].map(({ name, sealed, length }) => [name, sealed, length])).toEqual([[A, true, packOf([1, 2]).length]])
  expect([scene.index.waiting().length, scene.index.sliceCount]).toEqual([0, 2])
  expect(await scene.recover()).toMatchObject({ packsRead: 0 })
})

test('rows of quarantined records are dropped, also those of a pack that is not read', async () => {
  const [, second, third] = rowsOf([1, 2, 3])
  for (const isKnown of [true, false]) {
    await using scene = await openScene([second, third].flatMap((row) => row ?? []))
    await scene.place(A, packOf([1, 2, 3]))
    if (isKnown) await scene.know(A, [1, 2, 3], packOf([1, 2, 3]).length)
    await scene.recover()
    expect([1, 2, 3].map((n) => scene.index.find(digestOf(n))?.offset)).toEqual([16, undefined, undefined])
  }
})

test('files that are no packs, or not in the folder of their name, are left alone', async () => {
  await using scene = await openScene()
  await scene.placeOther('README')
  await scene.placeOther('other', `${A}.pack`)
  await scene.placeOther('aa', `${A}.pack.tmp`)
  expect(await scene.recover()).toMatchObject({ packsRead: 0, faults: [], packsMissing: [] })
})

test.each([1, 63, 64, 163])('a torn tail of %i bytes is cut', async (bytes) => {
  await using scene = await openScene()
  await scene.place(A, Buffer.concat([packOf([1], false), packOf([2], false).subarray(16, 16 + bytes)]))
  expect(await scene.recover()).toMatchObject({ tornBytes: bytes, slicesFound: 1, faults: [], unsealed: { length: 180 } })
  expect(Bun.file(scene.pathOf(A)).size).toBe(180)
})

test('packs that were left out are read and sealed once they can be, and others stay left out', async () => {
  await using scene = await openScene(rowsOf([1, 2]).slice(1))
  await scene.place(A, packOf([1, 2], false))
  await scene.place(B, packOf([3]))
  scene.broken.add(scene.pathOf(B))
  const { leftOut, abandoned } = await scene.retry([A, B, `aa${'c'.repeat(30)}`])
  expect([[...leftOut], abandoned]).toEqual([[B], []])
  expect([...scene.index.packs()].map(({ name, sealed }) => [name, sealed])).toEqual([[A, true]])
  expect([1, 2, 3].map((n) => scene.index.find(digestOf(n))?.offset)).toEqual([16, undefined, undefined])
  expect(scene.index.waiting()).toHaveLength(0)
  scene.broken.clear()
  expect([...(await scene.retry([B])).leftOut]).toEqual([])
  expect(scene.index.find(digestOf(3))?.offset).toBe(16)
})
