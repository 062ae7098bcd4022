// Roots of images for gc: which slices stay, what is reported about damaged manifests, and when gc must not remove anything.

import { describe, expect, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import type { Disk } from '../../../agent/contract/disk.ts'
import type { SliceRoot } from '../../../agent/contract/slices.ts'
import { createManifestFiles } from '../../../agent/images/manifests/manifest-files.ts'
import { newLife } from '../../../agent/images/records/image-file.ts'
import type { ImageLife } from '../../../agent/images/records/image-file.ts'
import { createImageKeeper } from '../../../agent/images/records/image-keeper.ts'
import { createImageTable } from '../../../agent/images/records/image-table.ts'
import { createImageRoots, createReaderPins } from '../../../agent/images/roots.ts'
import type { RootsDeps } from '../../../agent/images/roots.ts'
import { createDisk } from '../../../agent/system/disk.ts'
import type { Image } from '../../../protocol/images/image.ts'
import { encodeManifest } from '../../../protocol/slices/manifest.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { MEMORY_IMAGE as ID, memoryImage } from '../../support/memory/memory-image.ts'

const slice = (n: number): { length: number; digest: Uint8Array } => ({ length: 4096, digest: new Uint8Array(32).fill(n) })
/** The manifest of the image, of slices 1 and 2, and that of its compressed file, of slices 7 and 8. */
const [{ manifest, digest }, packed] = await Promise.all([encodeManifest([slice(1), slice(2)]), encodeManifest([slice(7), slice(8)])])
/** A manifest whose first byte has changed: nothing but its entries can be read. */
const damagedBytes = Buffer.concat([Buffer.from('X'), manifest.bytes.subarray(1)])
const REASON = `the manifest of image debian (${ID}) is damaged: does not begin with SLIPWAYM`
const ACTION = `Sync the image again from a store that has it, or restore images/${ID}/manifest from a backup and run scrub; otherwise delete the image.`

async function openScene() {
  const folder = await createTemporaryFolder()
  await mkdir(folder.file(ID))
  const table = createImageTable()
  const marks: string[] = []
  const scene = { beforeRead: async (_path: string): Promise<void> => {} }
  const real = createDisk()
  const disk: Disk = {
    ...real,
    async openRead(path) {
      await scene.beforeRead(path)
      return real.openRead(path)
    },
  }
  const filesOf = (name: 'manifest' | 'compressed') =>
    createManifestFiles({ disk, name, folder: folder.path, pause: async () => {}, onDamaged: async (_id, error) => error })
  /** Marks take a turn of the event loop, as a write of image.json does. */
  const mark = async (text: string): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve))
    marks.push(text)
  }
  const damage: Partial<RootsDeps['damage']> = {
    markManifestDamaged: (id, reason) => mark(`${id} is damaged: ${reason}`),
    markManifestIntact: (id) => mark(`${id} is intact`),
  }
  const deps: RootsDeps = {
    keeper: createImageKeeper({ disk, folder: folder.path, table, nowMs: () => 0, ledger: { append: async () => {} } }),
    manifests: filesOf('manifest'),
    compressed: filesOf('compressed'),
    unpacking: () => [],
    // The only calls of the roots.
    damage: damage as RootsDeps['damage'],
    readerPins: createReaderPins(),
  }
  const put = (image: Partial<Image>, life: Partial<ImageLife> = {}): void =>
    void table.put({ image: memoryImage({ manifestDigest: digest, ...image }), life: newLife(life) })
  const root = async (): Promise<SliceRoot> => {
    const [first] = await Array.fromAsync(createImageRoots(deps).list())
    if (!first) throw new Error('there is no root')
    return first
  }
  return {
    deps,
    scene,
    table,
    marks,
    put,
    root,
    write: (name: 'manifest' | 'compressed', bytes: Uint8Array) => Bun.write(folder.file(ID, name), bytes),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

/** Returns the first bytes of the digests that a root yields. */
async function slicesOf(root: SliceRoot): Promise<number[]> {
  return (await Array.fromAsync(root.entries(), (entry) => entry.digest?.[0] ?? 0)).toSorted((a, b) => a - b)
}

const eio = async (): Promise<never> => {
  throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
}

test('the roots are what is unpacked, then every image, then what is read', async () => {
  await using scene = await openScene()
  scene.put({})
  const deps = { ...scene.deps, unpacking: () => [{ name: 'unpacking x', entries: () => [] }] }
  using _pin = scene.deps.readerPins.add('img_read', manifest)
  expect((await Array.fromAsync(createImageRoots(deps).list())).map(({ name }) => name)).toEqual(['unpacking x', `image ${ID}`, 'read img_read'])
})

test('a reader keeps the slices of its manifest until it ends, each for itself', async () => {
  const pins = createReaderPins()
  const [first, second] = [pins.add(ID, manifest), pins.add(ID, manifest)]
  first[Symbol.dispose]()
  const [left, ...others] = [...pins.list()]
  expect([left && (await slicesOf(left)), others]).toEqual([[1, 2], []])
  second[Symbol.dispose]()
  expect([...pins.list()]).toEqual([])
})

describe('an image', () => {
  test('keeps its slices', async () => {
    await using scene = await openScene()
    scene.put({})
    await scene.write('manifest', manifest.bytes)
    const root = await scene.root()
    expect([await slicesOf(root), root.fault?.(), scene.marks]).toEqual([[1, 2], undefined, []])
  })

  test('whose manifest was damaged and is intact is marked so', async () => {
    await using scene = await openScene()
    scene.put({ status: 'error' }, { damage: 'manifest' })
    await scene.write('manifest', manifest.bytes)
    const root = await scene.root()
    expect([await slicesOf(root), root.fault?.(), scene.marks]).toEqual([[1, 2], undefined, [`${ID} is intact`]])
  })

  test.each<[Image['status'], ImageLife['damage'], boolean]>([
    ['available', null, true],
    ['available', 'manifest', true],
    ['error', 'metadata', true],
    ['deleted', null, true],
    ['deleted', 'slices', true],
    ['deleted', 'manifest', false],
    ['deleted', 'metadata', false],
  ])('that is %s, with damage %s known, keeps what can be salvaged of a damaged manifest; gc stops: %p', async (status, known, stops) => {
    await using scene = await openScene()
    scene.put({ status }, { damage: known })
    await scene.write('manifest', damagedBytes)
    const root = await scene.root()
    expect(await slicesOf(root)).toEqual([1, 2])
    expect(root.fault?.()).toEqual(stops ? { reason: REASON, action: ACTION } : undefined)
    expect(scene.marks).toEqual([`${ID} is damaged: does not begin with SLIPWAYM`])
  })

  test('that is being removed, or was removed meanwhile, is neither marked nor a fault', async () => {
    await using scene = await openScene()
    scene.put({ status: 'deleting' })
    await scene.write('manifest', damagedBytes)
    const removing = await scene.root()
    expect([await slicesOf(removing), removing.fault?.(), scene.marks]).toEqual([[1, 2], undefined, []])
    scene.put({ status: 'available' })
    const removed = await scene.root()
    scene.scene.beforeRead = async () => scene.table.remove(ID)
    expect([await slicesOf(removed), removed.fault?.(), scene.marks]).toEqual([[1, 2], undefined, []])
    expect(await slicesOf(removed)).toEqual([])
  })

  test('is no fault any more once its manifest is back', async () => {
    await using scene = await openScene()
    scene.put({})
    await scene.write('manifest', damagedBytes)
    const root = await scene.root()
    await slicesOf(root)
    expect(root.fault?.()).toBeDefined()
    await scene.write('manifest', manifest.bytes)
    await slicesOf(root)
    expect(root.fault?.()).toBeUndefined()
  })

  test('whose manifest the disk cannot read stops gc with the error, and is not marked', async () => {
    await using scene = await openScene()
    scene.put({})
    scene.scene.beforeRead = eio
    await expect(slicesOf(await scene.root())).rejects.toThrow('EIO')
    expect(scene.marks).toEqual([])
  })

  test('that never had content keeps nothing, and its files are not read', async () => {
    await using scene = await openScene()
    scene.put({ status: 'error', manifestDigest: null }, { damage: 'manifest' })
    await scene.write('manifest', manifest.bytes)
    scene.scene.beforeRead = eio
    const root = await scene.root()
    expect([await slicesOf(root), root.fault?.()]).toEqual([[], undefined])
  })
})

describe('an image that is not unpacked yet', () => {
  const COMPRESSED = { compressed: packed.digest }

  test('keeps the slices of its compressed file', async () => {
    await using scene = await openScene()
    scene.put({ status: 'creating', manifestDigest: null }, COMPRESSED)
    await scene.write('compressed', packed.manifest.bytes)
    expect(await slicesOf(await scene.root())).toEqual([7, 8])
  })

  test('keeps its content if it was unpacked meanwhile, and nothing if it was removed', async () => {
    await using scene = await openScene()
    scene.put({ status: 'creating', manifestDigest: null }, COMPRESSED)
    await scene.write('manifest', manifest.bytes)
    const root = await scene.root()
    scene.scene.beforeRead = async (path) => {
      if (path.endsWith('compressed')) scene.put({ status: 'available' })
    }
    expect(await slicesOf(root)).toEqual([1, 2])
    scene.put({ status: 'creating', manifestDigest: null }, COMPRESSED)
    scene.scene.beforeRead = async () => scene.table.remove(ID)
    expect(await slicesOf(root)).toEqual([])
  })

  test('keeps nothing if its compressed file is damaged, which is no fault, but not if the disk fails', async () => {
    await using scene = await openScene()
    scene.put({ status: 'creating', manifestDigest: null }, COMPRESSED)
    await scene.write('manifest', manifest.bytes)
    const root = await scene.root()
    expect([await slicesOf(root), root.fault?.(), scene.marks]).toEqual([[], undefined, []])
    scene.scene.beforeRead = eio
    await expect(slicesOf(root)).rejects.toThrow('EIO')
  })
})
