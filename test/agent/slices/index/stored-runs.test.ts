// Runs of the index over their life: which are asked first, what a merge may drop, which files are deleted, and what a fault leaves.

import { describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { RunBatch } from '../../../../agent/slices/index/run-batch.ts'
import { REMOVED } from '../../../../agent/slices/index/run-format.ts'
import { StoredRows } from '../../../../agent/slices/index/stored-rows.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const NAMES = ['a', 'b', 'c'].map((letter) => letter.repeat(32))
const pause = async (): Promise<void> => {}

function digestOf(n: number): Uint8Array {
  const digest = Buffer.alloc(32)
  digest.writeUInt32BE(n)
  return new Uint8Array(digest)
}

/** Appends rows `[slice, pack]`. */
function append(stored: StoredRows, position: 'newest' | 'oldest', rows: readonly (readonly [number, number])[], onWritten?: () => void): Promise<boolean> {
  const batch = new RunBatch()
  for (const [n, pack] of rows) batch.add({ digest: digestOf(n), pack, offset: 16 + n, length: 10, storedLength: 10 })
  return stored.append(batch, position, () => ({ rows: rows.length, bytes: rows.length * 10, sealed: [], ...(onWritten ? { onWritten } : {}) }))
}

const packOf = (stored: StoredRows, n: number): unknown => {
  const found = stored.find(digestOf(n))
  return typeof found === 'object' ? found.pack : found
}
const runsIn = (folder: TemporaryFolder): string[] => readdirSync(folder.path).filter((name) => name.endsWith('.run'))
const open = (folder: TemporaryFolder): StoredRows => StoredRows.open(folder.file('index.db'), pause)

describe('a run', () => {
  test('that is the oldest comes after every other one, also after a restart', async () => {
    await using folder = await createTemporaryFolder()
    {
      await using stored = open(folder)
      await append(stored, 'newest', [[1, 1]])
      await append(stored, 'newest', [[2, 1]])
      await append(stored, 'oldest', [[3, 2]])
      await append(stored, 'newest', [[4, 1]])
      expect(
        await append(
          stored,
          'oldest',
          [1, 2, 3, 5].map((n) => [n, 3] as const),
        ),
      ).toBe(true)
      expect([1, 2, 3, 4, 5, 6].map((n) => packOf(stored, n))).toEqual([1, 1, 2, 1, 3, undefined])
    }
    await using stored = open(folder)
    expect([1, 2, 3, 4, 5, 6].map((n) => packOf(stored, n))).toEqual([1, 1, 2, 1, 3, undefined])
  })

  test('can be found when its batch is told that it is written', async () => {
    await using folder = await createTemporaryFolder()
    await using stored = open(folder)
    const seen: unknown[] = []
    await append(stored, 'newest', [[1, 1]], () => seen.push(packOf(stored, 1), stored.counts.rows))
    expect(seen).toEqual([1, 1])
  })

  test('that the file does not name is deleted at the next start', async () => {
    await using folder = await createTemporaryFolder()
    {
      await using stored = open(folder)
      await append(stored, 'newest', [[1, 1]])
    }
    await Bun.write(folder.file('index.db.77.run'), 'of a merge that did not end')
    await using stored = open(folder)
    expect([runsIn(folder), packOf(stored, 1)]).toEqual([['index.db.1.run'], 1])
  })

  test('is deleted with the index', async () => {
    await using folder = await createTemporaryFolder()
    {
      await using stored = open(folder)
      await append(stored, 'newest', [[1, 1]])
    }
    StoredRows.removeAt(folder.file('index.db'))
    expect(readdirSync(folder.path)).toEqual([])
  })

  test('that is damaged is reported by a check', async () => {
    await using folder = await createTemporaryFolder()
    await using stored = open(folder)
    await append(stored, 'newest', [[1, 1]])
    expect(await stored.check()).toBeUndefined()
    const path = folder.file('index.db.1.run')
    const bytes = readFileSync(path)
    bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20)
    writeFileSync(path, bytes, { flag: 'r+' })
    expect(await stored.check()).toBe('block 0 of run 1 of the index is damaged')
  })
})

