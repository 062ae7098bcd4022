// The two levels of tables of a qcow2, entry by entry: clusters of 512 bytes unless a test says otherwise, so an L2 table has 64 entries.

import { describe, expect, test } from 'bun:test'
import type { ImageProbe } from '../../../../../agent/images/formats/format.ts'
import { createClusterMap } from '../../../../../agent/images/formats/qcow2/cluster-map.ts'
import type { Qcow2Header } from '../../../../../agent/images/formats/qcow2/header.ts'
import { l2TablesOf, readL1, walkL2 } from '../../../../../agent/images/formats/qcow2/tables.ts'
import { probeOf, strictProbe } from '../../../../support/images/probed.ts'
import type { Patch } from '../../../../support/images/probed.ts'

const COPIED = 1n << 63n
const COMPRESSED = 1n << 62n

function headerOf(members: Partial<Qcow2Header> = {}): Qcow2Header {
  const { clusterBits = 9 } = members
  return {
    version: 3,
    clusterBits,
    clusterSize: 2 ** clusterBits,
    virtualSize: 4 * 64 * 512,
    l1Offset: 512,
    l1Size: 4,
    refcountOffset: 0,
    refcountTableBytes: 0,
    refcountBits: 16,
    isExtended: false,
    compression: 'zlib',
    headerLength: 112,
    hasBitmaps: false,
    ...members,
  }
}

function words(...values: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 8)
  const view = new DataView(bytes.buffer)
  for (const [i, value] of values.entries()) view.setBigUint64(i * 8, value)
  return bytes
}

describe('an L1 table', () => {
  async function read(entries: readonly bigint[], header: Partial<Qcow2Header> = {}, length = 8 * 512): Promise<number[] | string> {
    const found = await readL1(probeOf(length, [512, words(...entries)]), headerOf(header))
    return typeof found === 'string' ? found : [...found]
  }

  test('names tables by their clusters', async () => {
    expect(await read([1024n, COPIED | 1536n, 0n, COPIED])).toEqual([2, 3, 0, 0])
    expect(await read([1024n, 0n, 0n, 3584n])).toEqual([2, 0, 0, 7])
    // What follows the table is not read.
    expect(await read([1024n, 1n], { l1Size: 1 })).toEqual([2])
    const eight = [1024n, 1536n, 2048n, 2560n, 3072n, 3584n, 0n, 0n]
    expect(await read([...eight, 1n], { l1Size: 8, virtualSize: 8 * 64 * 512 })).toEqual([2, 3, 4, 5, 6, 7, 0, 0])
    expect(await read([], { l1Size: 0 })).toEqual([])
    expect(await read([2n ** 32n + 1024n], {}, 2 ** 33)).toEqual([8_388_610, 0, 0, 0])
    expect(await read([2n ** 32n + 2n ** 31n], {}, 2 ** 33)).toEqual([12_582_912, 0, 0, 0])
  })

  test.each<[bigint, string]>([
    [1025n, 'an entry of its L1 table has reserved bits'],
    [1024n + 256n, 'an entry of its L1 table has reserved bits'],
    [1n, 'an entry of its L1 table has reserved bits'],
    [1024n + (1n << 56n), 'an entry of its L1 table has reserved bits'],
    [1024n + COMPRESSED, 'an entry of its L1 table has reserved bits'],
    [4096n, 'an L2 table is beyond the end of the file'],
    [1n << 32n, 'an L2 table is beyond the end of the file'],
    [1n << 55n, 'an L2 table is beyond the end of the file'],
  ])('does not have the entry %p', async (entry, refusal) => {
    expect(await read([0n, entry])).toBe(refusal)
  })

  test('names clusters, which are whole', async () => {
    const header = { clusterBits: 10, l1Offset: 512 } as const
    expect(await read([2048n], header)).toEqual([2, 0, 0, 0])
    expect(await read([1536n], header)).toBe('an L2 table is not at the start of a cluster')
    expect(await read([3584n], {}, 8 * 512 - 1)).toBe('an L2 table is beyond the end of the file')
  })

  test('has entries for the virtual size only', async () => {
    const BEYOND = 'its L1 table has entries beyond its virtual size'
    expect(await read([0n, 1024n], { virtualSize: 2 * 64 * 512 })).toEqual([0, 2, 0, 0])
    expect(await read([0n, 0n, 1024n], { virtualSize: 2 * 64 * 512 })).toBe(BEYOND)
    expect(await read([0n, 0n, 1024n], { virtualSize: 2 * 64 * 512 + 1 })).toEqual([0, 0, 2, 0])
    // Tables of 32 entries of 16 bytes.
    expect(await read([0n, 0n, 1024n], { virtualSize: 2 * 64 * 512, isExtended: true })).toEqual([0, 0, 2, 0])
    expect(await read([0n, 0n, 1024n], { virtualSize: 2 * 32 * 512, isExtended: true })).toBe(BEYOND)
  })

  test('may be longer than one read, and pauses after each', async () => {
    const SIZE = 8193
    const inner = probeOf(300 * 512, [512 + 8191 * 8, words(1024n, 1536n, 1n)])
    const header = headerOf({ l1Size: SIZE, virtualSize: SIZE * 64 * 512 })
    const walked = strictProbe(inner)
    const found = await readL1(walked.probe, header)
    if (typeof found === 'string') throw new Error(found)
    expect([found.length, found[8190], found[8191], found[8192]]).toEqual([8193, 0, 2, 3])
    expect([walked.reads.map(([at]) => at), walked.pauses()]).toEqual([[512, 512 + 65_536], 2])
    for (const stopAt of [1, 2]) await expect(readL1(strictProbe(inner, stopAt).probe, header)).rejects.toThrow('stop')
  })

  test('that the file does not give is cut off', async () => {
    const short: ImageProbe = { length: 4096, readAt: async () => new Uint8Array(7), spend: () => undefined }
    expect(await readL1(short, headerOf())).toBe('its L1 table is cut off, so it cannot be checked')
  })
})

