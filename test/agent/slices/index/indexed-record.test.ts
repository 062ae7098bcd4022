// The index compared with a pack: whether a record is where the index says, and which rows the index has in a pack.

import { expect, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hasRecord, indexedRows } from '../../../../agent/slices/index/indexed-record.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { PackFiles } from '../../../../agent/slices/packs/pack-files.ts'
import { packPath } from '../../../../agent/slices/packs/pack-format.ts'
import { RECORD_HEADER_BYTES, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const NAME = 'a'.repeat(32)
const digestOf = (n: number): Uint8Array => {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, n)
  return digest
}

test('a record is where its header says so, with the lengths of the index', async () => {
  await using folder = await createTemporaryFolder()
  await using index = IndexDatabase.open(folder.file('index.db'))
  const path = folder.file(packPath(NAME))
  await mkdir(dirname(path), { recursive: true })
  const bytes = Buffer.alloc(16 + RECORD_HEADER_BYTES + 50)
  writeRecordHeader(bytes, 16, { digest: digestOf(1), codec: 1, length: 100, storedLength: 50, checksum: 0n })
  await Bun.write(path, bytes)
  const { id } = index.addPack(NAME)
  await using files = new PackFiles(createDisk(), folder.path)
  const at = { pack: id, offset: 16, length: 100, storedLength: 50 }
  expect(await hasRecord({ index, files }, digestOf(1), at)).toBe(true)
  const others = [
    { ...at, offset: 15 },
    { ...at, offset: -1 },
    { ...at, offset: 1_000_000 },
    { ...at, length: 101 },
    { ...at, storedLength: 49 },
    { ...at, pack: id + 1 },
  ]
  for (const other of others) expect(await hasRecord({ index, files }, digestOf(1), other)).toBe(false)
  expect(await hasRecord({ index, files }, digestOf(2), at)).toBe(false)
})

test('there is no record in a pack whose file is gone, but another failure says nothing about it', async () => {
  await using folder = await createTemporaryFolder()
  await using index = IndexDatabase.open(folder.file('index.db'))
  const { id } = index.addPack(NAME)
  const disk = createDisk()
  const at = { pack: id, offset: 16, length: 100, storedLength: 50 }
  {
    await using files = new PackFiles(disk, folder.path)
    expect(await hasRecord({ index, files }, digestOf(1), at)).toBe(false)
  }
  const failing: typeof disk = { ...disk, openRead: () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) }
  await using files = new PackFiles(failing, folder.path)
  await expect(hasRecord({ index, files }, digestOf(1), at)).rejects.toThrow('EIO')
})

test('the rows of a pack are those in memory and those on disk, with a pause for each 4096', async () => {
  await using folder = await createTemporaryFolder()
  await using index = IndexDatabase.open(folder.file('index.db'))
  const [sealed, open] = [index.addPack(NAME), index.addPack('b'.repeat(32))]
  const rowOf = (n: number) => ({ digest: digestOf(n), offset: 16 + n, length: 10, storedLength: 10 })
  index.add(
    sealed.id,
    Array.from({ length: 5000 }, (_, n) => rowOf(n)),
  )
  index.sealPack(sealed.id, 100)
  await index.flush()
  index.add(open.id, [rowOf(6000), rowOf(6001), rowOf(7)])
  let pauses = 0
  const offsetsOf = async (pack: number): Promise<number[]> => {
    const rows = await Array.fromAsync(indexedRows(index, pack, async () => void pauses++))
    return rows.map(({ offset }) => offset).toSorted((a, b) => a - b)
  }
  expect(await offsetsOf(open.id)).toEqual([23, 6016, 6017])
  expect(pauses).toBe(2)
  // Row 7 is in the other pack now.
  expect(await offsetsOf(sealed.id)).toEqual(Array.from({ length: 5000 }, (_, n) => 16 + n).filter((offset) => offset !== 23))
})
