// Reads of records: neighbours are read together, and no read of a pack is longer than its bound.

import { expect, test } from 'bun:test'
import type { Disk, DiskFile } from '../../../../agent/contract/disk.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { PackFiles } from '../../../../agent/slices/packs/pack-files.ts'
import { packPath } from '../../../../agent/slices/packs/pack-format.ts'
import { writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { sliceKey } from '../../../../agent/slices/packs/slice-row.ts'
import { decompress, readFrame, readFrames } from '../../../../agent/slices/read/records.ts'
import { SliceUnreadable } from '../../../../agent/contract/slices.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { CODEC_ZSTD } from '../../../../protocol/slices/frames.ts'
import { createRandom } from '../../../support/properties.ts'
import { createSliceModel, digestsOf, openStore } from '../../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const MIB = 1024 * 1024
const READ_BYTES_MAX = 4 * MIB
const STORED_BYTES = 16 * MIB

/** The real disk; keeps the lengths of all reads from packs. */
function createWatchedDisk(): { disk: Disk; reads: number[] } {
  const disk = createDisk()
  const reads: number[] = []
  const openRead = async (path: string): Promise<DiskFile> => {
    const file = await disk.openRead(path)
    if (!path.endsWith('.pack')) return file
    return {
      ...file,
      read(into, position) {
        reads.push(into.byteLength)
        return file.read(into, position)
      },
    }
  }
  return { disk: { ...disk, openRead }, reads }
}

test('slices spread over a pack are read together, in reads of at most 4 MiB', async () => {
  await using folder = await createTemporaryFolder()
  const { disk, reads } = createWatchedDisk()
  const model = createSliceModel()
  const cutter = { block: 512, minimum: 4096, average: 8192, maximum: 16_384 }
  await using store = await openStore({ folder: folder.path, roots: [model], packSealBytes: 4 * STORED_BYTES, disk, cutter })
  const { manifest } = await model.add(store, 'image', createRandom(1).bytes(STORED_BYTES))
  // Every fourth slice: the slices read together are a quarter of the bytes from the first to the last one.
  const digests = digestsOf(manifest)
    .filter((_digest, i) => i % 4 === 0)
    .map((digest) => Buffer.from(digest, 'hex'))
  reads.length = 0
  let frames = 0
  for await (const frame of store.readStored(digests)) {
    expect(Bun.SHA256.hash(frame.stored, 'hex')).toBe(Buffer.from(frame.digest).toString('hex'))
    frames++
  }
  expect(frames).toBe(digests.length)
  expect(Math.max(...reads)).toBeLessThanOrEqual(READ_BYTES_MAX)
  expect(Math.max(...reads)).toBeGreaterThan(READ_BYTES_MAX / 2)
  expect(reads.length).toBeLessThan(20)
})

test.each<[string, [offset: number, length: number][], number[]]>([
  [
    'records side by side are one read',
    [
      [16, 100],
      [180, 100],
    ],
    [328],
  ],
  [
    'a gap of 64 KiB is read over',
    [
      [16, 100],
      [180 + 65_536, 100],
    ],
    [65_864],
  ],
  [
    'a gap of one byte more is not',
    [
      [16, 100],
      [180 + 65_537, 100],
    ],
    [164, 164],
  ],
  [
    'a read has 4 MiB',
    [
      [16, 4 * MIB - 64 - 164],
      [16 + 4 * MIB - 164, 100],
    ],
    [4 * MIB],
  ],
  [
    'and no byte more',
    [
      [16, 4 * MIB - 64 - 163],
      [16 + 4 * MIB - 163, 100],
    ],
    [4 * MIB - 163, 164],
  ],
  [
    'the order of the disk counts, not the one asked for',
    [
      [5000, 100],
      [16, 100],
    ],
    [5148],
  ],
])('%s', async (_what, places, lengths) => {
  await using folder = await createTemporaryFolder()
  const { disk, reads } = createWatchedDisk()
  await using index = IndexDatabase.open(folder.file('index.db'))
  const { id, name } = index.addPack('a'.repeat(32))
  await disk.makeFolder(folder.file('aa'))
  const wanted = []
  {
    await using file = await disk.openWrite(folder.file(packPath(name)), 'create')
    for (const [n, [offset, length]] of places.entries()) {
      const stored = createRandom(n).bytes(length)
      const digest = new Uint8Array(Bun.SHA256.hash(stored) as Uint8Array)
      const header = Buffer.alloc(64)
      writeRecordHeader(header, 0, { digest, codec: 0, length, storedLength: length, checksum: Bun.hash.xxHash64(stored) })
      await file.write([header, stored], offset)
      wanted.push({ digest, location: { pack: id, offset, length, storedLength: length } })
    }
  }
  await using files = new PackFiles(disk, folder.path)
  const never = async (): Promise<never> => {
    throw new Error('nothing is damaged or missing')
  }
  const frames = await readFrames({ index, files, search: { find: never, judge: never }, onCorrupt: never }, wanted)
  for (const { digest, location } of wanted) expect(frames.get(sliceKey(digest))?.stored).toHaveLength(location.length)
  expect(reads).toEqual(lengths)
})

test('a slice whose pack is removed between look-up and read is read from its new place', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createDisk()
  await using index = IndexDatabase.open(folder.file('index.db'))
  const gone = index.addPack('a'.repeat(32))
  const { id, name } = index.addPack('b'.repeat(32))
  await disk.makeFolder(folder.file('bb'))
  const stored = createRandom(1).bytes(100)
  const digest = new Uint8Array(Bun.SHA256.hash(stored) as Uint8Array)
  {
    const header = Buffer.alloc(64)
    writeRecordHeader(header, 0, { digest, codec: 0, length: 100, storedLength: 100, checksum: Bun.hash.xxHash64(stored) })
    await using file = await disk.openWrite(folder.file(packPath(name)), 'create')
    await file.write([header, stored], 5000)
  }
  index.add(id, [{ digest, offset: 5000, length: 100, storedLength: 100 }])
  await using files = new PackFiles(disk, folder.path)
  const never = async (): Promise<never> => {
    throw new Error('nothing is damaged')
  }
  const deps = { index, files, search: { find: never, judge: never }, onCorrupt: never }
  const location = { pack: gone.id, offset: 16, length: 100, storedLength: 100 }
  const frames = await readFrames(deps, [{ digest, location }])
  expect(frames.get(sliceKey(digest))?.stored).toEqual(stored)
  // A slice that is nowhere else is missing, and so is one that is asked for alone.
  const other = new Uint8Array(32).fill(7)
  await expect(readFrames(deps, [{ digest: other, location }])).rejects.toThrow('no pack has the slice 0707')
  await expect(readFrame(deps, { digest, location })).rejects.toThrow('the pack of a slice is gone')
})

