// The step that unpacks an image before its inspection: what its content becomes, who pays for it, and why it is refused.

import { describe, expect, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import { SliceUnreadable } from '../../../agent/contract/slices.ts'
import { createOwnerLimit } from '../../../agent/images/owner-limit.ts'
import { newLife } from '../../../agent/images/records/image-file.ts'
import type { ImageLife } from '../../../agent/images/records/image-file.ts'
import { createImageKeeper } from '../../../agent/images/records/image-keeper.ts'
import { createImageTable } from '../../../agent/images/records/image-table.ts'
import { unpackFirst } from '../../../agent/images/unpack-first.ts'
import type { CompressedImage, Unpacking } from '../../../agent/images/unpack/unpacking.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import { parseDigest } from '../../../protocol/slices/digest.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { MEMORY_IMAGE as ID, memoryImage } from '../../support/memory/memory-image.ts'

const PACKED = `sha256:${'1'.repeat(64)}`
const DECLARED = `sha256:${'2'.repeat(64)}`
const UNPACKED = parseDigest(`sha256:${'3'.repeat(64)}`)
if (!UNPACKED) throw new Error('no digest')
const WRITTEN = { digest: UNPACKED, imageLength: 5000, count: 2 }

/** A store whose image of ann is unpacked by `unpack`; her images may have 10,000 bytes, of which another one has 5000. */
async function openScene(unpack: Unpacking['unpack'], life: Partial<ImageLife> = { compressed: PACKED }) {
  const folder = await createTemporaryFolder()
  await mkdir(folder.file(ID))
  const table = createImageTable()
  const keeper = createImageKeeper({ disk: createDisk(), folder: folder.path, table, nowMs: () => 0, ledger: { append: async () => {} } })
  table.put({
    image: memoryImage({ status: 'creating', owner: 'ann', length: 100, manifestDigest: null }),
    life: newLife({ declared: { digest: DECLARED, format: null, kind: null, mayBeInstallation: true }, ...life }),
  })
  const other = memoryImage({ id: 'img_other', owner: 'ann', length: 5000, manifestDigest: UNPACKED ?? null })
  const ownerLimit = createOwnerLimit({ imagesMax: 0, bytesMax: 10_000, images: () => [other], expected: () => [] })
  const progress: (number | null)[] = []
  const deps = { keeper, ownerLimit, unpacking: { unpack, discard: async () => {} } }
  return {
    keeper,
    ownerLimit,
    progress,
    run: () => unpackFirst(deps, ID, new AbortController().signal, (bytes) => void progress.push(bytes)),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

const never: Unpacking['unpack'] = () => Promise.reject(new Error('unpacked'))

test('an image that is not compressed is examined as it is', async () => {
  await using scene = await openScene(never, { compressed: null })
  expect(await scene.run()).toBeUndefined()
  expect(scene.progress).toEqual([])
})

test('a compressed image gets the unpacked bytes as its content, and its owner pays for them', async () => {
  const asked: CompressedImage[] = []
  await using scene = await openScene(async (file, commit) => {
    asked.push(file)
    file.onUnpacked(2500)
    await commit(WRITTEN)
    return { kind: 'unpacked' }
  })
  expect(await scene.run()).toBeUndefined()
  expect(asked).toMatchObject([{ image: { id: ID }, manifestDigest: PACKED, declaredDigest: DECLARED }])
  expect(scene.progress).toEqual([2500, null])
  const { image, life } = scene.keeper.need(ID)
  expect([image.status, image.manifestDigest, image.length, life.compressed, life.declared.digest]).toEqual(['creating', UNPACKED, 5000, null, null])
  // The claim ended with the change.
  scene.ownerLimit.claim({ id: 'img_next', owner: 'ann', length: 5000 })[Symbol.dispose]()
})

describe('unpacking changes nothing', () => {
  test('if the owner may not have one byte of it', async () => {
    await using scene = await openScene(async (_file, commit) => {
      await commit({ ...WRITTEN, imageLength: 5001 })
      return { kind: 'unpacked' }
    })
    await expect(scene.run()).rejects.toMatchObject({ code: 'limit-reached' })
    expect(scene.keeper.need(ID)).toMatchObject({ image: { length: 100, manifestDigest: null }, life: { compressed: PACKED } })
    expect(scene.progress).toEqual([null])
  })

  test('if the image was removed meanwhile', async () => {
    await using scene = await openScene(async (_file, commit) => {
      const { image, life } = scene.keeper.need(ID)
      scene.keeper.table.put({ image: { ...image, status: 'deleting' }, life })
      await commit(WRITTEN)
      return { kind: 'unpacked' }
    })
    await expect(scene.run()).rejects.toThrow(`image ${ID} is deleting`)
    expect(scene.keeper.need(ID).life.compressed).toBe(PACKED)
  })
})

describe('an image is refused', () => {
  test('with the reason why it cannot be unpacked', async () => {
    await using scene = await openScene(async () => ({ kind: 'refused', refusal: 'unsafe-image', reason: 'It is a bomb.' }))
    expect(await scene.run()).toMatchObject({
      inspection: { kind: 'refused', refusal: 'unsafe-image', reason: 'It is a bomb.', format: null },
      storedSize: null,
    })
    expect(scene.progress).toEqual([null])
  })

  test('if a slice of its compressed file cannot be read', async () => {
    await using scene = await openScene(() => Promise.reject(new SliceUnreadable(new Uint8Array(32), 'missing', 'slice 1 is missing')))
    const reason =
      'The compressed file of image debian cannot be read back: slice 1 is missing. ' +
      'Sync the image again from a store that has it; only damaged and missing slices are copied.'
    expect(await scene.run()).toMatchObject({ inspection: { kind: 'refused', refusal: 'data-corrupt', reason }, storedSize: null })
  })

  test('but not for an error of the disk, after which unpacking is tried again', async () => {
    await using scene = await openScene(() => Promise.reject(new Error('EIO')))
    await expect(scene.run()).rejects.toThrow('EIO')
    expect(scene.progress).toEqual([null])
  })
})