interface Walk {
  readonly header?: Partial<Qcow2Header>
  /** Clusters of the L2 tables. */
  readonly l1?: readonly number[]
  readonly clusters?: number
  /** Bytes that are missing in the last cluster. */
  readonly cut?: number
}

/** Walks tables with these words at these positions. Returns the totals, or the refusal, and the clusters in use. */
async function walk(entries: readonly (readonly [at: number, ...values: bigint[]])[], { header = {}, l1 = [2], clusters = 16, cut = 0 }: Walk = {}) {
  const members = headerOf(header)
  const length = clusters * members.clusterSize - cut
  const { probe } = strictProbe(probeOf(length, ...entries.map(([at, ...values]): Patch => [at, words(...values)])))
  const map = createClusterMap(clusters)
  if (!map) throw new Error('no map')
  const found = await walkL2(probe, members, l2TablesOf(probe, members, Uint32Array.from(l1)), map)
  if (typeof found === 'string') return found
  const used: number[] = []
  for (let cluster = 0; cluster < Math.min(clusters, 1000); cluster++) if (map.isUsed(cluster)) used.push(cluster)
  return { ...found, used }
}

const RESERVED = 'an entry of an L2 table has reserved bits'
const TWICE = 'a cluster is used twice'
const BEYOND = 'a data cluster is beyond the end of the file'
const TABLE = 1024

