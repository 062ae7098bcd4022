// The file that names packs and runs: what was written is read again, what somebody changed is refused, and what must last is synced.

import { Database } from 'bun:sqlite'
import { describe, expect, spyOn, test } from 'bun:test'
import { readdirSync, readlinkSync } from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { IndexFile, indexFileFault, removeFile } from '../../../../agent/slices/index/index-file.ts'
import { IndexUnusable } from '../../../../agent/slices/index/index-unusable.ts'
import { watchFileOperations } from '../../../support/machine/file-operations.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const NAMES = ['a', 'b', 'c'].map((letter) => letter.repeat(32))
const [A = '', B = '', C = ''] = NAMES

/** Writes a file with two packs and two runs. */
async function writeFile(folder: TemporaryFolder): Promise<string> {
  const path = folder.file('index.db')
  using file = IndexFile.open(path)
  file.write({
    packs: [
      { id: 1, name: A, length: 0, sealed: false },
      { id: 2, name: B, length: 5000, sealed: true },
    ],
    runs: [
      { run: 1, age: 1 },
      { run: 2, age: -1 },
    ],
    counts: { rows: 10, bytes: 1000, lastPack: 2, lastRun: 2 },
  })
  await Promise.resolve()
  return path
}

/** Changes the database as somebody else would. */
function change(path: string, ...statements: string[]): void {
  using database = new Database(path)
  for (const statement of statements) database.run(statement)
}

/** Returns how often this process has a file open, also one that was deleted. */
function openCount(path: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return [path, `${path} (deleted)`].includes(readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      return false
    }
  }).length
}

