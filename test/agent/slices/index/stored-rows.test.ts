// Rows on disk: which run wins, what is counted, and how opening, closing and a rebuild end what is going on.

import { expect, test } from 'bun:test'
import { readdirSync, readlinkSync, rmSync } from 'node:fs'
import { RunBatch } from '../../../../agent/slices/index/run-batch.ts'
import { REMOVED } from '../../../../agent/slices/index/run-format.ts'
import { StoredRows } from '../../../../agent/slices/index/stored-rows.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'

const [A, B] = ['a', 'b'].map((letter) => letter.repeat(32)) as [string, string]
const digestOf = (n: number): Uint8Array => {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, n)
  return digest
}

/** Returns a batch of rows `[slice, pack]`. */
function batchOf(rows: readonly (readonly [number, number])[]): RunBatch {
  const batch = new RunBatch()
  for (const [n, pack] of rows) {
    const length = pack === REMOVED ? 0 : 10
    batch.add({ digest: digestOf(n), pack, offset: pack === REMOVED ? 0 : 16 + n, length, storedLength: length })
  }
  return batch
}

const append = (stored: StoredRows, position: 'newest' | 'oldest', rows: readonly (readonly [number, number])[], counted = rows.length): Promise<boolean> =>
  stored.append(batchOf(rows), position, () => ({ rows: counted, bytes: counted * 10, sealed: [] }))

const packsOf = (stored: StoredRows, count: number): unknown[] =>
  Array.from({ length: count }, (_, n) => {
    const found = stored.find(digestOf(n))
    return typeof found === 'object' ? found.pack : found
  })

const runsIn = (folder: TemporaryFolder): number => readdirSync(folder.path).filter((name) => name.endsWith('.run')).length

/** Returns the files below a folder that this process has open. */
function openFilesBelow(folder: string): string[] {
  const pathOf = (fd: string): string => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  }
  return readdirSync('/proc/self/fd')
    .map(pathOf)
    .filter((path) => path.startsWith(`${folder}/`))
}

const at = async (): Promise<void> => {}

test('the newest run wins, the oldest one is asked last, and all are there again after a restart', async () => {
  await using folder = await createTemporaryFolder()
  const path = folder.file('index.db')
  {
    await using stored = StoredRows.open(path, at)
    stored.addPack(1, A)
    stored.addPack(5, B)
    stored.addPack(2, 'c'.repeat(32))
    await append(stored, 'newest', [
      [0, 1],
      [1, 1],
    ])
    await append(stored, 'newest', [
      [1, 5],
      [2, REMOVED],
    ])
    await append(stored, 'oldest', [
      [0, 5],
      [2, 1],
      [3, 1],
    ])
    expect(packsOf(stored, 5)).toEqual([1, 5, 'removed', 1, undefined])
    expect(stored.counts).toMatchObject({ rows: 7, bytes: 70, lastPack: 5, lastRun: 3 })
  }
  await using stored = StoredRows.open(path, at)
  expect(packsOf(stored, 5)).toEqual([1, 5, 'removed', 1, undefined])
  expect([...stored.packs]).toEqual([
    { id: 1, name: A, length: 0, sealed: false },
    { id: 2, name: 'c'.repeat(32), length: 0, sealed: false },
    { id: 5, name: B, length: 0, sealed: false },
  ])
  // The numbers of runs go on.
  await append(stored, 'newest', [[4, 1]])
  expect(stored.counts.lastRun).toBe(4)
})

test('a run whose filter excludes a slice is not read for it: damage there does not matter', async () => {
  await using folder = await createTemporaryFolder()
  const path = folder.file('index.db')
  await using stored = StoredRows.open(path, at)
  await append(stored, 'newest', [[0, 1]])
  const block = Buffer.from(await Bun.file(`${path}.1.run`).arrayBuffer())
  block.writeUInt8(block.readUInt8(50) ^ 1, 50)
  await Bun.write(`${path}.1.run`, block)
  expect(() => stored.find(digestOf(0))).toThrow('block 0 of run 1 of the index is damaged')
  expect(stored.find(new Uint8Array(32).fill(0xff))).toBeUndefined()
})

