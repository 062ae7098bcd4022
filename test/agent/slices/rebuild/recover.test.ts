// Recovery: the index database is brought in line with the packs, whatever state both are in.

import { Database } from 'bun:sqlite'
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { appendFile, cp, mkdir, rm, truncate } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Disk } from '../../../../agent/contract/disk.ts'
import type { SliceRoots } from '../../../../agent/contract/slices.ts'
import { encodePackFooter } from '../../../../agent/slices/packs/pack-format.ts'
import { checksumOf, RECORD_HEADER_BYTES, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createRandom, propertyOptions } from '../../../support/properties.ts'
import {
  contentOf,
  createSliceModel,
  damage,
  digestsOf,
  filesBelow,
  folderBytes,
  openStore,
  readOutcome,
  stretchesArbitrary,
  noiseBlocks,
} from '../../../support/images/slice-model.ts'
import type { SliceModel, StoreOptions } from '../../../support/images/slice-model.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

interface Scene extends AsyncDisposable {
  readonly folder: TemporaryFolder
  readonly model: SliceModel
  readonly options: StoreOptions & { roots: SliceRoots[] }
  packs(): Promise<string[]>
}

/** A closed store with four images in several packs, the last one unsealed. */
async function makeScene(): Promise<Scene> {
  const folder = await createTemporaryFolder()
  const model = createSliceModel()
  const options = { folder: folder.path, roots: [model], packSealBytes: 20_000 }
  await using store = await openStore(options)
  for (let i = 0; i < 3; i++) await model.add(store, `image ${i}`, noiseBlocks(i, 65))
  await model.add(store, 'last', noiseBlocks(3, 25))
  return {
    folder,
    model,
    options,
    packs: () => filesBelow(folder.file('mount', 'packs'), '.pack'),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  }
}

/** Opens the store, and expects every image intact and no findings of scrub. */
async function expectWhole(scene: Scene, options: Partial<StoreOptions> = {}): Promise<void> {
  await using store = await openStore({ ...scene.options, ...options })
  for (const image of scene.model.images.values()) expect(await readOutcome(store, image)).toBe('whole')
  expect(store.stats().slices).toBe(scene.model.live().size)
  expect(await store.scrub({ bytesPerSecond: Infinity })).toMatchObject({ corrupt: [], missing: [], faults: [], damagedRoots: [] })
}

const unsealedOf = async (packs: readonly string[]): Promise<string> => {
  for (const pack of packs) {
    const file = Bun.file(pack)
    if ((await file.slice(file.size - 32, file.size - 24).text()) !== 'SLIPWAYT') return pack
  }
  throw new Error('every pack is sealed')
}

describe('a rebuilt index database', () => {
  test('has the same content, however the store was filled', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stretchesArbitrary({ stretchesMax: 5, lengthMax: 40_000 }), { minLength: 1, maxLength: 4 }), async (contents) => {
        await using folder = await createTemporaryFolder()
        const model = createSliceModel()
        const options = { folder: folder.path, roots: [model], packSealBytes: 30_000 }
        for (const [i, stretches] of contents.entries()) {
          await using store = await openStore(options)
          await model.add(store, `image ${i}`, contentOf(stretches))
        }
        for (const rebuild of [false, true]) {
          await using store = await openStore({ ...options, rebuild })
          expect(store.stats().slices).toBe(model.live().size)
          expect(store.recovered).toMatchObject({ faults: [], tornBytes: 0, packsMissing: [] })
          for (const image of model.images.values()) expect(await readOutcome(store, image)).toBe('whole')
        }
      }),
      propertyOptions(5),
    )
  })

  test('is made without being requested when the database is missing, cut off, or not a database', async () => {
    for (const spoil of [
      (path: string) => rm(path),
      (path: string) => truncate(path, 1000),
      (path: string) => truncate(path, 0),
      (path: string) => Bun.write(path, 'no database '.repeat(1000)),
      (path: string) => damage(path, 100, () => 0x33, 4000),
    ]) {
      await using scene = await makeScene()
      await spoil(scene.folder.file('state', 'index.db'))
      await expectWhole(scene)
    }
  })

  test('is made without being requested when the database has another version', async () => {
    await using scene = await makeScene()
    {
      using database = new Database(scene.folder.file('state', 'index.db'))
      database.run('PRAGMA user_version = 99')
    }
    await expectWhole(scene)
  })

  test('is correct whatever old state of the database is found', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    const options = { folder: folder.path, roots: [model], packSealBytes: 20_000 }
    for (let i = 0; i < 8; i++) {
      await using store = await openStore(options)
      await model.add(store, `image ${i}`, noiseBlocks(i, 50))
      if (i % 3 === 2) model.remove(`image ${i - 1}`)
      if (i % 3 === 2) await store.gc({ dryRun: false })
      await store[Symbol.asyncDispose]()
      await cp(folder.file('state'), folder.file(`state ${i}`), { recursive: true })
    }
    for (let i = 0; i < 8; i++) {
      await rm(folder.file('state'), { recursive: true })
      await cp(folder.file(`state ${i}`), folder.file('state'), { recursive: true })
      await using store = await openStore(options)
      for (const image of model.images.values()) expect(await readOutcome(store, image)).toBe('whole')
      expect(await store.scrub({ bytesPerSecond: Infinity })).toMatchObject({ corrupt: [], missing: [], faults: [], damagedRoots: [] })
      await store.gc({ dryRun: false })
      expect(store.stats().slices).toBe(model.live().size)
    }
  })
})