describe('an entry of an L2 table', () => {
  test('names a cluster of data, or of zeros, or none', async () => {
    const none = { allocatedBytes: 0, compressedClusters: 0, used: [2] }
    expect(await walk([])).toEqual(none)
    expect(await walk([[TABLE, 1n, 0n, 1n]])).toEqual(none)
    expect(await walk([[TABLE, COPIED | 2560n, 3072n]])).toEqual({ allocatedBytes: 1024, compressedClusters: 0, used: [2, 5, 6] })
    expect(await walk([[TABLE, COPIED | 2561n, 3072n]])).toEqual({ allocatedBytes: 512, compressedClusters: 0, used: [2, 5, 6] })
    // The last entry of the table, and what is after it.
    expect(await walk([[TABLE + 63 * 8, 2560n, 3072n]])).toEqual({ allocatedBytes: 512, compressedClusters: 0, used: [2, 5] })
  })

  test('has no flag of zeros in version 2', async () => {
    const header = { version: 2 } as const
    expect(await walk([[TABLE, 0n, 2560n]], { header })).toEqual({ allocatedBytes: 512, compressedClusters: 0, used: [2, 5] })
    expect(await walk([[TABLE, 1n]], { header })).toBe(RESERVED)
    expect(await walk([[TABLE, 2561n]], { header })).toBe(RESERVED)
  })

  test.each<[string, bigint, string]>([
    ['bit 1', 2562n, RESERVED],
    ['bit 1 alone', 2n, RESERVED],
    ['bit 8', 2560n + 256n, RESERVED],
    ['bit 56', 2560n + (1n << 56n), RESERVED],
    ['bit 61', 2560n + (1n << 61n), RESERVED],
    ['the header', COPIED, 'an entry of an L2 table names the header as data'],
    ['the end of the file', 16n * 512n, BEYOND],
    ['4 GiB', 1n << 32n, BEYOND],
    ['bit 55', 1n << 55n, BEYOND],
    ['its own table', 1024n, TWICE],
  ])('is refused with %s', async (_what, entry, refusal) => {
    expect(await walk([[TABLE, entry]])).toBe(refusal)
  })

  test('may name the last cluster of the file, which may be incomplete', async () => {
    const whole = { allocatedBytes: 512, compressedClusters: 0, used: [2, 15] }
    expect(await walk([[TABLE, 7680n]])).toEqual(whole)
    expect(await walk([[TABLE, 7680n]], { cut: 511 })).toEqual(whole)
    expect(await walk([[TABLE, 2560n]], { header: { clusterBits: 10 }, l1: [1] })).toBe('a data cluster is not at the start of a cluster')
  })

  test('names no cluster that another one names', async () => {
    expect(await walk([[TABLE, 2560n, 3072n, 2560n]])).toBe(TWICE)
    expect(await walk([[TABLE, 2560n, 2561n]])).toBe(TWICE)
  })
})

describe('compressed data', () => {
  const used = (...clusters: number[]) => ({ allocatedBytes: 512, compressedClusters: 1, used: [2, ...clusters] })
  const FURTHER = 1n << 61n
  const SHARED = 'a compressed cluster is marked as not shared'
  const OUTSIDE = 'compressed data is beyond the end of the file'

  test('is at any byte, and may reach into further sectors', async () => {
    expect(await walk([[TABLE, COMPRESSED | 2570n]])).toEqual(used(5))
    expect(await walk([[TABLE, COMPRESSED | 3071n]])).toEqual(used(5))
    expect(await walk([[TABLE, COMPRESSED | FURTHER | 2570n]])).toEqual(used(5, 6))
    expect(await walk([[TABLE, COMPRESSED | 512n]])).toEqual({ allocatedBytes: 512, compressedClusters: 1, used: [1, 2] })
    expect(await walk([[TABLE, COMPRESSED | 511n]])).toBe('compressed data overlaps the header')
    expect(await walk([[TABLE, COMPRESSED | COPIED | 2570n]])).toBe(SHARED)
  })

  test('is inside the file, which may end in its last sector', async () => {
    expect(await walk([[TABLE, COMPRESSED | 7700n]])).toEqual(used(15))
    expect(await walk([[TABLE, COMPRESSED | 7680n]], { cut: 511 })).toEqual(used(15))
    expect(await walk([[TABLE, COMPRESSED | 7681n]], { cut: 511 })).toBe(OUTSIDE)
    expect(await walk([[TABLE, COMPRESSED | FURTHER | 7700n]])).toBe(OUTSIDE)
    expect(await walk([[TABLE, COMPRESSED | FURTHER | 7100n]])).toEqual(used(13, 14))
    expect(await walk([[TABLE, COMPRESSED | FURTHER | 7200n]], { cut: 511 })).toEqual(used(14, 15))
    expect(await walk([[TABLE, COMPRESSED | FURTHER | 7200n]], { cut: 512 })).toBe(OUTSIDE)
    expect(await walk([[TABLE, COMPRESSED | (1n << 60n) | 2570n]])).toBe(OUTSIDE)
    expect(await walk([[TABLE, COMPRESSED | (1n << 32n) | 2570n]])).toBe(OUTSIDE)
  })

  test('has an offset of 54 bits and a count of 8 bits with clusters of 64 KiB', async () => {
    const header = { clusterBits: 16 }
    const entry = (sectors: bigint, offset: bigint): bigint => COMPRESSED | (sectors << 54n) | offset
    const found = async (value: bigint): Promise<unknown> => {
      const walked = await walk([[65_536, value]], { header, l1: [1], clusters: 8 })
      return typeof walked === 'string' ? walked : walked.used
    }
    expect(await found(entry(0n, 131_072n))).toEqual([1, 2])
    expect(await found(entry(127n, 131_072n))).toEqual([1, 2])
    expect(await found(entry(128n, 131_072n))).toEqual([1, 2, 3])
    expect(await found(entry(255n, 131_072n))).toEqual([1, 2, 3])
    expect(await found(entry(1n, 196_607n))).toEqual([1, 2, 3])
    expect(await found(entry(0n, 1n << 53n))).toBe(OUTSIDE)
  })

  test('shares clusters with other compressed data, and with nothing else', async () => {
    expect(await walk([[TABLE, COMPRESSED | 2570n, COMPRESSED | 2600n]])).toEqual({ allocatedBytes: 1024, compressedClusters: 2, used: [2, 5] })
    expect(await walk([[TABLE, COMPRESSED | 2570n, 2560n]])).toBe(TWICE)
    expect(await walk([[TABLE, 2560n, COMPRESSED | 2570n]])).toBe(TWICE)
    expect(await walk([[TABLE, COMPRESSED | 1030n]])).toBe(TWICE)
  })

  test.each([
    // With clusters of 64 KiB, and so many tables, which are all of the file but its first cluster and a last one with the data.
    ['zlib', 1, 3 * 1032],
    ['zstd', 6, 8 * 6000],
  ] as const)('of %s in a file with %i tables belongs to %i clusters at most', async (compression, tables, count) => {
    const l1 = Array.from({ length: tables }, (_, i) => i + 1)
    const clusters = tables + 2
    const entries = (many: number) => [[65_536, ...Array.from({ length: many }, () => COMPRESSED | BigInt((clusters - 1) * 65_536))]] as const
    const walked = (many: number) => walk(entries(many), { header: { clusterBits: 16, compression }, l1, clusters })
    expect(await walked(count)).toMatchObject({ compressedClusters: count })
    expect(await walked(count + 1)).toBe('it has more compressed clusters than its length allows')
  })
})

