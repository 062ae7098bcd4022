// Reading packs from bytes in memory: how much is read at a time, what is a torn tail, and where the walk goes on after damage.

import { describe, expect, test } from 'bun:test'
import { encodePackFooter, encodePackHeader } from '../../../../agent/slices/packs/pack-format.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { readPack, readSealed, readSealedRows, walkPack } from '../../../../agent/slices/packs/pack-scan.ts'
import type { PackContents } from '../../../../agent/slices/packs/pack-scan.ts'
import { checksumOf, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { createMemoryDiskFile } from '../../../support/memory/memory-disk-file.ts'
import { createRandom } from '../../../support/properties.ts'

const MIB = 1024 * 1024

/** A record of these bytes: a header of 64 bytes, then the bytes. */
function recordOf(slice: Buffer, isCompressed = false): Buffer {
  const header = Buffer.alloc(64)
  const digest = Bun.SHA256.hash(slice) as Uint8Array
  const stored = isCompressed ? Bun.zstdCompressSync(slice) : slice
  writeRecordHeader(header, 0, { digest, codec: isCompressed ? 1 : 0, length: slice.length, storedLength: stored.length, checksum: checksumOf(stored) })
  return Buffer.concat([header, stored])
}

const noise = (seed: number, bytes: number): Buffer => createRandom(seed).bytes(bytes)
const packOf = (...parts: Buffer[]): Buffer => Buffer.concat([encodePackHeader(), ...parts])
/** Rows of records of this length that follow each other. */
const rowsOf = (records: readonly Buffer[]): PackRow[] =>
  records.map((record, i) => ({
    digest: new Uint8Array(record.subarray(24, 56)),
    offset: records.slice(0, i).reduce((sum, one) => sum + one.length, 16),
    length: record.length - 64,
    storedLength: record.length - 64,
  }))
const sealedOf = (records: readonly Buffer[]): Buffer => {
  const bytes = packOf(...records)
  return Buffer.concat([bytes, encodePackFooter(rowsOf(records), bytes.length)])
}
const plain = (rows: readonly PackRow[]): unknown[] => rows.map((row) => ({ ...row, digest: Buffer.from(row.digest).toString('hex') }))
const offsets = ({ rows }: { rows: readonly PackRow[] }): number[] => rows.map(({ offset }) => offset)
const badOf = ({ bad }: PackContents): [number, number][] => bad.map(({ offset, length }) => [offset, length])

const small = recordOf(noise(1, 100))
const other = recordOf(noise(2, 200))
const compressed = recordOf(Buffer.alloc(500, 'a'), true)

describe('a walk', () => {
  /** A record of which only the first bytes are there. */
  const torn = (bytes: number): Buffer => recordOf(noise(3, 100)).subarray(0, bytes)
  const magic = Buffer.from('SLR1')

  // Columns: rows, bad stretches, the end of the last record, and the bytes after it.
  test.each<[string, Buffer, number[], [number, number][], number, number]>([
    ['an empty file', Buffer.alloc(0), [], [], 0, 0],
    ['half a header', packOf().subarray(0, 8), [], [], 8, 0],
    ['a header', packOf(), [], [], 16, 0],
    ['a byte after the header', packOf(Buffer.alloc(1)), [], [], 16, 1],
    ['whole records', packOf(small, other), [16, 180], [], 444, 0],
    ['a torn header', packOf(small, torn(63)), [16], [], 180, 63],
    ['a header without bytes', packOf(small, torn(64)), [16], [], 180, 64],
    ['a record that lacks its last byte', packOf(small, torn(163)), [16], [], 180, 163],
    ['one byte between records', packOf(small, Buffer.alloc(1), other), [16, 181], [[180, 1]], 445, 0],
    ['one byte before all records', packOf(Buffer.alloc(1), other), [17], [[16, 1]], 281, 0],
    ['what looks like the beginning of a record', packOf(magic, magic, Buffer.alloc(3), other), [27], [[16, 11]], 291, 0],
    ['a compressed record after damage', packOf(Buffer.alloc(1), compressed), [17], [[16, 1]], 17 + compressed.length, 0],
    ['a torn record after damage', packOf(Buffer.alloc(5), small, torn(70)), [21], [[16, 5]], 185, 70],
  ])('of %s', async (_what, bytes, rows, bad, end, tornBytes) => {
    const found = await walkPack(createMemoryDiskFile(bytes).file)
    expect([offsets(found), badOf(found), found.end, found.tornBytes]).toEqual([rows, bad, end, tornBytes])
  })

  test('finds a record after more damage than it searches at a time, also across the end of such a part', async () => {
    // The search begins at 17 and has 4 MiB and 64 bytes at a time, of which the last 64 are searched again.
    for (const shift of [-64, -63, -1, 0, 1, 63, 64]) {
      const at = 17 + 4 * MIB + shift
      const found = await walkPack(createMemoryDiskFile(packOf(Buffer.alloc(at - 16), small)).file)
      expect([offsets(found), badOf(found)]).toEqual([[at], [[16, at - 16]]])
    }
  })

  test('reads the longest record whole, and 4 MiB and a header at a time', async () => {
    const longest = recordOf(Buffer.alloc(4 * MIB, 'x'))
    const { file, reads } = createMemoryDiskFile(packOf(longest, small, other))
    expect(offsets(await walkPack(file))).toEqual([16, 4_194_384, 4_194_548])
    expect(reads).toEqual([
      [16, 4_194_368],
      [4_194_384, 4_194_368],
    ])
  })
})

describe('a sealed pack', () => {
  test('is read by its table, and its headers 32 KiB at a time', async () => {
    // The first 200 headers are within 32 KiB, and so are the next 200. The last header ends where these end, or a byte after.
    const cases: [bytes: number, further: [number, number][]][] = [
      [4, []],
      [5, [[65_521, 32_768]]],
    ]
    for (const [bytes, further] of cases) {
      const records = Array.from({ length: 401 }, (_, n) => recordOf(noise(n, n === 399 ? bytes : 100)))
      const pack = sealedOf(records)
      const { file, reads } = createMemoryDiskFile(pack)
      const found = await readPack(file)
      expect({ ...found, rows: plain(found.rows) }).toEqual({
        rows: plain(rowsOf(records)),
        sealed: true,
        end: pack.length - 401 * 48 - 32,
        tornBytes: 0,
        bad: [],
        faults: [],
      })
      // Header, trailer and table; then headers of records.
      expect(reads).toEqual([[0, 16], [pack.length - 32, 32], [pack.length - 32 - 401 * 48, 401 * 48], [16, 32_768], [32_816, 32_768], ...further])
    }
  })

  test('that is empty has a header and a trailer; a shorter file has no table', async () => {
    const empty = sealedOf([])
    expect(empty.length).toBe(48)
    expect(await readSealed(createMemoryDiskFile(empty).file, 48)).toEqual({ rows: [], end: 16 })
    for (const length of [0, 16, 31, 32, 47]) {
      const file = createMemoryDiskFile(empty.subarray(0, length)).file
      expect([length, await readSealed(file, length), (await readPack(file)).sealed]).toEqual([length, undefined, false])
    }
  })

  test('whose table is damaged still gives its rows, record by record', async () => {
    const bytes = sealedOf([small, other])
    expect(offsets({ rows: await readSealedRows(createMemoryDiskFile(bytes).file) })).toEqual([16, 180])
    bytes.writeUInt8(bytes.readUInt8(450) ^ 1, 450)
    expect(offsets({ rows: await readSealedRows(createMemoryDiskFile(bytes).file) })).toEqual([16, 180])
  })

  test('reports a fault of its header, however it is read', async () => {
    for (const pack of [sealedOf([small]), packOf(small)]) {
      pack.write('X')
      expect((await readPack(createMemoryDiskFile(pack).file)).faults).toEqual(['the pack does not begin with SLIPWAYP'])
    }
  })
})
