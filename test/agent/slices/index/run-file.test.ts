// Files of runs: where a walk begins, which files are deleted, and what is closed.

import { expect, test } from 'bun:test'
import { readdirSync, readlinkSync } from 'node:fs'
import { truncate } from 'node:fs/promises'
import { IndexUnusable } from '../../../../agent/slices/index/index-unusable.ts'
import { removeRuns, RunFile, runPath } from '../../../../agent/slices/index/run-file.ts'
import { encodeRow, RUN_BLOCK_BYTES, RUN_ROW_BYTES } from '../../../../agent/slices/index/run-format.ts'
import { RunWriter } from '../../../../agent/slices/index/run-writer.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

/** Digest number `n`: its first 48 bits are `n`, so that they do not tell apart those that `last` does. */
function digestOf(n: number, last = 0): Buffer {
  const digest = Buffer.alloc(32)
  digest.writeUIntBE(n, 0, 6)
  digest[31] = last
  return digest
}

async function writeRun(path: string, run: number, digests: readonly Buffer[]): Promise<RunFile> {
  await using writer = await RunWriter.create(path, run, digests.length)
  const row = Buffer.alloc(RUN_ROW_BYTES)
  for (const [i, digest] of digests.entries()) {
    encodeRow(row, 0, { digest, pack: 1, offset: 16 + i, length: 100, storedLength: 100 })
    if (writer.push(row, 0)) await writer.write()
  }
  await writer.end()
  return RunFile.open(path, run)
}

/** Returns how often this process has a file open. */
function openCount(path: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path)
    } catch {
      return false
    }
  }).length
}

test('a walk begins in the block that can have the digest, and not before', async () => {
  await using folder = await createTemporaryFolder()
  // Three blocks, which begin with 10, 860 and 1710.
  using file = await writeRun(
    folder.file('1.run'),
    1,
    Array.from({ length: 200 }, (_, n) => digestOf(10 + n * 10)),
  )
  expect(file.blocks).toBe(3)
  expect([0, 9, 11, 859, 861, 1709, 1711, 5000].map((prefix) => file.blockOf(prefix))).toEqual([0, 0, 0, 0, 1, 1, 2, 2])
  // The block before may end with the same prefix.
  expect([10, 860, 1710].map((prefix) => file.blockOf(prefix))).toEqual([0, 0, 1])
})

test('digests that begin alike are found in every block that has them', async () => {
  await using folder = await createTemporaryFolder()
  // From the end of the first block to the middle of the fourth.
  const digests = [...Array.from({ length: 80 }, (_, n) => digestOf(n)), ...Array.from({ length: 230 }, (_, n) => digestOf(500, n)), digestOf(900)]
  using file = await writeRun(folder.file('1.run'), 1, digests)
  expect(digests.map((digest) => file.find(digest))).toEqual(digests.map((_, i) => ({ pack: 1, offset: 16 + i, length: 100, storedLength: 100 })))
  expect([digestOf(500, 231), digestOf(499), digestOf(501), digestOf(1000), digestOf(85)].map((digest) => file.find(digest))).toEqual(
    Array.from({ length: 5 }, () => undefined),
  )
  expect(file.blockOf(500)).toBe(0)
})

test('a digest is looked up in no block that cannot have it: damage elsewhere does not matter', async () => {
  await using folder = await createTemporaryFolder()
  const digests = Array.from({ length: 200 }, (_, n) => digestOf(10 + n * 10))
  using file = await writeRun(folder.file('1.run'), 1, digests)
  const bytes = Buffer.from(await Bun.file(file.path).arrayBuffer())
  bytes.writeUInt8(bytes.readUInt8(50) ^ 1, 50)
  await Bun.write(file.path, bytes)
  expect([digestOf(1711), digestOf(865)].map((digest) => file.find(digest))).toEqual([undefined, undefined])
  expect(file.find(digestOf(1710))).toMatchObject({ offset: 186 })
  expect(() => file.find(digestOf(850))).toThrow('block 0 of run 1 of the index is damaged')
})

test('several blocks are read and verified, and a file that is cut off is damaged', async () => {
  await using folder = await createTemporaryFolder()
  using file = await writeRun(
    folder.file('1.run'),
    1,
    Array.from({ length: 200 }, (_, n) => digestOf(n)),
  )
  const into = Buffer.alloc(2 * RUN_BLOCK_BYTES)
  file.readBlocks(1, 2, into)
  const whole = Buffer.from(await Bun.file(file.path).arrayBuffer())
  expect(into.equals(whole.subarray(RUN_BLOCK_BYTES, 3 * RUN_BLOCK_BYTES))).toBe(true)
  // Written in place, because the file is open.
  await truncate(file.path, 3 * RUN_BLOCK_BYTES - 1)
  expect(() => file.readBlocks(1, 2, into)).toThrow('run 1 of the index is cut off')
  expect(() => file.readBlocks(0, 2, into)).not.toThrow()
})

test('a file that cannot be opened as a run is closed, whichever way it is opened', async () => {
  await using folder = await createTemporaryFolder()
  const path = folder.file('1.run')
  {
    using file = await writeRun(path, 1, [digestOf(1)])
    expect(openCount(path)).toBe(1)
    using other = await RunFile.openAsync(path, 1)
    expect([openCount(path), other.rows, other.blocks, other.mayHave(digestOf(1)), file.rows]).toEqual([2, 1, 1, true, 1])
  }
  expect(openCount(path)).toBe(0)
  expect(() => RunFile.open(path, 2)).toThrow(IndexUnusable)
  await expect(RunFile.openAsync(path, 2)).rejects.toThrow('run 2 of the index has no valid trailer')
  expect(openCount(path)).toBe(0)
  expect(() => RunFile.open(folder.file('none.run'), 3)).toThrow('run 3 of the index is gone')
})

test('a discarded run is closed and deleted, also twice', async () => {
  await using folder = await createTemporaryFolder()
  const file = await writeRun(folder.file('1.run'), 1, [digestOf(1)])
  file.discard()
  expect([openCount(folder.file('1.run')), await Bun.file(folder.file('1.run')).exists()]).toEqual([0, false])
  expect(() => file.discard()).not.toThrow()
})

test('only runs of this index are deleted, and only those that are unwanted', async () => {
  await using folder = await createTemporaryFolder()
  const path = folder.file('index.db')
  const others = ['other.db.1.run', 'index.db', 'index.db-wal', 'index.db.x.run', 'index.db.1.run.bak', 'index.db.1', 'xindex.db.1.run']
  for (const name of [...others, 'index.db.1.run', 'index.db.12.run', 'index.db.3.run']) await Bun.write(folder.file(name), 'x')
  expect(runPath(path, 12)).toBe(folder.file('index.db.12.run'))
  removeRuns(path, (run) => run !== 12)
  expect(readdirSync(folder.path).toSorted()).toEqual([...others, 'index.db.12.run'].toSorted())
  removeRuns(path)
  expect(readdirSync(folder.path).toSorted()).toEqual(others.toSorted())
})
