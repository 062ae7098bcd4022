// A cursor over a run: where it begins, which rows it gives, and how much of the file it holds.

import { describe, expect, test } from 'bun:test'
import { RunCursor } from '../../../../agent/slices/index/run-cursor.ts'
import { RunFile } from '../../../../agent/slices/index/run-file.ts'
import { encodeRow, RUN_ROW_BYTES } from '../../../../agent/slices/index/run-format.ts'
import { RunWriter } from '../../../../agent/slices/index/run-writer.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

/** Digest number `n`: its first two bytes are `n`, and all others 7. */
function digestOf(n: number): Buffer {
  const digest = Buffer.alloc(32, 7)
  digest.writeUInt16BE(n)
  return digest
}

/** Opens a run of rows with these numbers; 85 rows are a block. */
async function openRun(numbers: readonly number[]) {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await createTemporaryFolder())
  const path = folder.file('1.run')
  {
    await using writer = await RunWriter.create(path, 1, numbers.length)
    const row = Buffer.alloc(RUN_ROW_BYTES)
    for (const n of numbers) {
      encodeRow(row, 0, { digest: digestOf(n), pack: 1, offset: 16 + n, length: 100, storedLength: 100 })
      if (writer.push(row, 0)) await writer.write()
    }
    await writer.end()
  }
  const file = stack.use(RunFile.open(path, 1))
  const own = stack.move()
  return { file, [Symbol.asyncDispose]: () => own.disposeAsync() }
}

function numbersOf(cursor: RunCursor): number[] {
  const numbers: number[] = []
  for (; cursor.isOpen; cursor.advance()) numbers.push(cursor.bytes.readUInt16BE(cursor.at))
  return numbers
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n * 2)

describe('a cursor', () => {
  test.each([0, 1, 84, 85, 86, 170, 171, 255, 425])('gives all of %i rows, however many blocks it reads at a time', async (rows) => {
    await using run = await openRun(upTo(rows))
    for (const blocks of [1, 2, 3, 64]) expect(numbersOf(new RunCursor(run.file, blocks))).toEqual(upTo(rows))
  })

  test('holds as many blocks as it reads at a time, and no more than there are', async () => {
    await using run = await openRun(upTo(200))
    expect([1, 2, 3, 64].map((blocks) => new RunCursor(run.file, blocks).bytes.length)).toEqual([4096, 8192, 12_288, 12_288])
  })

  test('reads nothing before the block that it begins in', async () => {
    await using run = await openRun(upTo(200))
    const bytes = Buffer.from(await Bun.file(run.file.path).arrayBuffer())
    bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)
    await Bun.write(run.file.path, bytes)
    expect(numbersOf(new RunCursor(run.file, 1, digestOf(396)))).toEqual([398])
    expect(() => new RunCursor(run.file, 1, digestOf(2))).toThrow('block 0 of run 1 of the index is damaged')
  })

  test('begins after a whole digest, and at the first one with a given beginning', async () => {
    await using run = await openRun(upTo(200))
    const first = (after: Uint8Array): number | undefined => {
      const cursor = new RunCursor(run.file, 2, after)
      return cursor.isOpen ? cursor.bytes.readUInt16BE(cursor.at) : undefined
    }
    // Blocks begin with 0, 170 and 340.
    for (const n of [0, 2, 166, 168, 170, 172, 338, 340, 342, 396]) {
      expect([n, first(digestOf(n)), first(digestOf(n).subarray(0, 2)), first(digestOf(n).subarray(0, 3))]).toEqual([n, n + 2, n, n])
      expect([n, first(digestOf(n + 1))]).toEqual([n, n + 2])
    }
    expect([first(digestOf(398)), first(digestOf(399)), first(Buffer.from([255]))]).toEqual([undefined, undefined, undefined])
    expect(first(Buffer.from([0]))).toBe(0)
    expect(numbersOf(new RunCursor(run.file, 1, digestOf(330)))).toEqual(upTo(200).filter((n) => n > 330))
  })
})
