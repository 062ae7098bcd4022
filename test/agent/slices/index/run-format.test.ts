// The bytes of a run: a file of version 1 is the same for every agent, and nothing that was changed is read.

import { describe, expect, test } from 'bun:test'
import { stat } from 'node:fs/promises'
import { RunBatch } from '../../../../agent/slices/index/run-batch.ts'
import { IndexUnusable } from '../../../../agent/slices/index/index-unusable.ts'
import { RunFile } from '../../../../agent/slices/index/run-file.ts'
import { readRunTrailer } from '../../../../agent/slices/index/run-format.ts'
import { RunWriter } from '../../../../agent/slices/index/run-writer.ts'
import { watchFileOperations } from '../../../support/machine/file-operations.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

/** Writes run 7 with this many rows: their digests are SHA-256 of "0", "1" and so on. Returns its path. */
async function writeRun(folder: TemporaryFolder, rows: number): Promise<string> {
  const path = folder.file('7.run')
  const batch = new RunBatch()
  for (let n = 0; n < rows; n++)
    batch.add({ digest: new Uint8Array(Bun.SHA256.hash(String(n)) as Uint8Array), pack: 2, offset: 0x1234567890ab, length: 0x30201 + n, storedLength: 0x10203 })
  await using writer = await RunWriter.create(path, 7, Math.max(1, rows))
  await batch.writeTo(writer)
  await writer.end()
  return path
}

const bytesOf = async (path: string): Promise<Buffer<ArrayBuffer>> => Buffer.from(await Bun.file(path).arrayBuffer())

/** Writes the checksum of a changed trailer: xxHash64 of its first 56 bytes. */
function seal(trailer: Buffer): Buffer {
  trailer.writeBigUInt64LE(Bun.hash.xxHash64(trailer.subarray(0, 56)), 56)
  return trailer
}

describe('a run', () => {
  test('has the bytes that docs/format.md describes', async () => {
    await using folder = await createTemporaryFolder()
    const bytes = await bytesOf(await writeRun(folder, 200))
    // Three blocks, three fences, and a filter of 12 bits for each row in blocks of 64 bytes.
    expect(bytes.length).toBe(3 * 4096 + 3 * 8 + 320 + 64)
    const digests = Array.from({ length: 200 }, (_, n) => Bun.SHA256.hash(String(n), 'hex')).toSorted()
    for (const [i, row] of [0, 85, 170, 199].entries()) {
      const at = [8, 4104, 8200, 8200 + 29 * 48][i] ?? 0
      expect(bytes.toString('hex', at, at + 32)).toBe(digests[row] ?? '')
      expect(bytes.readUInt32LE(at + 32)).toBe(2)
      expect(bytes.toString('hex', at + 36, at + 42)).toBe('ab9078563412')
      expect(bytes.readUIntLE(at + 42, 3)).toBe(0x30201 + Array.from({ length: 200 }, (_, n) => Bun.SHA256.hash(String(n), 'hex')).indexOf(digests[row] ?? ''))
      expect(bytes.toString('hex', at + 45, at + 48)).toBe('030201')
    }
    for (let block = 0; block < 3; block++) {
      const at = block * 4096
      expect(bytes.readBigUInt64LE(at)).toBe(Bun.hash.xxHash64(bytes.subarray(at + 8, at + 4096), 7n * 0x1_0000_0000n + BigInt(block)))
      expect(bytes.readDoubleLE(3 * 4096 + block * 8)).toBe(Number.parseInt((digests[block * 85] ?? '').slice(0, 12), 16))
    }
    // The last block is padded with zeros.
    expect(bytes.subarray(8200 + 30 * 48, 3 * 4096).every((byte) => byte === 0)).toBe(true)
    const trailer = bytes.subarray(-64)
    expect(trailer.toString('latin1', 0, 8)).toBe('SLIPWAYX')
    expect([8, 12].map((at) => trailer.readUInt32LE(at))).toEqual([1, 0])
    expect([16, 24, 32].map((at) => trailer.readBigUInt64LE(at))).toEqual([7n, 200n, 320n])
    const [fences, filter] = [bytes.subarray(3 * 4096, 3 * 4096 + 24), bytes.subarray(3 * 4096 + 24, -64)]
    expect(trailer.readBigUInt64LE(40)).toBe(Bun.hash.xxHash64(filter, Bun.hash.xxHash64(fences)))
    expect(trailer.readBigUInt64LE(48)).toBe(0n)
    expect(trailer.readBigUInt64LE(56)).toBe(Bun.hash.xxHash64(trailer.subarray(0, 56)))
    expect(Bun.SHA256.hash(bytes, 'hex')).toBe('9a1d32135a6a843d1d2553d14a33d9b88271f112afc27b939435c496ecbda4cf')
  })

  test.each([0, 1, 85, 86, 16_384])('of %i rows can be opened both ways, and has those rows only', async (rows) => {
    await using folder = await createTemporaryFolder()
    const path = await writeRun(folder, rows)
    using file = RunFile.open(path, 7)
    using later = await RunFile.openAsync(path, 7)
    for (const opened of [file, later]) {
      expect([opened.rows, opened.blocks]).toEqual([rows, { 0: 0, 1: 1, 85: 1, 86: 2, 16_384: 193 }[rows] ?? -1])
      for (const n of [0, rows - 1]) {
        const found = opened.find(Buffer.from(Bun.SHA256.hash(String(n)) as Uint8Array))
        expect(found).toEqual(n >= 0 && n < rows ? { pack: 2, offset: 0x1234567890ab, length: 0x30201 + n, storedLength: 0x10203 } : undefined)
      }
      expect(opened.find(Buffer.alloc(32))).toBeUndefined()
      expect(opened.find(Buffer.alloc(32, 255))).toBeUndefined()
    }
  })

  test('a batch has 16,384 rows at most', () => {
    const batch = new RunBatch()
    const row = { digest: new Uint8Array(32), pack: 1, offset: 16, length: 1, storedLength: 1 }
    for (let n = 0; n < 16_384; n++) batch.add(row)
    expect(batch.isFull).toBe(true)
    expect(() => batch.add(row)).toThrow('full')
  })

  test('is durable when it is complete: its bytes are synced after the last write, then its folder', async () => {
    await using folder = await createTemporaryFolder()
    const steps: string[] = []
    {
      using _watch = await watchFileOperations((name, when) => steps.push(`${name} ${when}`))
      await writeRun(folder, 1)
    }
    // Blocks, fences, filter, trailer.
    const write = ['write starts', 'write ends']
    const rest = ['datasync starts', 'datasync ends', 'sync starts', 'sync ends', 'close starts', 'close ends', 'close starts', 'close ends']
    expect(steps).toEqual([...write, ...write, ...write, ...write, ...rest])
  })

  test('is for its owner and group, and the end of its last block is zero, also after more blocks than are written at a time', async () => {
    await using folder = await createTemporaryFolder()
    const path = await writeRun(folder, 64 * 85 + 1)
    const bytes = await bytesOf(path)
    expect(bytes.subarray(64 * 4096 + 8 + 48, 65 * 4096).equals(Buffer.alloc(4096 - 8 - 48))).toBe(true)
    expect((await stat(path)).mode & 0o7777 & ~process.umask()).toBe(0o640 & ~process.umask())
  })

  test('that was not completed leaves no file', async () => {
    await using folder = await createTemporaryFolder()
    {
      await using writer = await RunWriter.create(folder.file('7.run'), 7, 1)
      writer.push(Buffer.alloc(48), 0)
    }
    expect(await Bun.file(folder.file('7.run')).exists()).toBe(false)
    await using _first = await RunWriter.create(folder.file('7.run'), 7, 1)
    await expect(RunWriter.create(folder.file('7.run'), 7, 1)).rejects.toMatchObject({ code: 'EEXIST' })
  })
})

