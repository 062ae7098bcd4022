// Index database against a Map: rows, counts, packs, also after it was closed at any moment.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { checkIndexApart } from '../../../agent/slices/index-check.ts'
import { IndexDatabase } from '../../../agent/slices/index-database.ts'
import type { SliceRow } from '../../../agent/slices/slice-row.ts'
import { createRandom, propertyOptions } from '../../support/properties.ts'
import { createTemporaryFolder } from '../../support/temporary-folder.ts'

const digest = (n: number): Uint8Array => new Uint8Array(Bun.SHA256.hash(`slice ${n}`) as Uint8Array)
const pause = async (): Promise<void> => {}

/** All rows, those in memory and those of the database, by digest as hex. */
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
        index[Symbol.dispose]()
        index = IndexDatabase.open(folder.file('index.db'))
        expect([...index.packs()].map(({ id, name, sealed }) => ({ id, name, sealed }))).toEqual(packs.toSorted((a, b) => a.id - b.id))
      } else if (random.chance(0.5)) {
        index.flush(1 + random.below(5))
      } else {
        await index.rebuildFilter(pause)
      }
      check()
    }
  } finally {
    index[Symbol.dispose]()
  }
}

describe('index database', () => {
  test('is a map of slices with right counts, through any adds, removals, seals and restarts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), (seed) => drive(seed, 40)),
      propertyOptions(12),
    )
  })

  test('forgets the rows of packs that were not sealed when it is closed: they are read again', async () => {
    await using folder = await createTemporaryFolder()
    const row = (n: number): SliceRow => ({ digest: digest(n), pack: 1, offset: 16, length: 100, storedLength: 50 })
    {
      using index = IndexDatabase.open(folder.file('index.db'))
      const sealed = index.addPack('a'.repeat(32))
      const open = index.addPack('b'.repeat(32))
      index.add(sealed.id, [row(1)])
      index.add(open.id, [row(2)])
      index.sealPack(sealed.id, 500)
      index.flush()
      expect(index.waiting().map(({ digest: waiting }) => waiting)).toEqual([digest(2)])
    }
    using again = IndexDatabase.open(folder.file('index.db'))
    expect(again.find(digest(1))).toMatchObject({ offset: 16 })
    expect(again.find(digest(2))).toBeUndefined()
    expect(again.sliceCount).toBe(1)
  })

  test('does not know a slice whose pack is gone, and drops such rows', async () => {
    await using folder = await createTemporaryFolder()
    using index = IndexDatabase.open(folder.file('index.db'))
    const [first, second] = [index.addPack('a'.repeat(32)), index.addPack('b'.repeat(32))]
    const rows = [1, 2, 3].map((n) => ({ digest: digest(n), offset: n * 100, length: 100, storedLength: 50 }))
    index.add(first.id, rows)
    index.sealPack(first.id, 500)
    index.flush()
    index.add(second.id, rows.slice(0, 1))
    index.removePack(first.id)
    expect([1, 2, 3].map((n) => index.find(digest(n))?.pack)).toEqual([second.id, undefined, undefined])
    expect(index.removeOrphans()).toBe(2)
    expect(index.sliceCount).toBe(1)
    index.sealPack(second.id, 100)
    index.flush()
    expect(index.sliceCount).toBe(1)
    index.recount()
    expect(index.sliceCount).toBe(1)
  })

  test('refuses a database of another version and one that is none', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('index.db'), 'this is no database, but it is long enough to be taken for one '.repeat(20))
    expect(() => IndexDatabase.open(folder.file('index.db'))).toThrow()
  })

  test('says what is wrong with a damaged file', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('index.db')
    {
      using index = IndexDatabase.open(path)
      const pack = index.addPack('a'.repeat(32))
      index.add(
        pack.id,
        Array.from({ length: 2000 }, (_, n) => ({ digest: digest(n), offset: n, length: 10, storedLength: 10 })),
      )
      index.sealPack(pack.id, 100)
      index.flush()
      index.makeDurable()
      expect(index.fault()).toBeUndefined()
      expect(await checkIndexApart(path)).toBeUndefined()
    }
    const bytes = Buffer.from(await Bun.file(path).arrayBuffer())
    bytes.fill(0x55, 4096 * 5, 4096 * 6)
    await Bun.write(path, bytes)
    using index = IndexDatabase.open(path)
    expect(index.fault()).toBeString()
    expect(await checkIndexApart(path)).toBe(index.fault() ?? 'none')
  })
})
