// Manifests in their files: writing, reading and removing them, in memory and from the file.

import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { mkdir, truncate } from 'node:fs/promises'
import type { Disk, DiskFile } from '../../../../agent/contract/disk.ts'
import { createManifestFiles } from '../../../../agent/images/manifests/manifest-files.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { encodeManifest, ManifestInvalid } from '../../../../protocol/slices/manifest.ts'
import type { ManifestEntry } from '../../../../protocol/slices/manifest.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const OTHER = `sha256:${'0'.repeat(64)}`

function entriesOf(count: number): ManifestEntry[] {
  return Array.from({ length: count }, (_, i) => {
    const digest = new Uint8Array(32)
    new DataView(digest.buffer).setUint32(0, i + 1)
    return { length: 4096, digest }
  })
}

async function openScene(disk: Disk = createDisk()) {
  const folder = await createTemporaryFolder()
  await mkdir(folder.file('a'))
  const damaged: string[] = []
  const files = createManifestFiles({
    disk,
    name: 'manifest',
    folder: folder.path,
    pause: async () => {},
    onDamaged: async (id, error) => {
      damaged.push(`${id}: ${error.message}`)
      return new Error('reported')
    },
  })
  return {
    files,
    damaged,
    path: folder.file('a', 'manifest'),
    async [Symbol.asyncDispose]() {
      // A long manifest stays open in the cache.
      files.evict('a')
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** Entries of a manifest of 1 MiB, the longest that is loaded into memory; one more is read from its file. */
const MEMORY_ENTRIES = 26_210

describe('a manifest', () => {
  test.each<[number, number[]]>([
    [3, [120]],
    [16_384, [655_360]],
    [MEMORY_ENTRIES, [655_360, 393_040]],
    [30_000, [655_360, 544_640]],
  ])('of %i entries is read as it was written, in windows of %j bytes', async (count, sizes) => {
    await using scene = await openScene()
    const { files } = scene
    const { manifest, digest } = await encodeManifest(entriesOf(count))
    await files.write('a', manifest)
    using opened = await files.open('a', digest)
    expect([opened.digest, opened.manifest.count, opened.manifest.imageLength]).toEqual([digest, count, 4096 * count])
    const last = opened.manifest.count - 1
    for await (const block of opened.manifest.blocks()) if (block.first + block.count > last) expect(block.digestAt(last)).toEqual(manifest.digestAt(last))
    let walked = 0
    for await (const block of files.walk('a', digest)) walked += block.count
    expect(walked).toBe(count)
    const windows = await Array.fromAsync(files.windows('a', digest))
    expect(windows.map(({ byteLength }) => byteLength)).toEqual(sizes)
    expect(Buffer.concat(windows).equals(manifest.bytes.subarray(32, -32))).toBe(true)
    expect((await Array.fromAsync(files.salvage('a'))).length).toBe(count)
  })

  test('is replaced for the next reader', async () => {
    await using scene = await openScene()
    const [one, two] = [await encodeManifest(entriesOf(1)), await encodeManifest(entriesOf(2))]
    await scene.files.write('a', one.manifest)
    using first = await scene.files.open('a', one.digest)
    await scene.files.write('a', two.manifest)
    using second = await scene.files.open('a', two.digest)
    expect([first.manifest.count, second.manifest.count]).toEqual([1, 2])
    const entries = entriesOf(3)
    const blocks = async function* () {
      yield entries
    }
    const written = await scene.files.writeContent('a', { blocks, length: 3 * 4096 })
    using third = await scene.files.open('a', null)
    expect([third.manifest.count, third.digest]).toEqual([3, written.digest])
  })

  test('that is removed is gone from the disk and from memory', async () => {
    await using scene = await openScene()
    const { manifest, digest } = await encodeManifest(entriesOf(3))
    await scene.files.write('a', manifest)
    using kept = await scene.files.open('a', digest)
    await scene.files.remove('a')
    expect(existsSync(scene.path)).toBe(false)
    expect(kept.manifest.count).toBe(3)
    await expect(scene.files.open('a', digest)).rejects.toThrow('its file is missing')
    expect(await Array.fromAsync(scene.files.salvage('a'))).toEqual([])
  })

  test('with another digest is refused by every way to read it', async () => {
    await using scene = await openScene()
    const { files } = scene
    await files.write('a', (await encodeManifest(entriesOf(3))).manifest)
    await expect(files.open('a', OTHER)).rejects.toThrow(ManifestInvalid)
    await expect(files.openOnce('a', OTHER)).rejects.toThrow(ManifestInvalid)
    await expect(Array.fromAsync(files.walk('a', OTHER))).rejects.toThrow(ManifestInvalid)
    await expect(Array.fromAsync(files.windows('a', OTHER))).rejects.toThrow(ManifestInvalid)
    expect(await files.checkEnds('a', OTHER)).toMatchObject({ kind: 'damaged' })
  })

  test('longer than the limit is refused by its length, before it is read', async () => {
    await using scene = await openScene()
    await Bun.write(scene.path, '')
    for (const length of [2_147_483_625, 107_374_182_400]) {
      await truncate(scene.path, length)
      await expect(scene.files.open('a', null)).rejects.toThrow(`its file has ${length} bytes, more than the limit of 2147483624`)
    }
    await truncate(scene.path, 2_147_483_624)
    await expect(scene.files.open('a', null)).rejects.toThrow('does not begin with SLIPWAYM')
  })

  test('that is damaged while it is open is reported once, and the next reader opens the file again', async () => {
    await using scene = await openScene()
    const { files, damaged } = scene
    const { manifest, digest } = await encodeManifest(entriesOf(30_000))
    await files.write('a', manifest)
    using opened = await files.open('a', digest)
    await Bun.write(scene.path, Buffer.from(manifest.bytes).fill(7, 500_000, 500_100))
    await expect(Array.fromAsync(opened.manifest.blocks())).rejects.toThrow('reported')
    expect(damaged).toHaveLength(1)
    await expect(files.open('a', digest)).rejects.toThrow(ManifestInvalid)
    await files.write('a', manifest)
    using again = await files.open('a', digest)
    expect(await Array.fromAsync(again.manifest.blocks())).not.toHaveLength(0)
  })
})

/** The real disk, with a count of the files that are open for reading, and ways to make reading them fail. */
function createReadDisk() {
  const real = createDisk()
  const state = { opened: 0, open: 0, openFails: '', readFails: '', isShort: false }
  const fail = (code: string): Promise<never> => Promise.reject(Object.assign(new Error(`${code}: simulated`), { code }))
  const openRead = async (path: string): Promise<DiskFile> => {
    if (state.openFails !== '') return fail(state.openFails)
    const file = await real.openRead(path)
    state.opened++
    state.open++
    const close = async (): Promise<void> => {
      state.open--
      await file.close()
    }
    const read: DiskFile['read'] = async (into, position) => {
      if (state.readFails !== '') return fail(state.readFails)
      return (await file.read(into, position)) - (state.isShort ? 1 : 0)
    }
    return { ...file, read, close, [Symbol.asyncDispose]: close }
  }
  return { state, disk: { ...real, openRead } }
}

describe('the open file of a manifest', () => {
  test('is closed at once if it is short or damaged, and with its last reader once it is evicted', async () => {
    const { state, disk } = createReadDisk()
    await using scene = await openScene(disk)
    const { files } = scene
    await files.write('a', (await encodeManifest(entriesOf(3))).manifest)
    using _short = await files.open('a', null)
    expect([state.opened, state.open]).toEqual([1, 0])
    const { manifest } = await encodeManifest(entriesOf(30_000))
    await files.write('a', manifest)
    const long = await files.open('a', null)
    expect([state.opened, state.open]).toEqual([2, 1])
    files.evict('a')
    expect(state.open).toBe(1)
    long[Symbol.dispose]()
    expect(state.open).toBe(0)
    await Bun.write(scene.path, Buffer.from(manifest.bytes).fill(7, 500_000, 500_100))
    await expect(files.open('a', null)).rejects.toThrow(ManifestInvalid)
    expect([state.opened, state.open]).toEqual([3, 0])
  })

  test('is opened again after a read of it failed, which is no damage', async () => {
    const { state, disk } = createReadDisk()
    await using scene = await openScene(disk)
    const { files } = scene
    await files.write('a', (await encodeManifest(entriesOf(30_000))).manifest)
    using opened = await files.open('a', null)
    state.readFails = 'EIO'
    await expect(Array.fromAsync(opened.manifest.blocks())).rejects.toThrow('EIO')
    state.readFails = ''
    using again = await files.open('a', null)
    expect(await Array.fromAsync(again.manifest.blocks())).toHaveLength(15)
    expect([state.opened, scene.damaged]).toEqual([2, []])
  })

  test('that is cut off while it is loaded is damaged', async () => {
    const { state, disk } = createReadDisk()
    await using scene = await openScene(disk)
    await scene.files.write('a', (await encodeManifest(entriesOf(3))).manifest)
    state.isShort = true
    await expect(scene.files.open('a', null)).rejects.toThrow('its file was truncated while it was read')
  })

  test('that the disk cannot open is not missing', async () => {
    const { state, disk } = createReadDisk()
    await using scene = await openScene(disk)
    await scene.files.write('a', (await encodeManifest(entriesOf(3))).manifest)
    state.openFails = 'EIO'
    await expect(scene.files.open('a', null)).rejects.toThrow('EIO: simulated')
    await expect(Array.fromAsync(scene.files.salvage('a'))).rejects.toThrow('EIO: simulated')
  })
})
