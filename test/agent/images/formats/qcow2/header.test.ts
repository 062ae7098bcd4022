// The header of a qcow2, member by member: every bound at its last value and one past it.

import { describe, expect, test } from 'bun:test'
import { readHeader } from '../../../../../agent/images/formats/qcow2/header.ts'
import type { HeaderFinding } from '../../../../../agent/images/formats/qcow2/header.ts'

const CLUSTER = 65_536
const MIB = 1024 * 1024

interface Change {
  readonly version?: number
  readonly change?: (view: DataView) => void
  /** Bytes of the header that are there. */
  readonly there?: number
  readonly fileLength?: number
}

/** Reads a header: clusters of 64 KiB, a disk of 1 GiB, an L1 table of 2 entries in cluster 3 and a refcount table in cluster 1. */
function read({ version = 3, change = () => {}, there = 4096, fileLength = 10 * CLUSTER }: Change = {}): HeaderFinding {
  const bytes = new Uint8Array(4096)
  const view = new DataView(bytes.buffer)
  bytes.set(Buffer.from('514649fb', 'hex'))
  view.setUint32(4, version)
  view.setUint32(20, 16)
  view.setBigUint64(24, BigInt(1024 * MIB))
  view.setUint32(36, 2)
  view.setBigUint64(40, BigInt(3 * CLUSTER))
  view.setBigUint64(48, BigInt(CLUSTER))
  view.setUint32(56, 1)
  if (version > 2) {
    view.setUint32(96, 4)
    view.setUint32(100, 112)
  }
  change(view)
  return readHeader(bytes.subarray(0, there), fileLength)
}

const set = (at: number, value: number) => (view: DataView) => view.setUint32(at, value)
const set64 = (at: number, value: bigint) => (view: DataView) => view.setBigUint64(at, value)
const both =
  (...changes: readonly ((view: DataView) => void)[]) =>
  (view: DataView) => {
    for (const change of changes) change(view)
  }

const HEADER = {
  version: 3,
  clusterBits: 16,
  clusterSize: 65_536,
  virtualSize: 1_073_741_824,
  l1Offset: 196_608,
  l1Size: 2,
  refcountOffset: 65_536,
  refcountTableBytes: 65_536,
  refcountBits: 16,
  isExtended: false,
  compression: 'zlib',
  headerLength: 112,
  hasBitmaps: false,
} as const

describe('a header', () => {
  const found = (members: object = {}): object => ({ version: 3, virtualSize: 1_073_741_824, refusals: [], header: { ...HEADER, ...members } })

  test('says where the tables are', () => {
    expect(read()).toEqual(found() as HeaderFinding)
    expect(read({ change: set(56, 2) })).toEqual(found({ refcountTableBytes: 131_072 }) as HeaderFinding)
  })

  test('of version 2 has 72 bytes, refcounts of 16 bits, and no features', () => {
    const two = { ...found({ version: 2, headerLength: 72 }), version: 2 } as HeaderFinding
    expect(read({ version: 2 })).toEqual(two)
    expect(read({ version: 2, there: 72 })).toEqual(two)
    // What version 3 has behind it is something else here.
    const all = both(set64(72, 2n ** 64n - 1n), set64(88, 2n ** 64n - 1n), set(96, 99), set(100, 99), set(104, 99))
    expect(read({ version: 2, change: all })).toEqual(two)
  })

  test.each<[string, (view: DataView) => void, object]>([
    ['refcounts of one bit', set(96, 0), { refcountBits: 1 }],
    ['refcounts of 64 bits', set(96, 6), { refcountBits: 64 }],
    ['104 bytes', set(100, 104), { headerLength: 104 }],
    ['a whole cluster', set(100, 65_536), { headerLength: 65_536 }],
    ['bitmaps', set64(88, 1n), { hasBitmaps: true }],
    ['other features that can be ignored', both(set64(80, 2n ** 64n - 1n), set64(88, 2n ** 64n - 3n)), { hasBitmaps: true }],
    ['zstd', both(set64(72, 8n), set(104, 0x0100_0000)), { compression: 'zstd' }],
    ['subclusters', set64(72, 16n), { isExtended: true }],
    ['an L1 table in the second cluster', set64(40, 65_536n), { l1Offset: 65_536 }],
    ['a longer L1 table', set(36, 9), { l1Size: 9 }],
  ])('may have %s', (_what, change, members) => {
    const needed = both(set(36, 4), change)
    const l1Size = 'l1Size' in members ? {} : { l1Size: 4 }
    expect(read({ change: needed })).toEqual(found({ ...l1Size, ...members }) as HeaderFinding)
  })

  test('of an empty disk needs no L1 table', () => {
    const change = both(set64(24, 0n), set(36, 0), set64(40, 77n))
    expect(read({ change })).toEqual({ version: 3, virtualSize: 0, refusals: [], header: { ...HEADER, virtualSize: 0, l1Size: 0, l1Offset: 65_536 } })
  })
})