describe('packs', () => {
  test('that end in a torn record are cut, and whole records stay', async () => {
    for (const [torn, whole] of [
      [Buffer.from([1, 2, 3]), 0],
      [createRandom(1).bytes(5000), 0],
      [Buffer.alloc(3000), 0],
    ] as const) {
      await using scene = await makeScene()
      const pack = await unsealedOf(await scene.packs())
      const before = Bun.file(pack).size
      await appendFile(pack, torn)
      {
        await using store = await openStore(scene.options)
        expect(store.recovered).toMatchObject({ tornBytes: torn.length, faults: [] })
        expect(store.quarantined()).toHaveLength(whole)
      }
      expect(Bun.file(pack).size).toBe(before)
      await expectWhole(scene)
    }
  })

  // A killed process may have written without an fsync; and the cut has to be durable before more is appended after it.
  test.each([
    ['the fsync before it is read', 1],
    ['the fsync after its torn end is cut', 2],
  ])('are left out, and reported, when %s fails', async (_name, at) => {
    await using scene = await makeScene()
    await appendFile(await unsealedOf(await scene.packs()), Buffer.from([1, 2, 3]))
    const packs = scene.folder.file('mount', 'packs')
    const inner = createDisk()
    let syncs = 0
    const disk: Disk = {
      ...inner,
      async openWrite(path, mode) {
        const file = await inner.openWrite(path, mode)
        const sync = async (): Promise<void> => {
          if (path.startsWith(packs) && ++syncs === at) throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' })
          await file.sync()
        }
        return { ...file, sync, [Symbol.asyncDispose]: () => file[Symbol.asyncDispose]() }
      },
    }
    {
      await using store = await openStore({ ...scene.options, disk })
      expect(store.recovered.faults).toHaveLength(1)
      expect(store.recovered.faults[0]).toContain('cannot be read: EIO')
    }
    await expectWhole(scene)
  })

  test('that end in an incomplete record are cut, whichever byte it ends at', async () => {
    await using scene = await makeScene()
    const pack = await unsealedOf(await scene.packs())
    const bytes = Buffer.from(await Bun.file(pack).arrayBuffer())
    for (let cut = 0; cut < 2200; cut += 331) {
      await Bun.write(pack, bytes.subarray(0, bytes.length - cut))
      await using store = await openStore({ ...scene.options, rebuild: true })
      expect(store.recovered.faults).toEqual([])
      for (const image of scene.model.images.values()) await readOutcome(store, image)
      const { damagedRoots } = await store.scrub({ bytesPerSecond: Infinity })
      for (const image of scene.model.images.values())
        expect(await readOutcome(store, image)).toBe(damagedRoots.includes(`image ${image.name}`) ? 'unreadable' : 'whole')
    }
  })

  test('that a crash left empty or without a header are removed', async () => {
    await using scene = await makeScene()
    const before = await folderBytes(scene.folder.file('mount', 'packs'))
    for (const [name, content] of [
      ['aa', Buffer.alloc(0)],
      ['ab', Buffer.from('SLIP')],
      ['ac', Buffer.alloc(16)],
      ['ad', Buffer.from('SLIPWAYP\x01\0\0\0\0\0\0\0', 'latin1')],
      ['ae', Buffer.from('SLIPWAYP\x01\0\0\0\0\0\0\0torn', 'latin1')],
    ] as const) {
      const path = scene.folder.file('mount', 'packs', name, `${name.repeat(16)}.pack`)
      await mkdir(dirname(path), { recursive: true })
      await Bun.write(path, content)
    }
    await expectWhole(scene)
    expect(await folderBytes(scene.folder.file('mount', 'packs'))).toBe(before)
  })

  test('of a newer version are left untouched and reported', async () => {
    await using scene = await makeScene()
    const path = scene.folder.file('mount', 'packs', 'aa', `${'aa'.repeat(16)}.pack`)
    await mkdir(dirname(path), { recursive: true })
    const content = Buffer.concat([Buffer.from('SLIPWAYP\x02\0\0\0\0\0\0\0', 'latin1'), createRandom(1).bytes(3000)])
    await Bun.write(path, content)
    await using store = await openStore(scene.options)
    expect(store.recovered.faults).toMatchObject([expect.stringContaining('version 2')])
    expect(Buffer.from(await Bun.file(path).arrayBuffer()).equals(content)).toBe(true)
  })

  test('with a damaged record lose that slice only, and are reported', async () => {
    await using scene = await makeScene()
    const pack = await unsealedOf(await scene.packs())
    await damage(pack, 16 + RECORD_HEADER_BYTES + 10)
    await using store = await openStore({ ...scene.options, rebuild: true })
    expect(store.recovered.faults).toHaveLength(1)
    const { missing } = await store.scrub({ bytesPerSecond: Infinity })
    expect(missing).toHaveLength(1)
    for (const image of scene.model.images.values())
      expect(await readOutcome(store, image)).toBe(
        digestsOf(image.manifest).some((digest) => missing[0]?.digest === `sha256:${digest}`) ? 'unreadable' : 'whole',
      )
  })

  test('with a damaged table are read by their records and sealed again', async () => {
    await using scene = await makeScene()
    const open = await unsealedOf(await scene.packs())
    for (const pack of await scene.packs()) if (pack !== open) await damage(pack, Bun.file(pack).size - 50)
    await expectWhole(scene, { rebuild: true })
    await expectWhole(scene)
  })

  test('that are gone are reported with what is lost, and the rest stays', async () => {
    await using scene = await makeScene()
    const [gone = ''] = await scene.packs()
    await rm(gone)
    await using store = await openStore(scene.options)
    expect(gone).toContain(store.recovered.packsMissing[0] ?? 'none')
    const { damagedRoots } = await store.scrub({ bytesPerSecond: Infinity })
    expect(damagedRoots.length).toBeGreaterThan(0)
    for (const image of scene.model.images.values())
      expect(await readOutcome(store, image)).toBe(damagedRoots.includes(`image ${image.name}`) ? 'unreadable' : 'whole')
  })

  test('that come back are used again', async () => {
    await using scene = await makeScene()
    const [gone = ''] = await scene.packs()
    const bytes = await Bun.file(gone).arrayBuffer()
    await rm(gone)
    await (await openStore(scene.options))[Symbol.asyncDispose]()
    await Bun.write(gone, bytes)
    await expectWhole(scene)
  })

  test('are not mistaken for sealed ones because of the contents of an image', async () => {
    await using folder = await createTemporaryFolder()
    const model = createSliceModel()
    const options = { folder: folder.path, roots: [model], packSealBytes: 1024 * 1024 }
    const victim = createRandom(7).bytes(2048)
    const forged = Buffer.from(createRandom(8).bytes(2048))
    {
      await using store = await openStore(options)
      await model.add(store, 'first', noiseBlocks(1, 10))
      const at = store.stats().packBytes + RECORD_HEADER_BYTES
      // A record and a table for bytes that do not match their digest, in an image that is stored uncompressed.
      const rows = [{ digest: Bun.SHA256.hash(victim) as Uint8Array, offset: at, length: 1024, storedLength: 1024 }]
      writeRecordHeader(forged, 0, {
        digest: rows[0]?.digest ?? forged,
        codec: 0,
        length: 1024,
        storedLength: 1024,
        checksum: checksumOf(forged.subarray(64, 1088)),
      })
      encodePackFooter(rows, at + 2048 - 80).copy(forged, 2048 - 80)
      await model.add(store, 'forged', forged)
    }
    const [pack = ''] = await filesBelow(folder.file('mount'), '.pack')
    expect((await Bun.file(pack).bytes()).subarray(-32, -24)).toEqual(new Uint8Array(Buffer.from('SLIPWAYT')))
    for (const rebuild of [false, true]) {
      await using store = await openStore({ ...options, rebuild })
      expect(store.stats().slices).toBe(model.live().size)
      for (const image of model.images.values()) expect(await readOutcome(store, image)).toBe('whole')
    }
    // Nor when the header of the enclosing record is damaged, and the search continues inside it.
    await damage(pack, (await Bun.file(pack).arrayBuffer()).byteLength - 2048 - 30)
    await using store = await openStore({ ...options, rebuild: true })
    expect(store.missing([Bun.SHA256.hash(victim) as Uint8Array])).toEqual([0])
    await model.add(store, 'victim', victim)
    for (const image of model.images.values()) expect(await readOutcome(store, image)).toBe(image.name === 'forged' ? 'unreadable' : 'whole')
  })

  test('with quarantined records keep them quarantined after a rebuild of the index', async () => {
    await using scene = await makeScene()
    const open = await unsealedOf(await scene.packs())
    const [sealed = ''] = (await scene.packs()).filter((pack) => pack !== open)
    await damage(sealed, 16 + RECORD_HEADER_BYTES + 10)
    for (const rebuild of [false, true]) {
      await using store = await openStore({ ...scene.options, rebuild })
      for (const image of scene.model.images.values()) await readOutcome(store, image)
      expect(store.quarantined()).toHaveLength(1)
      expect(store.stats().slices).toBe(scene.model.live().size - 1)
    }
  })
})
