// Index database compared with a Map: rows, counts and packs, also after it was closed at any moment.

import { Database } from 'bun:sqlite'
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { readdirSync } from 'node:fs'
import { cp, mkdir, rename, rmdir } from 'node:fs/promises'
import { IndexDatabase } from '../../../../agent/slices/index/index-database.ts'
import { PendingRows } from '../../../../agent/slices/index/pending-rows.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import type { SliceRow } from '../../../../agent/slices/packs/slice-row.ts'
import { createRandom, propertyOptions } from '../../../support/properties.ts'
import { damage } from '../../../support/images/slice-model.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'

const digest = (n: number): Uint8Array => new Uint8Array(Bun.SHA256.hash(`slice ${n}`) as Uint8Array)

/** All rows, in memory and on disk, by digest as hex. */
function allRows(index: IndexDatabase): Map<string, SliceRow> {
  const rows = index.waiting()
  let after: Uint8Array | undefined
  do {
    const walked = index.walk(after)
    rows.push(...walked.rows)
    after = walked.last
  } while (after)
  return new Map(rows.map((row) => [Buffer.from(row.digest).toString('hex'), row]))
}

interface ModelPack {
  readonly id: number
  readonly name: string
  sealed: boolean
}

type Place = Omit<SliceRow, 'digest'>

/** Drives an index and a Map with the same random steps. */
async function drive(seed: number, steps: number): Promise<void> {
  await using folder = await createTemporaryFolder()
  const random = createRandom(seed)
  let index = IndexDatabase.open(folder.file('index.db'))
  const packs: ModelPack[] = []
  const rows = new Map<number, Place>()
  const flushing: Promise<void>[] = []
  let names = 0
  const check = (): void => {
    expect(index.sliceCount).toBe(rows.size)
    expect(index.storedBytes).toBe([...rows.values()].reduce((sum, row) => sum + row.storedLength, 0))
    for (let n = 0; n < 30; n++) {
      const found = index.find(digest(n))
      expect(found && { pack: found.pack, offset: found.offset, length: found.length, storedLength: found.storedLength }).toEqual(rows.get(n))
    }
    expect(allRows(index).size).toBe(rows.size)
  }
  try {
    for (let step = 0; step < steps; step++) {
      const action = random.below(12)
      if (action < 2 || packs.length === 0) {
        const name = String(names++).padStart(32, '0')
        packs.push({ id: index.addPack(name).id, name, sealed: false })
      } else if (action < 7) {
        const pack = random.pick(packs)
        const added = Array.from({ length: random.below(8) }, () => ({
          n: random.below(30),
          offset: 16 + random.below(1_000_000),
          storedLength: 1 + random.below(500),
        }))
        index.add(
          pack.id,
          added.map(({ n, ...place }) => ({ ...place, digest: digest(n), length: 500 })),
        )
        for (const { n, ...place } of added) rows.set(n, { ...place, pack: pack.id, length: 500 })
      } else if (action < 9) {
        const removed = [...rows]
          .filter(() => random.chance(0.2))
          .map(([n, place]) => ({ n, place: { ...place, offset: place.offset + (random.chance(0.3) ? 1 : 0) } }))
        index.removeAll(removed.map(({ n, place }) => ({ digest: digest(n), pack: place.pack, offset: place.offset })))
        for (const { n, place } of removed) if (rows.get(n)?.offset === place.offset) rows.delete(n)
      } else if (action === 9) {
        const pack = random.pick(packs)
        pack.sealed = true
        index.sealPack(pack.id, 1000)
      } else if (action === 10) {
        const unfinished = packs.filter((pack) => !pack.sealed)
        for (const pack of unfinished) {
          pack.sealed = true
          index.sealPack(pack.id, 1000)
        }
        await index[Symbol.asyncDispose]()
        index = IndexDatabase.open(folder.file('index.db'))
        expect([...index.packs()].map(({ id, name, sealed }) => ({ id, name, sealed }))).toEqual(packs.toSorted((a, b) => a.id - b.id))
      } else if (random.chance(0.3)) {
        await index.flush()
      } else if (random.chance(0.4)) {
        // Later steps run while rows are being written.
        flushing.push(index.flush())
      } else if (random.chance(0.5)) {
        await index.rebuildFilter()
      } else {
        expect(await index.check()).toBeUndefined()
      }
      check()
    }
    await Promise.all(flushing)
    check()
  } finally {
    await index[Symbol.asyncDispose]()
  }
}