test('a header that is cut off is refused, and its members as far as they are there', () => {
  const CUT_OFF = 'its qcow2 header is cut off, so it cannot be checked'
  const size = 1_073_741_824
  expect(read({ there: 71 })).toEqual({ version: 0, virtualSize: null, header: null, refusals: [CUT_OFF] })
  expect(read({ there: 103 })).toEqual({ version: 3, virtualSize: size, header: null, refusals: [CUT_OFF] })
  expect(read({ there: 104 }).refusals).toEqual([])
  expect(read({ there: 72, version: 1 }).refusals).toEqual(['it is qcow2 of version 1, which is not supported'])
  expect(read({ version: 4 })).toEqual({ version: 4, virtualSize: size, header: null, refusals: ['it is qcow2 of version 4, which is not supported'] })
})

const COMPRESSION = 'its type of compression is not known'
const L1_OFFSET = 'its L1 table is at an impossible offset'
const L1_CUT = 'its L1 table is cut off, so it cannot be checked'
const REFCOUNT_OFFSET = 'its refcount table is at an impossible offset'
const REFCOUNT_CUT = 'its refcount table is cut off, so it cannot be checked'

describe('refusals', () => {
  test.each<[string, (view: DataView) => void, string]>([
    ['clusters of 256 bytes', set(20, 8), 'its clusters of 2^8 bytes are not possible in qcow2'],
    ['clusters of 4 MiB', set(20, 22), 'its clusters of 2^22 bytes are not possible in qcow2'],
    ['an offset of a backing file', set64(8, 1n), 'it has a backing file'],
    ['a far offset of a backing file', set64(8, 1n << 63n), 'it has a backing file'],
    ['a length of a backing file', set(16, 1), 'it has a backing file'],
    ['a great length of a backing file', set(16, 2 ** 31), 'it has a backing file'],
    ['encryption', set(32, 1), 'it is encrypted'],
    ['unknown encryption', set(32, 2 ** 31), 'it is encrypted'],
    ['a snapshot', set(60, 1), 'it has internal snapshots (1), which hold earlier data of its guest'],
    ['the dirty bit', set64(72, 1n), 'it was not closed properly (its dirty bit is set)'],
    ['the corrupt bit', set64(72, 2n), 'it is marked as corrupt'],
    ['an external file', set64(72, 4n), 'it keeps its data in an external file'],
    ['an external file that is raw', both(set64(72, 4n), set64(88, 2n)), 'it keeps its data in an external file'],
    ['the flag of a raw external file', set64(88, 2n), 'it claims to have a raw external file'],
    ['an unknown feature', set64(72, 32n), 'it needs features that are not known'],
    ['the last unknown feature', set64(72, 1n << 63n), 'it needs features that are not known'],
    ['a type of compression without its feature', set(104, 0x0100_0000), COMPRESSION],
    ['compression 2', both(set64(72, 8n), set(104, 0x0200_0000)), COMPRESSION],
    ['the feature of compression without a type', set64(72, 8n), COMPRESSION],
    ['the feature of compression in a short header', both(set64(72, 8n), set(104, 0x0100_0000), set(100, 104)), COMPRESSION],
    ['a header of 96 bytes', set(100, 96), 'its header length of 96 bytes is not possible'],
    ['a header of 108 bytes', set(100, 108), 'its header length of 108 bytes is not possible'],
    ['a header longer than a cluster', set(100, 65_544), 'its header length of 65544 bytes is not possible'],
    ['a virtual size of 2^53', set64(24, 2n ** 53n), 'its virtual size is beyond all bounds'],
    ['an L1 table that is too short', set(36, 1), 'its L1 table of 1 entries is too short for its virtual size'],
    ['a byte more than the L1 table has', set64(24, 1_073_741_825n), 'its L1 table of 2 entries is too short for its virtual size'],
    ['subclusters with half as many entries', both(set64(72, 16n), set(36, 3)), 'its L1 table of 3 entries is too short for its virtual size'],
    ['an L1 table of 32 MiB', set(36, 4_194_304), L1_CUT],
    ['an L1 table of 32 MiB and an entry', set(36, 4_194_305), 'its L1 table of 4194305 entries is longer than 33554432 bytes'],
    ['an L1 table at the start', set64(40, 0n), L1_OFFSET],
    ['an L1 table in the header', set64(40, 512n), L1_OFFSET],
    ['an L1 table between clusters', set64(40, 196_609n), L1_OFFSET],
    ['an L1 table at 2^63', set64(40, 1n << 63n), L1_OFFSET],
    ['an L1 table after the end', set64(40, 655_360n), L1_CUT],
    ['refcounts of 128 bits', set(96, 7), 'its refcounts of 2^7 bits are not possible'],
    ['no refcount table', set(56, 0), 'it has no refcount table'],
    ['a refcount table of 8 MiB', set(56, 128), REFCOUNT_CUT],
    ['a refcount table of 8 MiB and a cluster', set(56, 129), 'its refcount table is longer than 8388608 bytes'],
    ['a refcount table at the start', set64(48, 0n), REFCOUNT_OFFSET],
    ['a refcount table between clusters', set64(48, 65_537n), REFCOUNT_OFFSET],
  ])('%s', (_what, change, refusal) => {
    const found = read({ change })
    expect([found.header, found.refusals]).toEqual([null, [refusal]])
  })

  test('are listed together', () => {
    const change = both(set64(8, 1n), set(32, 1), set64(72, 3n), set(36, 1), set(56, 0))
    expect(read({ change }).refusals).toEqual([
      'it has a backing file',
      'it is encrypted',
      'it was not closed properly (its dirty bit is set)',
      'it is marked as corrupt',
      'its L1 table of 1 entries is too short for its virtual size',
      'it has no refcount table',
    ])
    expect(read({ change: both(set(32, 1), set64(24, 2n ** 64n - 1n)) }).refusals).toEqual(['it is encrypted', 'its virtual size is beyond all bounds'])
  })
})