describe('a run is refused', () => {
  test('when it is gone', async () => {
    await using folder = await createTemporaryFolder()
    expect(() => RunFile.open(folder.file('7.run'), 7)).toThrow(IndexUnusable)
  })

  test.each([0, 1, 63])('when it has %i bytes', async (length) => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('7.run'), new Uint8Array(length))
    expect(() => RunFile.open(folder.file('7.run'), 7)).toThrow('run 7 of the index has no valid trailer')
    await expect(RunFile.openAsync(folder.file('7.run'), 7)).rejects.toThrow('run 7 of the index has no valid trailer')
  })

  test('when a byte of its trailer was changed, although what it says is possible', async () => {
    await using folder = await createTemporaryFolder()
    const path = await writeRun(folder, 86)
    const bytes = await bytesOf(path)
    // The u64 before the checksum is not used.
    bytes.writeUInt8(1, bytes.length - 16)
    await Bun.write(path, bytes)
    expect(() => RunFile.open(path, 7)).toThrow('run 7 of the index has no valid trailer')
  })

  test('when its trailer says something else, even with the right checksum', async () => {
    await using folder = await createTemporaryFolder()
    const bytes = await bytesOf(await writeRun(folder, 86))
    const trailer = (): Buffer => Buffer.from(bytes.subarray(-64))
    expect(readRunTrailer(seal(trailer()), bytes.length)).toMatchObject({ run: 7, rows: 86, filterBytes: 192 })
    const changed = (change: (trailer: Buffer) => void): Buffer => {
      const copy = trailer()
      change(copy)
      return seal(copy)
    }
    for (const wrong of [
      changed((copy) => copy.write('SLIPWAYY', 'latin1')),
      changed((copy) => copy.writeUInt32LE(2, 8)),
      changed((copy) => copy.writeUInt32LE(0, 8)),
      changed((copy) => copy.writeBigUInt64LE(85n, 24)),
      changed((copy) => copy.writeBigUInt64LE(171n, 24)),
      changed((copy) => copy.writeBigUInt64LE(193n, 32)),
    ])
      expect(readRunTrailer(wrong, bytes.length)).toBeUndefined()
    expect(readRunTrailer(trailer(), bytes.length + 1)).toBeUndefined()
    expect(readRunTrailer(trailer(), bytes.length - 1)).toBeUndefined()
    expect(readRunTrailer(trailer().subarray(0, 63), bytes.length)).toBeUndefined()
    expect(readRunTrailer(Buffer.concat([trailer(), Buffer.alloc(1)]), bytes.length)).toBeUndefined()
  })

  test.each([
    ['a fence', 2 * 4096 + 3],
    ['the filter', 2 * 4096 + 16 + 3],
    ['the trailer', 2 * 4096 + 16 + 192 + 20],
  ])('when a byte of %s was changed', async (_what, at) => {
    await using folder = await createTemporaryFolder()
    const path = await writeRun(folder, 86)
    const bytes = await bytesOf(path)
    bytes[at] = (bytes[at] ?? 0) ^ 1
    await Bun.write(path, bytes)
    expect(() => RunFile.open(path, 7)).toThrow(IndexUnusable)
    await expect(RunFile.openAsync(path, 7)).rejects.toThrow(IndexUnusable)
  })
})