describe('a merge', () => {
  /** Appends four runs of one row each: the second one, seen from the oldest, removes slice 1. */
  async function appendFour(stored: StoredRows): Promise<void> {
    await append(stored, 'newest', [[1, 1]])
    await append(stored, 'newest', [[1, REMOVED]])
    await append(stored, 'newest', [[2, 1]])
    await append(stored, 'newest', [[3, 1]])
  }

  test('of all runs forgets removals, and has one file', async () => {
    await using folder = await createTemporaryFolder()
    await using stored = open(folder)
    await appendFour(stored)
    await stored.tidy()
    expect([1, 2, 3].map((n) => packOf(stored, n))).toEqual([undefined, 1, 1])
    expect([stored.runs.map(({ rows }) => rows), runsIn(folder)]).toEqual([[2], ['index.db.5.run']])
  })

  test('of runs that a larger one is beneath keeps removals', async () => {
    await using folder = await createTemporaryFolder()
    await using stored = open(folder)
    // Three runs of 16,384 rows are one of the next size.
    for (let i = 0; i < 3; i++) {
      const batch = new RunBatch()
      for (let n = 0; n < 16_384; n++) batch.add({ digest: digestOf(n + i * 16_384), pack: 2, offset: 16, length: 10, storedLength: 10 })
      await stored.append(batch, 'newest', () => ({ rows: 16_384, bytes: 163_840, sealed: [] }))
    }
    await stored.compact(new Set([2]), () => {})
    expect(stored.runs.map(({ rows }) => rows)).toEqual([49_152])
    await appendFour(stored)
    await stored.tidy()
    expect(stored.runs.map(({ rows }) => rows)).toEqual([3, 49_152])
    expect([1, 2, 3, 4].map((n) => packOf(stored, n))).toEqual(['removed', 1, 1, 2])
  })

  test('during a rebuild keeps removals, because older rows may follow', async () => {
    await using folder = await createTemporaryFolder()
    await using stored = open(folder)
    expect(stored.startRebuild([], 0)).toEqual([])
    await appendFour(stored)
    await stored.tidy()
    await append(stored, 'oldest', [[1, 2]])
    expect(packOf(stored, 1)).toBe('removed')
    // The end of the rebuild merges all.
    const counted: number[] = []
    expect(await stored.compact(new Set([1, 2]), () => counted.push(stored.counts.rows))).toBe(0)
    expect([packOf(stored, 1), counted, stored.counts.bytes]).toEqual([undefined, [2], 20])
    await append(stored, 'newest', [[2, REMOVED]])
    await append(stored, 'newest', [[4, 1]])
    await append(stored, 'newest', [[5, 1]])
    await stored.tidy()
    expect(stored.runs.map(({ rows }) => rows)).toEqual([3])
  })

  test('leaves the files of its runs when the log cannot be synced, and the next start deletes them', async () => {
    await using folder = await createTemporaryFolder()
    {
      await using stored = open(folder)
      await appendFour(stored)
      await rm(folder.file('index.db-wal'))
      await stored.tidy()
      expect(runsIn(folder)).toHaveLength(5)
      expect(stored.runs).toHaveLength(1)
      expect([1, 2, 3].map((n) => packOf(stored, n))).toEqual([undefined, 1, 1])
    }
    expect(existsSync(folder.file('index.db'))).toBe(true)
  })
})

test('a compaction of no rows counts none, and packs that are removed or sealed are so after a restart', async () => {
  await using folder = await createTemporaryFolder()
  {
    await using stored = open(folder)
    for (const [i, name] of NAMES.entries()) stored.addPack(i + 1, name)
    expect(await stored.compact(new Set(), () => {})).toBe(0)
    expect(stored.counts).toMatchObject({ rows: 0, bytes: 0 })
    stored.removePack(1)
    for (const id of [1, 2]) stored.sealPacks([{ id, name: NAMES[id - 1] ?? '', length: 70, sealed: true }])
    stored.sealPacks([])
  }
  await using stored = open(folder)
  expect([...stored.packs].map(({ id, length, sealed }) => [id, length, sealed])).toEqual([
    [2, 70, true],
    [3, 0, false],
  ])
})