describe('an entry with subclusters', () => {
  const header = { isExtended: true }
  const found = (allocatedBytes: number, ...used: number[]) => ({ allocatedBytes, compressedClusters: 0, used: [2, ...used] })

  test('counts those that are allocated, 16 bytes each', async () => {
    expect(await walk([[TABLE, 2560n, 0xffff_ffffn]], { header })).toEqual(found(512, 5))
    expect(await walk([[TABLE, 2560n, 1n, COPIED | 3072n, 0x8000_0001n]], { header })).toEqual(found(48, 5, 6))
    expect(await walk([[TABLE, 2560n, 0xffff_fffe_0000_0001n]], { header })).toEqual(found(16, 5))
    expect(await walk([[TABLE, 0n, 0xffff_ffff_0000_0000n]], { header })).toEqual(found(0))
    expect(await walk([[TABLE + 31 * 16, 2560n, 1n, 3072n, 1n]], { header })).toEqual(found(16, 5))
  })

  test.each<[string, bigint, bigint, string]>([
    ['allocated without a cluster', 0n, 1n, 'a subcluster is allocated without a cluster'],
    ['allocated and zero', 2560n, 0x0000_0002_0000_0003n, 'a subcluster is both allocated and zero'],
    ['a flag of zeros', 2561n, 1n, RESERVED],
    ['a reserved bit', 2562n, 1n, RESERVED],
    ['zeros of compressed data', COMPRESSED | 2570n, 1n << 32n, 'a compressed cluster has subclusters'],
    ['allocated in compressed data', COMPRESSED | 2570n, 1n, 'a compressed cluster has subclusters'],
    ['compressed data of its own', COPIED | COMPRESSED | 2570n, 0n, 'a compressed cluster is marked as not shared'],
    ['the header', COPIED, 1n, 'an entry of an L2 table names the header as data'],
    ['a cluster beyond the end', 8192n, 1n, BEYOND],
  ])('is refused with %s', async (_what, entry, subclusters, refusal) => {
    expect(await walk([[TABLE, entry, subclusters]], { header })).toBe(refusal)
  })

  test('may name compressed data', async () => {
    expect(await walk([[TABLE, COMPRESSED | 2570n, 0n, 3072n, 3n]], { header })).toEqual({ allocatedBytes: 544, compressedClusters: 1, used: [2, 5, 6] })
  })
})