test('a walk returns rows in order, so many at a time, without removals, and says where it ended', async () => {
  await using folder = await createTemporaryFolder()
  await using stored = StoredRows.open(folder.file('index.db'), at)
  await append(stored, 'newest', [
    [0, 1],
    [1, 1],
    [2, 1],
    [3, 1],
  ])
  await append(stored, 'newest', [[1, REMOVED]])
  const walk = (after: number | undefined, count: number): unknown => {
    const { rows, last } = stored.rowsAfter(after === undefined ? undefined : digestOf(after), count)
    return [rows.map(({ offset }) => offset - 16), last && new DataView(last.buffer, last.byteOffset).getUint32(0)]
  }
  expect(walk(undefined, 2)).toEqual([[0], 1])
  expect(walk(1, 2)).toEqual([[2, 3], 3])
  expect(walk(3, 2)).toEqual([[], undefined])
  expect(walk(undefined, 5)).toEqual([[0, 2, 3], undefined])
})

test('a compaction drops rows of packs that are gone, and counts what is left and what was added meanwhile', async () => {
  await using folder = await createTemporaryFolder()
  await using stored = StoredRows.open(folder.file('index.db'), at)
  expect([await stored.compact(new Set([1]), () => {}), runsIn(folder)]).toEqual([0, 0])
  await append(stored, 'newest', [
    [0, 1],
    [1, 2],
    [2, 1],
  ])
  await append(stored, 'newest', [[2, REMOVED]], 0)
  let counted: unknown
  expect(await stored.compact(new Set([1]), () => (counted = stored.counts))).toBe(1)
  expect(counted).toMatchObject({ rows: 1, bytes: 10 })
  expect([packsOf(stored, 3), runsIn(folder)]).toEqual([[1, undefined, undefined], 1])
  const compacting = stored.compact(new Set([1]), () => {})
  await append(stored, 'newest', [[7, 1]])
  expect([await compacting, stored.counts.rows, stored.counts.bytes, packsOf(stored, 8).at(-1)]).toEqual([0, 2, 20, 1])
})

test('a batch that a rebuild has overtaken is dropped with its file', async () => {
  await using folder = await createTemporaryFolder()
  await using stored = StoredRows.open(folder.file('index.db'), at)
  stored.addPack(1, A)
  await append(stored, 'newest', [[0, 1]])
  const late = append(stored, 'newest', [[1, 1]])
  const former = stored.startRebuild([{ id: 1, name: A, length: 500, sealed: true }], 1)
  expect(await late).toBe(false)
  expect([packsOf(stored, 2), stored.counts.rows, [...stored.packs]]).toEqual([[undefined, undefined], 0, [{ id: 1, name: A, length: 0, sealed: false }]])
  for (const run of former) run.discard()
  expect(runsIn(folder)).toBe(0)
  // Removals stay until the rebuild ends: older rows may still come.
  await append(stored, 'newest', [[0, REMOVED]], 0)
  await append(stored, 'oldest', [[0, 1]])
  expect(packsOf(stored, 1)).toEqual(['removed'])
})

test('closing ends a long job', async () => {
  await using folder = await createTemporaryFolder()
  const paused = Promise.withResolvers<void>()
  let pauses = 0
  const stored = StoredRows.open(folder.file('index.db'), () => {
    pauses++
    return paused.promise
  })
  await append(
    stored,
    'newest',
    Array.from({ length: 8192 }, (_, n) => [n, 1] as const),
  )
  const checking = stored.check()
  await until('the job pauses', () => pauses === 1)
  const closed = stored[Symbol.asyncDispose]()
  paused.resolve()
  await expect(checking).rejects.toThrow('the index database was closed')
  await closed
  expect(openFilesBelow(folder.path)).toEqual([])
})

test('nothing stays open when a run is missing', async () => {
  await using folder = await createTemporaryFolder()
  const path = folder.file('index.db')
  {
    await using stored = StoredRows.open(path, at)
    await append(stored, 'newest', [[0, 1]])
    await append(stored, 'newest', [[1, 1]])
  }
  rmSync(`${path}.2.run`)
  expect(() => StoredRows.open(path, at)).toThrow('run 2 of the index is gone')
  expect(openFilesBelow(folder.path)).toEqual([])
})

test('runs of one size are merged, also when several ask for it, and their files are deleted', async () => {
  await using folder = await createTemporaryFolder()
  await using stored = StoredRows.open(folder.file('index.db'), at)
  for (let n = 0; n < 3; n++) await append(stored, 'newest', [[n, 1]])
  await stored.tidy()
  expect(runsIn(folder)).toBe(3)
  await append(stored, 'newest', [[3, 1]])
  const tidying = stored.tidy()
  expect(stored.tidy()).toBe(tidying)
  await tidying
  expect([runsIn(folder), stored.runs.map(({ rows }) => rows), packsOf(stored, 5)]).toEqual([1, [4], [1, 1, 1, 1, undefined]])
})