describe('index database', () => {
  test('is a map of slices with correct counts, through any adds, removals, seals and restarts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), (seed) => drive(seed, 40)),
      propertyOptions(12),
    )
  })

  test('forgets the rows of unsealed packs when it is closed: they are read again', async () => {
    await using folder = await createTemporaryFolder()
    const row = (n: number): SliceRow => ({ digest: digest(n), pack: 1, offset: 16, length: 100, storedLength: 50 })
    {
      await using index = IndexDatabase.open(folder.file('index.db'))
      const sealed = index.addPack('a'.repeat(32))
      const open = index.addPack('b'.repeat(32))
      index.add(sealed.id, [row(1)])
      index.add(open.id, [row(2)])
      index.sealPack(sealed.id, 500)
      await index.flush()
      expect(index.waiting().map(({ digest: waiting }) => waiting)).toEqual([digest(2)])
    }
    await using again = IndexDatabase.open(folder.file('index.db'))
    expect(again.find(digest(1))).toMatchObject({ offset: 16 })
    expect(again.find(digest(2))).toBeUndefined()
    expect(again.sliceCount).toBe(1)
  })

  test('never gives the number of a pack to another one, also after a restart', async () => {
    await using folder = await createTemporaryFolder()
    const names = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(32))
    {
      await using index = IndexDatabase.open(folder.file('index.db'))
      expect(names.slice(0, 3).map((name) => index.addPack(name).id)).toEqual([1, 2, 3])
      index.removePack(3)
      // An earlier pack that becomes unsealed again keeps its number.
      expect(index.addPack(names[0] ?? '').id).toBe(1)
    }
    await using again = IndexDatabase.open(folder.file('index.db'))
    expect(again.addPack(names[3] ?? '').id).toBe(4)
  })

  test('has a new pack as empty and unsealed, and its length once it is sealed', async () => {
    await using folder = await createTemporaryFolder()
    await using index = IndexDatabase.open(folder.file('index.db'))
    const name = 'a'.repeat(32)
    expect([index.addPack(name), ...index.packs()]).toEqual([1, 2].map(() => ({ id: 1, name, length: 0, sealed: false })))
    index.sealPack(1, 500)
    expect([index.pack(1), index.pack(2)]).toEqual([{ id: 1, name, length: 500, sealed: true }, undefined])
    index.sealPack(2, 500)
    expect([...index.packs()]).toHaveLength(1)
  })

  test('does not find a slice whose pack is gone, and drops such rows', async () => {
    await using folder = await createTemporaryFolder()
    await using index = IndexDatabase.open(folder.file('index.db'))
    const [first, second] = [index.addPack('a'.repeat(32)), index.addPack('b'.repeat(32))]
    const rows = [1, 2, 3].map((n) => ({ digest: digest(n), offset: n * 100, length: 100, storedLength: 50 }))
    index.add(first.id, rows)
    index.sealPack(first.id, 500)
    await index.flush()
    index.add(second.id, rows.slice(0, 1))
    index.removePack(first.id)
    expect([1, 2, 3].map((n) => index.find(digest(n))?.pack)).toEqual([second.id, undefined, undefined])
    expect(await index.removeOrphans()).toBe(2)
    expect(index.sliceCount).toBe(1)
    index.sealPack(second.id, 100)
    await index.flush()
    expect(index.sliceCount).toBe(1)
  })

  test('does not find a slice that was removed during a rebuild, which the runs from before it still have', async () => {
    await using folder = await createTemporaryFolder()
    await using index = IndexDatabase.open(folder.file('index.db'))
    const { id } = index.addPack('aa'.repeat(16))
    const [kept, removed] = [1, 2].map((byte, i) => ({ digest: new Uint8Array(32).fill(byte), offset: 16 + i * 164, length: 100, storedLength: 100 })) as [
      PackRow,
      PackRow,
    ]
    index.add(id, [kept, removed])
    index.sealPack(id, 1_000_000)
    await index.flush()
    index.distrust('a block is damaged')
    index.startRebuild()
    expect(index.find(removed.digest)).toMatchObject({ pack: id, offset: 180 })
    expect(index.removeAll([{ digest: removed.digest, pack: id, offset: 180 }])).toHaveLength(1)
    expect(index.find(removed.digest)).toBeUndefined()
    expect(index.find(kept.digest)).toMatchObject({ pack: id, offset: 16 })
  })

  test('refuses a database of another version and a file that is not a database', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('index.db'), 'this is no database, but it is long enough to be taken for one '.repeat(20))
    expect(() => IndexDatabase.open(folder.file('index.db'))).toThrow()
    using other = new Database(folder.file('other.db'))
    other.run('PRAGMA user_version = 1')
    expect(() => IndexDatabase.open(folder.file('other.db'))).toThrow('has version 1')
  })

  test('deletes files of runs that it does not name', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('index.db.7.run'), 'left by a process that was killed')
    await using index = IndexDatabase.open(folder.file('index.db'))
    expect(await Bun.file(folder.file('index.db.7.run')).exists()).toBe(false)
    expect(index.sliceCount).toBe(0)
  })

  test('keeps few runs however many packs there are, with all their rows', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('index.db')
    const packs = 60
    {
      await using index = IndexDatabase.open(path)
      for (let pack = 0; pack < packs; pack++) {
        const { id } = index.addPack(pack.toString(16).padStart(32, '0'))
        index.add(
          id,
          Array.from({ length: 200 }, (_, n) => ({ digest: digest(pack * 150 + n), offset: 16 + n, length: 10, storedLength: 10 })),
        )
        index.sealPack(id, 100)
        await index.flush()
      }
      await until('the runs are merged', () => runsOf(folder).length < 8)
    }
    await using again = IndexDatabase.open(path)
    expect(again.sliceCount).toBe((packs - 1) * 150 + 200)
    for (let pack = 0; pack < packs; pack++) for (let n = 0; n < 150; n++) expect(again.find(digest(pack * 150 + n))).toMatchObject({ offset: 16 + n })
    expect(await again.check()).toBeUndefined()
  })

  test('keeps the files of merged runs while the file that no longer names them is not durable', async () => {
    await using folder = await createTemporaryFolder()
    await using index = IndexDatabase.open(folder.file('index.db'))
    const addPack = async (pack: number): Promise<void> => {
      const { id } = index.addPack(pack.toString(16).padStart(32, '0'))
      index.add(id, [{ digest: digest(pack), offset: 16 + pack, length: 10, storedLength: 10 }])
      index.sealPack(id, 100)
      await index.flush()
    }
    for (let pack = 0; pack < 3; pack++) await addPack(pack)
    // The log of the file cannot be opened, so its fsync fails.
    await rename(folder.file('index.db-wal'), folder.file('moved'))
    await addPack(3)
    await until('the runs are merged', () => runsOf(folder).length === 5)
    await addPack(4)
    expect(runsOf(folder)).toHaveLength(6)
    await rename(folder.file('moved'), folder.file('index.db-wal'))
    for (let pack = 0; pack < 5; pack++) expect(index.find(digest(pack))?.offset).toBe(16 + pack)
  })

  test.each([
    [4095, 0],
    [4096, 1],
    [8192, 2],
  ])('lets other work run while it writes %i rows: %i pauses', async (rows, pauses) => {
    await using folder = await createTemporaryFolder()
    let paused = 0
    await using index = IndexDatabase.open(folder.file('index.db'), async () => void paused++)
    const pack = index.addPack('a'.repeat(32))
    index.add(
      pack.id,
      Array.from({ length: rows }, (_, n) => ({ digest: digest(n), offset: 16 + n, length: 10, storedLength: 10 })),
    )
    index.sealPack(pack.id, 100)
    await index.flush()
    expect(paused).toBe(pauses)
  })

  test('keeps rows in memory when they cannot be written, also those that change meanwhile, and writes them later', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('index.db')
    {
      await using index = IndexDatabase.open(path)
      const row = (n: number, offset: number): PackRow => ({ digest: digest(n), offset, length: 100, storedLength: 10 })
      const [first, second] = [index.addPack('a'.repeat(32)), index.addPack('b'.repeat(32))]
      index.add(first.id, [row(1, 16), row(2, 100), row(3, 200)])
      index.sealPack(first.id, 500)
      await mkdir(folder.file('index.db.1.run'))
      const failing = index.flush()
      // While the batch is being written: one row moves, one is removed, one is added.
      await Promise.resolve()
      index.add(second.id, [row(1, 300), row(4, 400)])
      index.removeAll([{ digest: digest(2), pack: first.id, offset: 100 }])
      await expect(failing).rejects.toThrow('EEXIST')
      const places = (): unknown[] => [1, 2, 3, 4].map((n) => index.find(digest(n))?.offset)
      expect(places()).toEqual([300, undefined, 200, 400])
      expect([index.sliceCount, index.storedBytes]).toEqual([3, 30])
      index.sealPack(second.id, 500)
      await index.flush()
      expect(places()).toEqual([300, undefined, 200, 400])
      expect([index.sliceCount, index.storedBytes]).toEqual([3, 30])
      await rmdir(folder.file('index.db.1.run'))
    }
    await using again = IndexDatabase.open(path)
    expect([again.sliceCount, again.storedBytes]).toEqual([3, 30])
    expect([...again.packs()].every((pack) => pack.sealed)).toBe(true)
  })

  test('reports what is wrong with a damaged file, and returns nothing from it', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('index.db')
    {
      await using index = IndexDatabase.open(path)
      const pack = index.addPack('a'.repeat(32))
      index.add(
        pack.id,
        Array.from({ length: 2000 }, (_, n) => ({ digest: digest(n), offset: 16 + n, length: 10, storedLength: 10 })),
      )
      index.sealPack(pack.id, 100)
      await index.flush()
      expect(await index.check()).toBeUndefined()
    }
    const [run = ''] = runsOf(folder)
    await damage(folder.file(run), 4096 * 3 + 100)
    await using index = IndexDatabase.open(path)
    const reported: string[] = []
    index.watch({ distrusted: (reason) => void reported.push(reason), untidy: () => {} })
    expect(await index.check()).toContain('block 3 of run 1 of the index is damaged')
    const found = Array.from({ length: 2000 }, (_, n) => index.find(digest(n))).filter((at) => at !== undefined)
    expect(found).toHaveLength(2000 - 85)
    expect(reported).toEqual(['block 3 of run 1 of the index is damaged'])
  })

  test('is refused when anything in its file was changed', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('index.db')
    {
      await using index = IndexDatabase.open(path)
      const pack = index.addPack('a'.repeat(32))
      index.add(pack.id, [{ digest: digest(1), offset: 16, length: 10, storedLength: 10 }])
      index.sealPack(pack.id, 100)
      await index.flush()
    }
    for (const sql of [
      'UPDATE packs SET id = 2',
      'UPDATE packs SET length = 101',
      'DELETE FROM runs',
      'UPDATE runs SET age = 5',
      "UPDATE counts SET value = 7 WHERE key = 'rows'",
    ]) {
      await using other = await createTemporaryFolder()
      const copy = other.file('index.db')
      await cp(folder.path, other.path, { recursive: true })
      {
        using database = new Database(copy)
        expect(database.query(sql).run().changes).toBe(1)
      }
      expect(() => IndexDatabase.open(copy)).toThrow('do not match their checksum')
    }
  })
})