describe('several tables', () => {
  test('are read in the order of the file, each 64 KiB once', async () => {
    const members = headerOf()
    const inner = probeOf(300 * 512, ...[2, 7, 8, 9, 130, 260].map((table, i): Patch => [table * 512, words(BigInt((20 + i) * 512))]))
    const { probe, reads } = strictProbe(inner)
    const map = createClusterMap(300)
    if (!map) throw new Error('no map')
    const found = await walkL2(probe, members, l2TablesOf(probe, members, Uint32Array.of(130, 9, 0, 2, 260, 7, 8)), map)
    expect(found).toEqual({ allocatedBytes: 6 * 512, compressedClusters: 0 })
    expect(reads.map(([at]) => at)).toEqual([0, 65_536, 131_072])
    for (const cluster of [2, 7, 8, 9, 130, 260, 20, 21, 22, 23, 24, 25]) expect(map.isUsed(cluster)).toBe(true)
    expect([map.isUsed(3), map.isUsed(19), map.isUsed(26)]).toEqual([false, false, false])
  })

  test('are different ones, and no data', async () => {
    expect(await walk([], { l1: [2, 3, 2] })).toBe(TWICE)
    expect(await walk([], { l1: [2, 0, 0, 3] })).toMatchObject({ used: [2, 3] })
    expect(await walk([], { l1: [0] })).toEqual({ allocatedBytes: 0, compressedClusters: 0, used: [] })
    expect(await walk([], { l1: [] })).toEqual({ allocatedBytes: 0, compressedClusters: 0, used: [] })
    expect(await walk([[TABLE, 1536n]], { l1: [2, 3] })).toBe(TWICE)
    expect(await walk([[1536, 1024n]], { l1: [2, 3] })).toBe(TWICE)
  })

  test('may be longer than one read', async () => {
    // Clusters of 128 KiB: the second half of a table is another read.
    const header = { clusterBits: 17 }
    const last = 2 * 131_072 - 8
    expect(
      await walk(
        [
          [131_072, 3n * 131_072n],
          [last, 4n * 131_072n],
        ],
        { header, l1: [1], clusters: 8 },
      ),
    ).toEqual({
      allocatedBytes: 262_144,
      compressedClusters: 0,
      used: [1, 3, 4],
    })
  })

  test('may be anywhere in a file of more than 32 million clusters', async () => {
    const edge = 2 ** 25
    const at = (cluster: number, value: number) => [cluster * 512, BigInt(value * 512)] as const
    const walked = (l1: readonly number[], ...entries: (readonly [number, bigint])[]) => walk(entries, { l1, clusters: 2 * edge + 100 })
    expect(await walked([2, edge - 1, edge, 2 * edge + 3], at(2, 10), at(edge - 1, 11), at(edge, 12), at(2 * edge + 3, 13))).toMatchObject({
      allocatedBytes: 2048,
      used: [2, 10, 11, 12, 13],
    })
    expect(await walked([edge, edge])).toBe(TWICE)
    // A table of the first part says nothing about the same place in the second one.
    expect(await walked([2, edge + 1, edge + 3], [(edge + 2) * 512, 2n])).toMatchObject({ used: [2] })
  })
})

test('the bits of tables take an eighth of the clusters, and 4 MiB at most', () => {
  const bytesOf = (length: number): number => l2TablesOf(probeOf(length), headerOf(), new Uint32Array(0)).order.byteLength
  expect([bytesOf(1), bytesOf(8 * 512), bytesOf(8 * 512 + 1), bytesOf(2 ** 34), bytesOf(2 ** 40)]).toEqual([1, 1, 2, 4_194_304, 4_194_304])
})

test('a walk pauses in long L1 tables, in long stretches without tables, and after each table, and ends at any of these pauses', async () => {
  // 65,537 entries of L1: two pauses. Tables in cluster 2 and 524,296: two pauses between them, and one after each.
  const l1 = new Uint32Array(65_537)
  l1[0] = 524_296
  l1[65_536] = 2
  const members = headerOf()
  const run = async (stopAt = -1): Promise<number> => {
    const { probe, pauses } = strictProbe(probeOf(524_300 * 512), stopAt)
    const map = createClusterMap(524_300)
    if (!map) throw new Error('no map')
    const walked = walkL2(probe, members, l2TablesOf(probe, members, l1), map)
    if (stopAt < 0) expect(await walked).toEqual({ allocatedBytes: 0, compressedClusters: 0 })
    else await expect(walked).rejects.toThrow('stop')
    return pauses()
  }
  expect(await run()).toBe(6)
  for (const stopAt of [1, 2, 3, 4, 5, 6]) expect(await run(stopAt)).toBe(stopAt)
})