test('a pack that cannot be read for another reason is not taken for one that is gone', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createDisk()
  const broken: Disk = { ...disk, openRead: () => Promise.reject(Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' })) }
  await using index = IndexDatabase.open(folder.file('index.db'))
  const { id } = index.addPack('a'.repeat(32))
  const digest = new Uint8Array(32).fill(7)
  await using files = new PackFiles(broken, folder.path)
  const never = async (): Promise<never> => {
    throw new Error('nothing is damaged')
  }
  const deps = { index, files, search: { find: never, judge: never }, onCorrupt: never }
  const location = { pack: id, offset: 16, length: 100, storedLength: 100 }
  await expect(readFrames(deps, [{ digest, location }])).rejects.toThrow('EIO: the disk is broken')
})

test('a slice whose bytes do not decompress is reported before its reader learns of it', async () => {
  const stored = createRandom(1).bytes(100)
  const digest = new Uint8Array(32).fill(7)
  const location = { pack: 1, offset: 16, length: 4096, storedLength: 100 }
  const reported: unknown[] = []
  const deps = {
    onCorrupt: async (...parts: readonly unknown[]): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 10))
      reported.push(parts)
    },
  } as unknown as Parameters<typeof decompress>[0]
  const error = await decompress(deps, { digest, length: 4096, codec: CODEC_ZSTD, stored }, location).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(SliceUnreadable)
  expect((error as SliceUnreadable).reason).toBe('corrupt')
  expect(reported).toEqual([[digest, location, 'does not decompress']])
})

test('the record of another slice of the same length is never returned: the packs say where the right one is', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createDisk()
  await using index = IndexDatabase.open(folder.file('index.db'))
  const { id, name } = index.addPack('a'.repeat(32))
  await disk.makeFolder(folder.file('aa'))
  const slices = [1, 2].map((seed, n) => {
    const stored = createRandom(seed).bytes(100)
    return {
      stored,
      digest: new Uint8Array(Bun.SHA256.hash(stored) as Uint8Array),
      location: { pack: id, offset: 16 + n * 164, length: 100, storedLength: 100 },
    }
  })
  {
    await using file = await disk.openWrite(folder.file(packPath(name)), 'create')
    for (const { stored, digest, location } of slices) {
      const header = Buffer.alloc(64)
      writeRecordHeader(header, 0, { digest, codec: 0, length: 100, storedLength: 100, checksum: Bun.hash.xxHash64(stored) })
      await file.write([header, stored], location.offset)
    }
  }
  const [one, other] = slices
  if (!one || !other) throw new Error('two slices were written')
  await using files = new PackFiles(disk, folder.path)
  const judged: unknown[] = []
  const reported: unknown[] = []
  let verdict: 'damaged' | typeof one.location = one.location
  const search = {
    find: async (): Promise<void> => {},
    judge: async (...parts: unknown[]): Promise<typeof verdict> => {
      judged.push(parts)
      return verdict
    },
  }
  const deps = { index, files, search, onCorrupt: async (...parts: unknown[]): Promise<void> => void reported.push(parts) }
  const wanted = { digest: one.digest, location: other.location }
  expect((await readFrames(deps, [wanted])).get(sliceKey(one.digest))?.stored).toEqual(one.stored)
  expect([judged, reported]).toEqual([[[one.digest, other.location]], []])
  verdict = 'damaged'
  await expect(readFrame(deps, wanted)).rejects.toThrow(/is damaged: its record has another slice$/)
  expect(reported).toEqual([[one.digest, other.location, 'its record has another slice']])
})