function runsOf(folder: TemporaryFolder): string[] {
  return readdirSync(folder.path).filter((name) => name.endsWith('.run'))
}

test('a slice that is added is no longer known as absent', async () => {
  await using folder = await createTemporaryFolder()
  await using index = IndexDatabase.open(folder.file('index.db'))
  const { id } = index.addPack('a'.repeat(32))
  for (const n of [1, 2]) index.noteAbsent(digest(n))
  index.add(id, [{ digest: digest(1), offset: 16, length: 100, storedLength: 100 }])
  expect([1, 2].map((n) => index.isKnownAbsent(digest(n)))).toEqual([false, true])
})

test('too many rows wait in memory from 524,288 on', async () => {
  await using folder = await createTemporaryFolder()
  await using index = IndexDatabase.open(folder.file('index.db'))
  const size = Object.getOwnPropertyDescriptor(PendingRows.prototype, 'size') ?? {}
  try {
    // Adding so many rows would take seconds.
    const isOverfullWith = (rows: number): boolean => {
      Object.defineProperty(PendingRows.prototype, 'size', { ...size, get: () => rows })
      return index.isOverfull
    }
    expect([524_287, 524_288].map(isOverfullWith)).toEqual([false, true])
  } finally {
    Object.defineProperty(PendingRows.prototype, 'size', size)
  }
})