describe('what was written', () => {
  test('is read again, through any changes', async () => {
    await using folder = await createTemporaryFolder()
    const path = await writeFile(folder)
    const expectContents = (file: IndexFile): void => {
      expect([...file.packs.values()].toSorted((a, b) => a.id - b.id)).toEqual([
        { id: 1, name: A, length: 700, sealed: true },
        { id: 3, name: C, length: 0, sealed: false },
      ])
      expect([...file.runs.values()].toSorted((a, b) => a.run - b.run)).toEqual([
        { run: 2, age: -1 },
        { run: 3, age: 2 },
      ])
      expect(file.counts).toEqual({ rows: 11, bytes: 1000, lastPack: 3, lastRun: 3 })
    }
    {
      using file = IndexFile.open(path)
      expect(file.counts).toEqual({ rows: 10, bytes: 1000, lastPack: 2, lastRun: 2 })
      file.write({ packs: [{ id: 1, name: A, length: 700, sealed: true }], packsGone: [2, 99], runs: [{ run: 3, age: 2 }], runsGone: [1, 99] })
      file.write({ packs: [{ id: 3, name: C, length: 0, sealed: false }], counts: { rows: 11, lastPack: 3, lastRun: 3 } })
      expectContents(file)
    }
    using file = IndexFile.open(path)
    expectContents(file)
    expect(indexFileFault(path)).toBeUndefined()
  })

  test('changes nothing in memory when it cannot be stored', async () => {
    await using folder = await createTemporaryFolder()
    using file = IndexFile.open(await writeFile(folder))
    // The database allows a name once.
    expect(() => file.write({ packs: [{ id: 4, name: C, length: 0, sealed: false }], runs: [{ run: 1, age: 5 }], counts: { rows: 99 } })).toThrow()
    expect([[...file.packs.keys()], [...file.runs.values()], file.counts.rows]).toEqual([
      [1, 2],
      [
        { run: 1, age: 1 },
        { run: 2, age: -1 },
      ],
      10,
    ])
    file.write({ counts: { rows: 12 } })
    expect(file.counts.rows).toBe(12)
  })

  test('is replaced by the packs, unsealed, and no runs', async () => {
    await using folder = await createTemporaryFolder()
    const path = await writeFile(folder)
    using file = IndexFile.replace(path, IndexFile.open(path), [{ id: 2, name: B, length: 5000, sealed: true }], 9)
    expect([...file.packs.values()]).toEqual([{ id: 2, name: B, length: 0, sealed: false }])
    expect([...file.runs.values()]).toEqual([])
    expect(file.counts).toEqual({ rows: 0, bytes: 0, lastPack: 9, lastRun: 2 })
    expect(await Bun.file(`${path}.next`).exists()).toBe(false)
  })

  test('may be replaced although an earlier attempt left its file', async () => {
    await using folder = await createTemporaryFolder()
    const path = await writeFile(folder)
    await Bun.write(`${path}.next`, 'half a database')
    using file = IndexFile.replace(path, IndexFile.open(path), [], 2)
    expect(file.packs.size).toBe(0)
  })

  test('is replaced while another connection reads it, whose log does not count for the new file', async () => {
    await using folder = await createTemporaryFolder()
    const path = await writeFile(folder)
    using other = new Database(path, { readonly: true })
    const before = IndexFile.open(path)
    before.write({ counts: { rows: 11 } })
    expect(other.query('SELECT value FROM counts WHERE key = ?').get('rows')).toEqual({ value: 11 })
    {
      using file = IndexFile.replace(path, before, [{ id: 2, name: B, length: 5000, sealed: true }], 9)
      expect([file.packs.size, file.runs.size, file.counts.rows]).toEqual([1, 0, 0])
    }
    using again = IndexFile.open(path)
    expect([again.packs.size, again.counts.rows, indexFileFault(path)]).toEqual([1, 0, undefined])
  })

  test('is closed with it, and when it is replaced or cannot be opened', async () => {
    await using folder = await createTemporaryFolder()
    const path = await writeFile(folder)
    expect(openCount(path)).toBe(0)
    {
      const file = IndexFile.open(path)
      expect(openCount(path)).toBe(1)
      using _next = IndexFile.replace(path, file, [], 2)
      expect(openCount(path)).toBe(1)
    }
    expect(openCount(path)).toBe(0)
    change(path, "UPDATE counts SET value = 9 WHERE key = 'lastPack'")
    expect(() => IndexFile.open(path)).toThrow(IndexUnusable)
    expect(openCount(path)).toBe(0)
  })

  test('has a checksum of 52 bits, as the format says', async () => {
    await using folder = await createTemporaryFolder()
    const path = await writeFile(folder)
    const hash = (text: string): bigint => Bun.hash.xxHash64(text)
    const sum = hash(`pack 1 ${A} 0 false`) + hash(`pack 2 ${B} 5000 true`) + hash('run 1 1') + hash('run 2 -1') + hash('10 1000 2 2')
    using database = new Database(path, { readonly: true })
    expect(database.query('SELECT value FROM counts WHERE key = ?').get('check')).toEqual({ value: Number(sum % 2n ** 52n) })
  })

  test('has pack numbers of up to 32 bits', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('index.db')
    {
      using file = IndexFile.open(path)
      file.write({ packs: [{ id: 0xffff_ffff, name: A, length: 0, sealed: false }] })
    }
    using file = IndexFile.open(path)
    expect(file.packs.size).toBe(1)
  })

  test('is removed with its logs', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('index.db')
    for (const suffix of ['', '-wal', '-shm']) await Bun.write(path + suffix, 'x')
    removeFile(path)
    for (const suffix of ['', '-wal', '-shm']) expect(await Bun.file(path + suffix).exists()).toBe(false)
  })
})

