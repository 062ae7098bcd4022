// The bytes of a pack: those of version 1, written field by field as docs/format.md has them, and what is refused at each bound.

import { describe, expect, test } from 'bun:test'
import { writePackFooter } from '../../../../agent/slices/packs/pack-footer.ts'
import { encodePackFooter, encodePackHeader, packHeaderFault, readToc, readTrailer } from '../../../../agent/slices/packs/pack-format.ts'
import { recordFault } from '../../../../agent/slices/packs/record-check.ts'
import { readRecordHeader, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { createMemoryDiskFile } from '../../../support/memory/memory-disk-file.ts'

const hash = (bytes: Uint8Array): bigint => Bun.hash.xxHash64(bytes)
const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(Bun.SHA256.hash(bytes) as Uint8Array)

describe('the header of a record', () => {
  const written = { digest: sha256(Buffer.from('x')), codec: 1, length: 0x030201, storedLength: 0x020100, checksum: 0x0807_0605_0403_0201n }
  const header = Buffer.alloc(64)
  writeRecordHeader(header, 0, written)

  test('has its fields where the format says', () => {
    expect(header.toString('latin1', 0, 4)).toBe('SLR1')
    expect(header.toString('hex', 4, 24)).toBe('0100000001020300000102000102030405060708')
    expect(Buffer.from(header.subarray(24, 56)).equals(written.digest)).toBe(true)
    expect(header.readBigUInt64LE(56)).toBe(hash(header.subarray(0, 56)))
  })

  test.each<[string, (copy: Buffer) => void, boolean]>([
    ['as it is', () => {}, true],
    ['codec 0', (copy) => copy.writeUInt8(0, 4), true],
    ['codec 2', (copy) => copy.writeUInt8(2, 4), false],
    ['a reserved byte', (copy) => copy.writeUInt8(1, 7), false],
    ['another magic', (copy) => copy.writeUInt8(0x32, 3), false],
    ['4 MiB', (copy) => copy.writeUInt32LE(4 * 1024 * 1024, 8), true],
    ['4 MiB and a byte', (copy) => copy.writeUInt32LE(4 * 1024 * 1024 + 1, 8), false],
    ['no bytes', (copy) => void (copy.writeUInt32LE(0, 8), copy.writeUInt32LE(0, 12)), false],
    ['as many stored bytes', (copy) => copy.writeUInt32LE(0x030201, 12), true],
    ['one stored byte more', (copy) => copy.writeUInt32LE(0x030202, 12), false],
  ])('with %s', (_what, change, isValid) => {
    const copy = Buffer.concat([Buffer.alloc(3), header])
    change(copy.subarray(3))
    copy.writeBigUInt64LE(hash(copy.subarray(3, 59)), 59)
    expect(readRecordHeader(copy, 3) !== undefined).toBe(isValid)
    copy.writeBigUInt64LE(hash(copy.subarray(3, 59)) ^ 1n, 59)
    expect(readRecordHeader(copy, 3)).toBeUndefined()
  })
})

describe('a record', () => {
  const slice = Buffer.from('the bytes of a slice')
  const recordOf = (stored: Uint8Array, codec = 0, digest = sha256(slice), length = slice.length): Buffer => {
    const record = Buffer.alloc(64)
    writeRecordHeader(record, 0, { digest, codec, length, storedLength: stored.length, checksum: hash(stored) })
    return Buffer.concat([Buffer.alloc(16), record, stored])
  }
  const row = { digest: sha256(slice), offset: 16, length: slice.length, storedLength: slice.length }
  const whole = recordOf(slice)
  const changed = (at: number): Buffer => {
    const copy = Buffer.from(whole)
    copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
    return copy
  }

  test.each<[string, Buffer, string | undefined]>([
    ['whole', whole, undefined],
    ['cut off', whole.subarray(0, -1), 'its record is cut off'],
    ['with a changed header', changed(30), 'its record has no valid header'],
    ['with a changed last byte', changed(whole.length - 1), 'its checksum does not match'],
    ['of another slice', recordOf(slice, 0, sha256(Buffer.from('y'))), 'its record has another slice'],
    ['of another length', Buffer.concat([recordOf(slice.subarray(1), 0, row.digest, slice.length), Buffer.alloc(1)]), 'its record has another slice'],
    ['whose bytes are not those of the slice', recordOf(Buffer.alloc(slice.length)), 'its SHA-256 does not match'],
    ['that does not decompress', recordOf(slice, 1), 'it does not decompress'],
  ])('%s', async (_what, bytes, fault) => {
    expect(await recordFault(createMemoryDiskFile(bytes).file, row)).toBe(fault)
  })
})

describe('the frame of a pack', () => {
  const rows = [
    { digest: sha256(Buffer.from('a')), offset: 16, length: 0x0201, storedLength: 0x0101 },
    { digest: sha256(Buffer.from('b')), offset: 337, length: 9, storedLength: 8 },
  ]
  const footer = encodePackFooter(rows, 409)
  const [table, trailer] = [footer.subarray(0, 96), footer.subarray(96)]

  test('has its fields where the format says', () => {
    expect(encodePackHeader().toString('hex')).toBe('534c4950574159500100000000000000')
    expect(footer.length).toBe(128)
    expect(Buffer.from(footer.subarray(0, 32)).equals(rows[0]?.digest ?? footer)).toBe(true)
    expect(footer.toString('hex', 32, 48)).toBe('10000000000000000102000001010000')
    expect(footer.toString('hex', 80, 96)).toBe('51010000000000000900000008000000')
    expect(trailer.toString('latin1', 0, 8)).toBe('SLIPWAYT')
    expect(trailer.readBigUInt64LE(8)).toBe(409n)
    expect(trailer.readBigUInt64LE(16)).toBe(hash(table))
    expect(trailer.readUInt32LE(24)).toBe(2)
    expect(BigInt(trailer.readUInt32LE(28))).toBe(hash(trailer.subarray(0, 28)) & 0xffff_ffffn)
  })

  test('a header is refused with another magic, another version or a reserved bit', () => {
    const changed = (at: number): Buffer => {
      const header = encodePackHeader()
      header.writeUInt8(header.readUInt8(at) ^ 2, at)
      return header
    }
    expect(packHeaderFault(Buffer.concat([encodePackHeader(), Buffer.alloc(4)]))).toBeUndefined()
    expect(packHeaderFault(changed(7))).toBe('does not begin with SLIPWAYP')
    expect(packHeaderFault(encodePackHeader().subarray(0, 15))).toBe('does not begin with SLIPWAYP')
    expect(packHeaderFault(changed(8))).toBe('has version 3, but this agent reads 1')
    expect(packHeaderFault(changed(12))).toBe('has bytes set in its header that must be zero')
  })

  test('a trailer is refused anywhere else, and with more records than a pack may have', () => {
    expect(readTrailer(trailer, 537)).toEqual({ offset: 409, count: 2, checksum: hash(table) })
    for (const length of [536, 538]) expect(readTrailer(trailer, length)).toBeUndefined()
    const withCount = (count: number): Buffer => {
      const copy = Buffer.from(trailer)
      copy.writeUInt32LE(count, 24)
      copy.writeUInt32LE(Number(hash(copy.subarray(0, 28)) & 0xffff_ffffn), 28)
      return copy
    }
    expect(readTrailer(withCount(1_048_576), 409 + 1_048_576 * 48 + 32)).toMatchObject({ count: 1_048_576 })
    expect(readTrailer(withCount(1_048_577), 409 + 1_048_577 * 48 + 32)).toBeUndefined()
  })

  test('a trailer has 32 bytes that begin with SLIPWAYT', () => {
    expect(readTrailer(trailer.subarray(1), 536)).toBeUndefined()
    expect(readTrailer(Buffer.concat([trailer, Buffer.alloc(1)]), 537)).toBeUndefined()
    const copy = Buffer.from(trailer)
    copy.write('SLIPWAYP', 'latin1')
    copy.writeUInt32LE(Number(hash(copy.subarray(0, 28)) & 0xffff_ffffn), 28)
    expect(readTrailer(copy, 537)).toBeUndefined()
  })

  test('a row must end before the table', () => {
    const read = (end: number): unknown => readToc(encodePackFooter(rows, end).subarray(0, 96), { offset: end, count: 2, checksum: hash(table) })
    expect(read(409)).toEqual(rows)
    expect(read(408)).toBeUndefined()
    expect(readToc(table, { offset: 409, count: 2, checksum: hash(table) ^ 1n })).toBeUndefined()
  })

  test('is written after the records are durable, and is durable then', async () => {
    const { file, steps, bytes } = createMemoryDiskFile(Buffer.alloc(409))
    expect(await writePackFooter(file, rows, 409)).toBe(537)
    expect(steps).toEqual(['sync', 'write 128 at 409', 'sync'])
    expect(bytes().subarray(409).equals(footer)).toBe(true)
  })
})
