// Which runs are merged: four of about the same size, with smaller ones between them. How a merge lets other work run.

import { expect, test } from 'bun:test'
import { RunFile } from '../../../../agent/slices/index/run-file.ts'
import { encodeRow, RUN_ROW_BYTES } from '../../../../agent/slices/index/run-format.ts'
import { mergeRuns, planMerge } from '../../../../agent/slices/index/run-merge.ts'
import { RunWriter } from '../../../../agent/slices/index/run-writer.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { until } from '../../../support/until.ts'

/** Rows of a run that counts as small, and of the next sizes up: each is four times as large. */
const [S, M, L] = [32_768, 131_072, 524_288]

test.each<[readonly number[], { from: number; to: number } | undefined]>([
  [[], undefined],
  [[S, S, S], undefined],
  [[S, S, S, S], { from: 0, to: 4 }],
  [[1, S, 0, S], { from: 0, to: 4 }],
  [[S, S, S, S, S], { from: 0, to: 5 }],
  // One row more is the next size.
  [[S, S, S, S + 1], undefined],
  [[M, S, S, S, S], { from: 1, to: 5 }],
  [[S, S, M, S, S], undefined],
  [[M, M, M, M], { from: 0, to: 4 }],
  [[M, S, M, S, M, M], { from: 0, to: 6 }],
  [[S, M, M, M, M, L], { from: 0, to: 5 }],
  [[L, S + 1, M, M, M, L], { from: 1, to: 5 }],
  [[L, L, L, M + 1], { from: 0, to: 4 }],
  // The smallest runs first.
  [[M, M, M, M, S, S, S, S], { from: 4, to: 8 }],
])('%j', (rows, expected) => {
  expect(planMerge(rows)).toEqual(expected)
})

/** Writes a run of so many rows, whose digests are numbered from `first` on. */
async function writeRun(path: string, run: number, rows: number, first = 0): Promise<RunFile> {
  await using writer = await RunWriter.create(path, run, rows)
  const row = Buffer.alloc(RUN_ROW_BYTES)
  for (let n = 0; n < rows; n++) {
    const digest = new Uint8Array(32)
    new DataView(digest.buffer).setUint32(0, first + n)
    encodeRow(row, 0, { digest, pack: 1, offset: 16 + run, length: 100, storedLength: 100 })
    if (writer.push(row, 0)) await writer.write()
  }
  await writer.end()
  return RunFile.open(path, run)
}

// A chunk has 64 blocks of 85 rows.
test.each([
  [5439, 0],
  [5440, 1],
  [10_880, 2],
])('a merge of %i rows lets other work run %i times, each time with what it has read on disk', async (rows, pauses) => {
  await using folder = await createTemporaryFolder()
  using file = await writeRun(folder.file('1.run'), 1, rows)
  const waiting: (() => void)[] = []
  let isOver = false
  const merging = mergeRuns([file], { path: folder.file('2.run'), run: 2, isOldest: true }, () => new Promise((resolve) => void waiting.push(resolve))).finally(
    () => (isOver = true),
  )
  for (let pause = 1; pause <= pauses; pause++) {
    await until('the merge pauses', () => waiting.length === pause)
    await Bun.sleep(5)
    expect([waiting.length, isOver, Bun.file(folder.file('2.run')).size]).toEqual([pause, false, pause * 262_144])
    waiting[pause - 1]?.()
  }
  expect(await merging).toEqual({ rows, bytes: rows * 100, orphans: 0 })
  expect(waiting).toHaveLength(pauses)
})

test('a merged run has a filter for the rows of all', async () => {
  await using folder = await createTemporaryFolder()
  using newer = await writeRun(folder.file('1.run'), 1, 64)
  using older = await writeRun(folder.file('2.run'), 2, 64, 64)
  await mergeRuns([newer, older], { path: folder.file('3.run'), run: 3, isOldest: true }, async () => {})
  // Two blocks with a fence each, 12 bits of filter for each of 128 rows, and the trailer.
  expect(Bun.file(folder.file('3.run')).size).toBe(2 * (4096 + 8) + 192 + 64)
})

test('a digest that several runs have is in the merged run once, as the newest has it', async () => {
  await using folder = await createTemporaryFolder()
  using newer = await writeRun(folder.file('2.run'), 2, 200, 50)
  using older = await writeRun(folder.file('1.run'), 1, 100)
  using oldest = await writeRun(folder.file('0.run'), 0, 60)
  const { rows, bytes } = await mergeRuns([newer, older, oldest], { path: folder.file('3.run'), run: 3, isOldest: true }, async () => {})
  expect([rows, bytes]).toEqual([250, 25_000])
  using merged = RunFile.open(folder.file('3.run'), 3)
  const offsets = Array.from({ length: 250 }, (_, n) => {
    const digest = Buffer.alloc(32)
    digest.writeUInt32BE(n)
    const found = merged.find(digest)
    return typeof found === 'object' ? found.offset : found
  })
  // Each run has an offset of its own.
  expect(offsets).toEqual(Array.from({ length: 250 }, (_, n) => (n < 50 ? 17 : 18)))
})