describe('a changed file is refused', () => {
  test.each([
    ['a pack is sealed', 'UPDATE packs SET sealed = 1 WHERE id = 1'],
    ['a pack is longer', 'UPDATE packs SET length = 5001 WHERE id = 2'],
    ['a pack has another number', 'UPDATE packs SET id = 3 WHERE id = 2'],
    ['a pack has another name', `UPDATE packs SET name = '${C}' WHERE id = 2`],
    ['a pack is gone', 'DELETE FROM packs WHERE id = 1'],
    ['a pack was added', `INSERT INTO packs VALUES (3, '${C}', 0, 0)`],
    ['a run has another age', 'UPDATE runs SET age = 2 WHERE run = 1'],
    ['a run has another number', 'UPDATE runs SET run = 3 WHERE run = 1'],
    ['a run is gone', 'DELETE FROM runs WHERE run = 2'],
    ['a run was added', 'INSERT INTO runs VALUES (3, 3)'],
    ...['rows', 'bytes', 'lastPack', 'lastRun', 'check'].map((key) => [
      `the count ${key} is another`,
      `UPDATE counts SET value = value + 1 WHERE key = '${key}'`,
    ]),
    ...['rows', 'bytes', 'lastPack', 'lastRun', 'check'].map((key) => [`the count ${key} is gone`, `DELETE FROM counts WHERE key = '${key}'`]),
  ])('%s', async (_what, statement = '') => {
    await using folder = await createTemporaryFolder()
    const path = await writeFile(folder)
    change(path, statement)
    expect(() => IndexFile.open(path)).toThrow('the rows of the index do not match their checksum')
    expect(indexFileFault(path)).toBe('the rows of the index do not match their checksum')
  })

  test.each([
    ['a number of 0', 'UPDATE packs SET id = 0 WHERE id = 1'],
    ['a number above 32 bits', 'UPDATE packs SET id = 4294967296 WHERE id = 1'],
    ['a name that is a path', "UPDATE packs SET name = '../../etc/passwd' WHERE id = 1"],
    ['a negative length', 'UPDATE packs SET length = -1 WHERE id = 1'],
    ['a length that is text', "UPDATE packs SET length = 'x' WHERE id = 1"],
  ])('a pack with %s', async (_what, statement) => {
    await using folder = await createTemporaryFolder()
    const path = await writeFile(folder)
    change(path, statement)
    expect(() => IndexFile.open(path)).toThrow('the packs of the index are damaged')
  })

  test.each([
    ['a number of 0', 'UPDATE runs SET run = 0 WHERE run = 1'],
    ['an age that is text', "UPDATE runs SET age = 'x' WHERE run = 1"],
    ['an age that is a fraction', 'UPDATE runs SET age = 1.5 WHERE run = 1'],
  ])('a run with %s', async (_what, statement) => {
    await using folder = await createTemporaryFolder()
    const path = await writeFile(folder)
    change(path, statement)
    expect(() => IndexFile.open(path)).toThrow('the runs of the index are damaged')
  })

  test('another version, and a file that is no database', async () => {
    await using folder = await createTemporaryFolder()
    const path = await writeFile(folder)
    change(path, 'PRAGMA user_version = 3')
    expect(() => IndexFile.open(path)).toThrow(new IndexUnusable('the index database has version 3, but this agent uses 2'))
    removeFile(path)
    await Bun.write(path, Buffer.alloc(8192, 7))
    expect(() => IndexFile.open(path)).toThrow('file is not a database')
    expect(indexFileFault(path)).toContain('file is not a database')
  })

  test('rows that SQLite finds wrong, although they match their checksum', async () => {
    await using folder = await createTemporaryFolder()
    const path = await writeFile(folder)
    const bytes = Buffer.from(await Bun.file(path).arrayBuffer())
    // The name is in the table first, then in its index.
    bytes.write('x', bytes.lastIndexOf(B))
    await Bun.write(path, bytes)
    expect(indexFileFault(path)).toContain('sqlite_autoindex_packs_1')
  })

  test('a file that is not there, and is not created by the check', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('index.db')
    expect(indexFileFault(path)).toContain('unable to open database file')
    expect(await Bun.file(path).exists()).toBe(false)
  })
})

describe('durable', () => {
  test('is what the log has when its sync ends', async () => {
    await using folder = await createTemporaryFolder()
    using file = IndexFile.open(await writeFile(folder))
    const steps: string[] = []
    using _watch = await watchFileOperations((name, when) => steps.push(`${name} ${when}`))
    await file.sync()
    expect(steps).toEqual(['datasync starts', 'datasync ends', 'close starts', 'close ends'])
  })

  test('is everything after makeDurable: the log is synced and written to the file', async () => {
    await using folder = await createTemporaryFolder()
    using file = IndexFile.open(await writeFile(folder))
    const statements: string[] = []
    const run = Database.prototype.run
    {
      using _spy = spyOn(Database.prototype, 'run').mockImplementation(function (this: Database, ...words: Parameters<typeof run>) {
        statements.push(words[0])
        return run.apply(this, words)
      })
      file.write({ counts: { rows: 77 } })
      file.makeDurable()
    }
    // SQLite syncs before the checkpoint only with FULL.
    expect(statements.slice(-3)).toEqual(['PRAGMA synchronous = FULL', 'PRAGMA wal_checkpoint(TRUNCATE)', 'PRAGMA synchronous = NORMAL'])
    // The file alone has everything.
    await copyFile(folder.file('index.db'), folder.file('copy.db'))
    using copy = IndexFile.open(folder.file('copy.db'))
    expect(copy.counts.rows).toBe(77)
  })
})