describe('the filter of all slices', () => {
  test('has the slices that a rebuild of the index finds', async () => {
    await using folder = await createTemporaryFolder()
    await using index = IndexDatabase.open(folder.file('index.db'))
    const { id } = index.addPack('a'.repeat(32))
    index.sealPack(id, 1000)
    await index.flush()
    await index.rebuildFilter()
    index.distrust('for the test')
    index.startRebuild()
    await index.enter(id, [{ digest: digest(1), offset: 16, length: 100, storedLength: 100 }])
    index.endPack(id)
    await index.finishRebuild()
    expect(index.find(digest(1))).toMatchObject({ pack: id, offset: 16 })
  })

  test('saves the look-up of a slice that it excludes: damage of the index does not matter for it', async () => {
    await using folder = await createTemporaryFolder()
    await using index = IndexDatabase.open(folder.file('index.db'))
    const { id } = index.addPack('a'.repeat(32))
    // The filter of the one run does not tell them apart, because it has one block only.
    const [stored, other] = [new Uint8Array(32).fill(0xaa), new Uint8Array(32).fill(0xaa).fill(0xff, 0, 4)]
    index.add(id, [{ digest: stored, offset: 16, length: 100, storedLength: 100 }])
    index.sealPack(id, 1000)
    await index.flush()
    await index.rebuildFilter()
    await damage(folder.file('index.db.1.run'), 50)
    expect([index.find(other), index.damage]).toEqual([undefined, undefined])
    expect([index.find(stored), index.damage]).toEqual([undefined, 'block 0 of run 1 of the index is damaged'])
  })
})