test('tables are whole: the file may end with them', () => {
  expect(read({ fileLength: 3 * CLUSTER + 16 }).refusals).toEqual([])
  expect(read({ fileLength: 3 * CLUSTER + 15 }).refusals).toEqual([L1_CUT])
  const swapped = both(set64(40, 65_536n), set64(48, 196_608n))
  expect(read({ change: swapped, fileLength: 4 * CLUSTER }).refusals).toEqual([])
  expect(read({ change: swapped, fileLength: 4 * CLUSTER - 1 }).refusals).toEqual([REFCOUNT_CUT])
})

describe('clusters', () => {
  /** A disk of one cluster, with its tables in the clusters of this size. */
  const clusters = (bits: number, extended = false): HeaderFinding =>
    read({
      fileLength: 2 ** 24,
      change: both(set(20, bits), set64(24, 512n), set(36, 1), set64(40, BigInt(3 * 2 ** bits)), set64(48, BigInt(2 ** bits)), set64(72, extended ? 16n : 0n)),
    })

  test('have 512 bytes to 2 MiB', () => {
    expect(clusters(9).header).toMatchObject({ clusterBits: 9, clusterSize: 512, refcountTableBytes: 512 })
    expect(clusters(21).header).toMatchObject({ clusterBits: 21, clusterSize: 2_097_152, refcountTableBytes: 2_097_152 })
  })

  test('with subclusters have 16 KiB at least', () => {
    expect(clusters(14, true).header).toMatchObject({ clusterSize: 16_384, isExtended: true })
    expect(clusters(13, true).refusals).toEqual(['its clusters are too small for subclusters'])
    expect(clusters(13).refusals).toEqual([])
  })
})

test('a type of compression is read from a header of 112 bytes that is there', () => {
  const zstd = both(set64(72, 8n), set(104, 0x0100_0000))
  expect(read({ change: zstd, there: 112 }).refusals).toEqual([])
  expect(read({ change: zstd, there: 111 }).refusals).toEqual([COMPRESSION])
  expect(read({ change: both(zstd, set(100, 120)) }).header?.compression).toBe('zstd')
})
