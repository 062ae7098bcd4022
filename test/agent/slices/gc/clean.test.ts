// Cleaning a pack: damage is never copied, and a pack stays when it may have the only copy of something.

import { expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import type { Disk, DiskFile } from '../../../../agent/contract/disk.ts'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { readPack } from '../../../../agent/slices/packs/pack-scan.ts'
import { checksumOf, RECORD_HEADER_BYTES, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import type { OpenSliceStore } from '../../../../agent/slices/store.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { contentOf, createSliceModel, damage, digestsOf, filesBelow, openStore, readOutcome } from '../../../support/images/slice-model.ts'
import type { ModelImage, SliceModel } from '../../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'

const PACK_BYTES = 100_000

interface Scene extends AsyncDisposable {
  readonly store: OpenSliceStore
  readonly model: SliceModel
  /** An image whose slices are in the pack that the next gc rewrites. */
  readonly kept: ModelImage
  /** Path of that pack. */
  readonly pack: string
  /** Rows of the slices of `kept`, in its order. */
  readonly rows: readonly PackRow[]
}

/** A store with a sealed pack of which less than half is live. */
async function makeScene(disk: Disk = createDisk()): Promise<Scene> {
  const folder = await createTemporaryFolder()
  const model = createSliceModel()
  const store = await openStore({ folder: folder.path, roots: [model], packSealBytes: PACK_BYTES, disk })
  const kept = await model.add(store, 'kept', contentOf([{ kind: 'text', length: 60_000, seed: 1 }]))
  await model.add(store, 'dropped', contentOf([{ kind: 'noise', length: PACK_BYTES, seed: 2 }]))
  model.remove('dropped')
  const [pack = ''] = await filesBelow(folder.file('mount', 'packs'), '.pack')
  await using file = await createDisk().openRead(pack)
  const { rows, sealed } = await readPack(file)
  expect(sealed).toBe(true)
  const names = digestsOf(kept.manifest)
  return {
    store,
    model,
    kept,
    pack,
    rows: names.map((name) => rows.find(({ digest }) => Buffer.from(digest).toString('hex') === name) ?? missing(name)),
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

function missing(name: string): PackRow {
  throw new Error(`the pack does not have ${name}`)
}

test('moves intact slices, and quarantines a damaged one instead of copying it', async () => {
  await using scene = await makeScene()
  const { store, model, kept, pack, rows } = scene
  const [row = missing('a row')] = rows.slice(2)
  await damage(pack, row.offset + RECORD_HEADER_BYTES + 10)
  expect(await store.gc({ dryRun: false })).toMatchObject({ packsRewritten: 1 })
  expect(store.quarantined()).toMatchObject([{ digest: `sha256:${Buffer.from(row.digest).toString('hex')}`, offset: row.offset }])
  expect(existsSync(pack)).toBe(false)
  // The slice can be stored again, which repairs the image.
  expect(store.missing(rows.map(({ digest }) => digest))).toEqual([2])
  expect(await readOutcome(store, kept)).toBe('unreadable')
  await model.add(store, 'again', kept.bytes)
  expect(await readOutcome(store, kept)).toBe('whole')
  expect(await store.scrub({ bytesPerSecond: Infinity })).toMatchObject({ corrupt: [], missing: [], faults: [], damagedRoots: [] })
})

test('reads no further record before the quarantine of a damaged one is durable', async () => {
  const disk = createDisk()
  const written = Promise.withResolvers<void>()
  let writes = 0
  let reads = 0
  const slow: Disk = {
    ...disk,
    async openRead(path): Promise<DiskFile> {
      const file = await disk.openRead(path)
      return {
        ...file,
        read(into, position) {
          reads++
          return file.read(into, position)
        },
      }
    },
    async writeFileAtomic(path, bytes) {
      writes++
      await written.promise
      await disk.writeFileAtomic(path, bytes)
    },
  }
  await using scene = await makeScene(slow)
  const [row = missing('a row')] = scene.rows.slice(2)
  await damage(scene.pack, row.offset + RECORD_HEADER_BYTES + 10)
  const collected = scene.store.gc({ dryRun: false })
  await until('the quarantine is being written', () => writes === 1)
  const before = reads
  await Bun.sleep(1)
  expect(reads).toBe(before)
  written.resolve()
  expect(await collected).toMatchObject({ packsRewritten: 1 })
  expect(reads).toBeGreaterThan(before)
})

test('leaves a slice quarantined that is found damaged while its record is moved', async () => {
  let duringMove: (() => Promise<unknown>) | undefined
  const disk = createDisk()
  const watched: Disk = {
    ...disk,
    async openWrite(path, mode): Promise<DiskFile> {
      const file = await disk.openWrite(path, mode)
      return {
        ...file,
        async sync() {
          await file.sync()
          await duringMove?.()
        },
      }
    },
  }
  await using scene = await makeScene(watched)
  const { store, model, kept, pack, rows } = scene
  const [row = missing('a row')] = rows.slice(2)
  // The checksum of the record matches, but its bytes are not those of the slice: only decompressing them shows that.
  await using file = await disk.openWrite(pack, 'existing')
  const record = Buffer.alloc(RECORD_HEADER_BYTES + row.storedLength, 0x55)
  const { digest, length, storedLength } = row
  writeRecordHeader(record, 0, { digest, codec: 1, length, storedLength, checksum: checksumOf(record.subarray(RECORD_HEADER_BYTES)) })
  await file.write([record], row.offset)
  const outcomes: string[] = []
  duringMove = async () => outcomes.push(await readOutcome(store, kept))
  await store.gc({ dryRun: false })
  duringMove = undefined
  expect(outcomes.length).toBeGreaterThan(0)
  expect(new Set(outcomes)).toEqual(new Set(['unreadable']))
  expect(store.quarantined()).toHaveLength(1)
  // The copy of the damaged record is not used: the slice counts as missing until it is stored again.
  expect(store.missing(rows.map((one) => one.digest))).toEqual([2])
  await model.add(store, 'again', kept.bytes)
  expect(await readOutcome(store, kept)).toBe('whole')
})

test('removes a pack only when the records moved out of it are durable', async () => {
  const real = createDisk()
  const waiting: (() => void)[] = []
  const events: string[] = []
  let isHolding = false
  const disk: Disk = {
    ...real,
    async openWrite(path, mode): Promise<DiskFile> {
      const file = await real.openWrite(path, mode)
      const sync = async (): Promise<void> => {
        if (isHolding) await new Promise<void>((resolve) => waiting.push(resolve))
        await file.sync()
        events.push('synced')
      }
      return { ...file, sync }
    },
    async remove(path) {
      if (isHolding && path.endsWith('.pack')) events.push('removed')
      await real.remove(path)
    },
  }
  await using scene = await makeScene(disk)
  const { store, kept, pack } = scene
  events.length = 0
  isHolding = true
  let isOver = false
  const cleaning = store.gc({ dryRun: false }).finally(() => (isOver = true))
  for (let i = 0; !isOver; i++) {
    await until('an fsync waits, or gc has ended', () => waiting.length > 0 || isOver)
    if (isOver) break
    await Bun.sleep(5)
    expect([i, existsSync(pack), events.includes('removed')]).toEqual([i, true, false])
    for (const release of waiting.splice(0)) release()
    await until('the fsync has ended', () => waiting.length > 0 || events.includes('removed') || isOver)
    if (events.includes('removed')) isHolding = false
  }
  isHolding = false
  expect(await cleaning).toMatchObject({ packsRewritten: 1 })
  // The header of the new pack, and the records: both before the removal.
  expect(events.slice(0, events.indexOf('removed'))).toEqual(['synced', 'synced'])
  expect(existsSync(pack)).toBe(false)
  expect(await readOutcome(store, kept)).toBe('whole')
})

test('leaves a slice quarantined that is found damaged while its record is copied', async () => {
  let duringCopy: (() => Promise<unknown>) | undefined
  const real = createDisk()
  const disk: Disk = {
    ...real,
    async openWrite(path, mode): Promise<DiskFile> {
      const file = await real.openWrite(path, mode)
      // Before the records are written, and so before any of them can be indexed at its new place.
      const write: DiskFile['write'] = async (parts, at) => {
        await duringCopy?.()
        await file.write(parts, at)
      }
      return { ...file, write }
    },
  }
  await using scene = await makeScene(disk)
  const { store, model, kept, pack, rows } = scene
  const [row = missing('a row')] = rows.slice(2)
  await using file = await real.openWrite(pack, 'existing')
  const record = Buffer.alloc(RECORD_HEADER_BYTES + row.storedLength, 0x55)
  const { digest, length, storedLength } = row
  writeRecordHeader(record, 0, { digest, codec: 1, length, storedLength, checksum: checksumOf(record.subarray(RECORD_HEADER_BYTES)) })
  await file.write([record], row.offset)
  const outcomes: string[] = []
  duringCopy = async () => {
    duringCopy = undefined
    outcomes.push(await readOutcome(store, kept))
  }
  await store.gc({ dryRun: false })
  expect(outcomes).toEqual(['unreadable'])
  expect(store.quarantined()).toHaveLength(1)
  expect(store.missing(rows.map((one) => one.digest))).toEqual([2])
  await model.add(store, 'again', kept.bytes)
  expect(await readOutcome(store, kept)).toBe('whole')
})

test('does not remove a pack that shows fewer live bytes than the index has in it', async () => {
  await using scene = await makeScene()
  const { store, kept, pack, rows } = scene
  const [row = missing('a row')] = rows.slice(2)
  // Neither the table nor the header of a live record can be read any more.
  await damage(pack, Bun.file(pack).size - 10)
  await damage(pack, row.offset + 30)
  expect(await store.gc({ dryRun: false })).toMatchObject({ packsRemoved: 0, packsRewritten: 0 })
  expect(existsSync(pack)).toBe(true)
  // The other slices were moved to another pack, where they can be read.
  expect(store.missing(rows.map(({ digest }) => digest))).toEqual([])
  const at = kept.manifest.offsetAt(3)
  const read: Uint8Array[] = []
  for await (const piece of store.read(kept.manifest, at, kept.bytes.length)) read.push(Buffer.from(piece))
  expect(Buffer.concat(read).equals(kept.bytes.subarray(at))).toBe(true)
})

test('a pack that cannot be removed is reported, and removed by the next gc', async () => {
  const real = createDisk()
  let isBroken = true
  const disk: Disk = {
    ...real,
    async remove(path) {
      if (isBroken && path.endsWith('.pack')) throw Object.assign(new Error('EIO: the disk is broken'), { code: 'EIO' })
      await real.remove(path)
    },
  }
  await using scene = await makeScene(disk)
  const { store, kept, pack } = scene
  expect(await store.gc({ dryRun: false })).toMatchObject({ packsRemoved: 0, packsRewritten: 0 })
  expect(existsSync(pack)).toBe(true)
  isBroken = false
  expect(await store.gc({ dryRun: false })).toMatchObject({ packsRemoved: 1, packsRewritten: 0 })
  expect(existsSync(pack)).toBe(false)
  expect(await readOutcome(store, kept)).toBe('whole')
})

test('a pack whose removal fails although it is gone counts as removed', async () => {
  const real = createDisk()
  const disk: Disk = {
    ...real,
    async remove(path) {
      await real.remove(path)
      if (path.endsWith('.pack')) throw Object.assign(new Error('EIO: the folder was not synced'), { code: 'EIO' })
    },
  }
  await using scene = await makeScene(disk)
  expect(await scene.store.gc({ dryRun: false })).toMatchObject({ packsRewritten: 1 })
  expect(existsSync(scene.pack)).toBe(false)
  expect(await readOutcome(scene.store, scene.kept)).toBe('whole')
})

test('a slice that the index has in another pack, where it is not, is moved, and the index is not trusted any more', async () => {
  await using folder = await createTemporaryFolder()
  const model = createSliceModel()
  const distrusted: string[] = []
  const options = { folder: folder.path, roots: [model], packSealBytes: PACK_BYTES, onIndexDamaged: (reason: string) => void distrusted.push(reason) }
  {
    await using store = await openStore(options)
    await model.add(store, 'kept', contentOf([{ kind: 'text', length: 60_000, seed: 1 }]))
    await model.add(store, 'dropped', contentOf([{ kind: 'noise', length: PACK_BYTES, seed: 2 }]))
    await model.add(store, 'other', contentOf([{ kind: 'noise', length: 3 * PACK_BYTES, seed: 3 }]))
  }
  model.remove('dropped')
  const kept = model.images.get('kept') ?? fail()
  const [digest = ''] = digestsOf(kept.manifest)
  let before: ReturnType<IndexDatabase['find']>
  {
    await using index = IndexDatabase.open(folder.file('state', 'index.db'))
    const place = (image: string): PackRow & { pack: number } => {
      const bytes = Buffer.from(digestsOf((model.images.get(image) ?? fail()).manifest).at(image === 'kept' ? 0 : -1) ?? '', 'hex')
      return { digest: bytes, ...(index.find(bytes) ?? fail()) }
    }
    before = place('kept')
    const other = place('other')
    expect(other.pack).not.toBe(before.pack)
    index.add(other.pack, [{ ...before, digest: Buffer.from(digest, 'hex'), offset: other.offset }])
    await index.flush()
    index.makeDurable()
  }
  await using store = await openStore(options)
  expect(distrusted).toEqual([])
  expect(await store.gc({ dryRun: false })).toMatchObject({ packsRewritten: 0, packsRemoved: 0 })
  expect(distrusted).toEqual(['it had a wrong location for a slice'])
  expect(await readOutcome(store, kept)).toBe('whole')
  expect(await readOutcome(store, model.images.get('other') ?? fail())).toBe('whole')
})

function fail(): never {
  throw new Error('the scene is not as it should be')
}
