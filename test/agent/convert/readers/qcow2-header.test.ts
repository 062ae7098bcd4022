// The header of qcow2 as the reader takes it: every bound at its last value and one past it.

import { expect, test } from 'bun:test'
import { createFilePages } from '../../../../agent/convert/file-pages.ts'
import { readQcow2Header } from '../../../../agent/convert/readers/qcow2-header.ts'

/** The file has 1 MiB. */
const LENGTH = 1024 * 1024
const GIB = 1024 ** 3

interface Fields {
  readonly magic?: number
  readonly version?: number
  readonly backing?: bigint
  readonly clusterBits?: number
  readonly size?: bigint
  readonly encryption?: number
  readonly l1Entries?: number
  readonly l1Offset?: bigint
  readonly features?: bigint
  readonly compression?: number
  /** Length of the file. */
  readonly length?: number
}

/** Reads the header of a disk of 1 GiB with clusters of 64 KiB, which needs 2 entries of L1. */
async function read(fields: Fields = {}) {
  const { magic = 0x5146_49fb, version = 3, backing = 0n, clusterBits = 16, size = BigInt(GIB), encryption = 0, l1Entries = 2 } = fields
  const { l1Offset = 65_536n, features = 0n, compression = 0, length = LENGTH } = fields
  const header = Buffer.alloc(128)
  header.writeUInt32BE(magic, 0)
  header.writeUInt32BE(version, 4)
  header.writeBigUInt64BE(backing, 8)
  header.writeUInt32BE(clusterBits, 20)
  header.writeBigUInt64BE(size, 24)
  header.writeUInt32BE(encryption, 32)
  header.writeUInt32BE(l1Entries, 36)
  header.writeBigUInt64BE(l1Offset, 40)
  header.writeBigUInt64BE(features, 72)
  header.writeUInt8(compression, 104)
  const file = {
    length,
    async *read(start: number, end: number) {
      const bytes = new Uint8Array(end - start)
      if (start === 0) bytes.set(header.subarray(0, end))
      yield bytes
    },
  }
  return readQcow2Header(createFilePages(file as unknown as Parameters<typeof createFilePages>[0]), length)
}

test('a header says how the disk is read', async () => {
  const usual = { size: GIB, clusterBits: 16, cluster: 65_536, l1Offset: 65_536, l1Entries: 2, entryBytes: 8, codec: 'deflate', hasZeroFlag: true } as const
  expect(await read()).toEqual(usual)
  // More entries than the disk needs are not read.
  expect(await read({ l1Entries: 1000 })).toEqual(usual)
  // The dirty bit changes nothing for a reader. Version 2 has no features, and no flag of zeros.
  expect(await read({ features: 1n })).toEqual(usual)
  expect(await read({ version: 2, features: 2n ** 64n - 1n, compression: 9 })).toEqual({ ...usual, hasZeroFlag: false })
  expect(await read({ features: 8n })).toEqual(usual)
  expect(await read({ features: 8n, compression: 1 })).toEqual({ ...usual, codec: 'zstd' })
  // Without the feature, the byte of the compression means nothing.
  expect(await read({ compression: 1 })).toEqual(usual)
  expect(await read({ features: 16n, l1Entries: 4 })).toEqual({ ...usual, entryBytes: 16, l1Entries: 4, hasZeroFlag: false })
})

test.each<[string, Fields]>([
  ['clusters of 512 bytes', { clusterBits: 9, size: 32_768n, l1Entries: 1 }],
  ['clusters of 2 MiB', { clusterBits: 21, l1Entries: 1 }],
  ['subclusters of 16 KiB', { clusterBits: 14, size: 2n ** 24n, features: 16n, l1Entries: 1 }],
  ['an L1 table to the end of the file', { l1Offset: BigInt(LENGTH - 16) }],
  ['no disk at all, and a table at the end', { size: 0n, l1Entries: 0, l1Offset: BigInt(LENGTH) }],
  ['a file of 72 bytes, and no disk', { version: 2, length: 72, size: 0n, l1Entries: 0, l1Offset: 0n }],
])('%s may be read', async (_what, fields) => {
  expect((await read(fields)).l1Offset).toBe(Number(fields.l1Offset ?? 65_536n))
})

test.each<[string, Fields, string]>([
  ['another magic', { magic: 0x5146_49fc }, 'it does not begin with the header of a qcow2 image'],
  ['version 1', { version: 1 }, 'its version is 1'],
  ['version 4', { version: 4 }, 'its version is 4'],
  ['clusters of 256 bytes', { clusterBits: 8 }, 'its clusters have 8 bits'],
  ['clusters of 4 MiB', { clusterBits: 22 }, 'its clusters have 22 bits'],
  ['a backing file', { backing: 1n }, 'it needs a backing file'],
  ['encryption', { encryption: 1 }, 'it is encrypted'],
  ['the corrupt bit', { features: 2n }, 'it has features that change how it is read'],
  ['an external file', { features: 4n }, 'it has features that change how it is read'],
  ['a feature of the high half', { features: 2n ** 32n }, 'it has features that change how it is read'],
  ['compression of another kind', { features: 8n, compression: 2 }, 'it has features that change how it is read'],
  ['subclusters of 8 KiB', { clusterBits: 13, features: 16n }, 'its clusters are too short for subclusters'],
  ['a size of 2^53', { size: 2n ** 53n }, 'its L1 table lies outside of the file'],
  ['a table after the end of the file', { size: 0n, l1Offset: BigInt(LENGTH + 1) }, 'its L1 table lies outside of the file'],
  ['a table of a byte too many', { l1Offset: BigInt(LENGTH - 15) }, 'its L1 table lies outside of the file'],
  ['a byte more than its entries have', { size: BigInt(GIB) + 1n }, 'its L1 table has 2 entries and needs 3'],
])('%s is refused', async (_what, fields, fault) => {
  await expect(read(fields)).rejects.toMatchObject({ code: 'unsafe-image' })
  await expect(read(fields)).rejects.toThrow(fault)
})
