// Reads of records: neighbours are read together, and no read of a pack is longer than its bound.

import { expect, test } from 'bun:test'
import type { Disk, DiskFile } from '../../../../agent/contract/disk.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
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
