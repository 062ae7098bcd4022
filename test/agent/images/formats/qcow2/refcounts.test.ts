// Refcounts of qcow2 of every width: each cluster in use must have one, in the block and at the bits that count it. Clusters have 512 bytes.

import { describe, expect, test } from 'bun:test'
import { createClusterMap } from '../../../../../agent/images/formats/qcow2/cluster-map.ts'
import type { Qcow2Header } from '../../../../../agent/images/formats/qcow2/header.ts'
import { checkRefcounts, claimRefcountBlocks, readRefcountTable } from '../../../../../agent/images/formats/qcow2/refcounts.ts'
import { createProbe } from '../../../../../agent/images/formats/probe.ts'
import { probeOf as sparseProbeOf } from '../../../../support/images/probed.ts'
import { createManualClock } from '../../../../support/memory/manual-clock.ts'

const CLUSTER = 512
/** The table is cluster 1, with 64 entries. */
const TABLE = { refcountOffset: CLUSTER, refcountTableBytes: CLUSTER, clusterSize: CLUSTER }

function probeOf(bytes: Uint8Array) {
  const image = {
    length: bytes.byteLength,
    async readInto(offset: number, buffer: Uint8Array) {
      const piece = bytes.subarray(offset, offset + buffer.byteLength)
      buffer.set(piece)
      return piece.byteLength
    },
  }
  return createProbe(image, { clock: createManualClock() })
}

/** Reads the table of a file of 8 clusters with these entries. */
async function read(entries: readonly bigint[], length = 8 * CLUSTER) {
  const bytes = new Uint8Array(8 * CLUSTER)
  const view = new DataView(bytes.buffer)
  for (const [i, entry] of entries.entries()) view.setBigUint64(CLUSTER + i * 8, entry)
  const table = await readRefcountTable(probeOf(bytes.subarray(0, length)), TABLE as Qcow2Header)
  return typeof table === 'string' ? table : [...table.slice(0, 4)]
}

describe('the table', () => {
  test('names blocks by their clusters, up to the last one of the file', async () => {
    expect(await read([1024n, 0n, 1536n, 3584n])).toEqual([2, 0, 3, 7])
  })

  test.each<[string, bigint, string]>([
    ['a reserved bit', 1025n, 'an entry of its refcount table has reserved bits'],
    ['the last reserved bit', 1024n + 256n, 'an entry of its refcount table has reserved bits'],
    ['the end of the file', 4096n, 'a refcount block is beyond the end of the file'],
    ['an offset of more than 32 bits', 2n ** 32n + 1024n, 'a refcount block is beyond the end of the file'],
  ])('with %s is refused', async (_what, entry, refusal) => {
    expect(await read([entry])).toBe(refusal)
  })

  test('that the file does not have whole is refused', async () => {
    expect(await read([], CLUSTER + 7)).toBe('its refcount table is cut off, so it cannot be checked')
    expect(await read([1024n], 3 * CLUSTER - 1)).toBe('a refcount block is beyond the end of the file')
    expect(await read([1024n], 3 * CLUSTER)).toEqual([2, 0, 0, 0])
  })
})

/** A probe whose pause of this number rejects, and the count of its pauses. */
function pausing(probe: ReturnType<typeof probeOf>, stopAt: number): { readonly probe: typeof probe; count(): number } {
  let pauses = 0
  return { probe: { ...probe, spend: () => (++pauses === stopAt ? Promise.reject(new Error('stop')) : undefined) }, count: () => pauses }
}

function word(value: bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(8))
  view.setBigUint64(0, value)
  return new Uint8Array(view.buffer)
}

describe('a long table', () => {
  // 2 MiB are read at once; the table has 4 KiB more.
  const BYTES = 2 * 1024 * 1024 + 4096
  const header = { ...TABLE, refcountTableBytes: BYTES } as Qcow2Header
  const probe = sparseProbeOf(2 ** 33, [CLUSTER + BYTES - 8, word(2n ** 32n + 1024n)], [CLUSTER + BYTES, word(1n)], [CLUSTER + 2 * 1024 * 1024, word(1024n)])

  test('is read to its end, and no further; its blocks may be beyond 4 GiB', async () => {
    const table = await readRefcountTable(probe, header)
    if (typeof table === 'string') throw new Error(table)
    expect([table.length, table[262_143], table[262_144], table[262_655]]).toEqual([262_656, 0, 2, 8_388_610])
  })

  test('is left at any pause: after each read, and at each 65,536 blocks', async () => {
    const walked = pausing(probe, -1)
    await readRefcountTable(walked.probe, header)
    expect(walked.count()).toBe(2)
    for (const stopAt of [1, 2]) await expect(readRefcountTable(pausing(probe, stopAt).probe, header)).rejects.toThrow('stop')
    const map = createClusterMap(8)
    if (!map) throw new Error('no map')
    const claimed = pausing(probe, -1)
    expect(await claimRefcountBlocks(claimed.probe, new Uint32Array(65_537), map)).toBeUndefined()
    expect(claimed.count()).toBe(2)
    for (const stopAt of [1, 2]) await expect(claimRefcountBlocks(pausing(probe, stopAt).probe, new Uint32Array(65_537), map)).rejects.toThrow('stop')
  })
})

test('a block is at the start of a cluster', async () => {
  const header = { refcountOffset: 1024, refcountTableBytes: 1024, clusterSize: 1024 } as Qcow2Header
  const table = await readRefcountTable(sparseProbeOf(8192, [1024, word(2048n)]), header)
  if (typeof table === 'string') throw new Error(table)
  expect([table[0], table[1]]).toEqual([2, 0])
  expect(await readRefcountTable(sparseProbeOf(8192, [1024, word(2560n)]), header)).toBe('a refcount block is not at the start of a cluster')
})

test('each block is a cluster of its own', async () => {
  const claim = async (...blocks: number[]): Promise<string | undefined> => {
    const map = createClusterMap(8)
    if (!map) throw new Error('no map')
    return claimRefcountBlocks(probeOf(new Uint8Array(0)), Uint32Array.from(blocks), map)
  }
  expect(await claim(2, 0, 3, 0)).toBeUndefined()
  expect(await claim(2, 0, 3, 2)).toBe('a refcount block uses a cluster that is used twice')
})

/** Checks a file of 300 clusters whose first and second block are clusters 2 and 3; `counts` are bytes of the blocks that are not 0. */
async function check(refcountBits: number, used: readonly number[], counts: readonly (readonly [at: number, byte: number])[], blocks = [2, 3]) {
  const bytes = new Uint8Array(300 * CLUSTER)
  for (const [at, byte] of counts) bytes[2 * CLUSTER + at] = byte
  const map = createClusterMap(300)
  if (!map) throw new Error('no map')
  for (const cluster of used) map.claim(cluster)
  return checkRefcounts(probeOf(bytes), { ...TABLE, refcountBits } as Qcow2Header, Uint32Array.from(blocks), map)
}

const UNCOUNTED = 'a cluster in use has a refcount of 0'

describe.each<[bits: number, cluster: number, at: number, byte: number, others: number]>([
  // The bits of a cluster, and the other bits of that byte.
  [1, 9, 1, 0b0000_0010, 0b1111_1101],
  [2, 9, 2, 0b0000_0100, 0b1111_0011],
  [4, 9, 4, 0b0001_0000, 0b0000_1111],
  [4, 8, 4, 0b0000_1000, 0b1111_0000],
  [8, 9, 9, 0b1000_0000, 0],
  [16, 9, 18, 1, 0],
  [16, 9, 19, 1, 0],
  [32, 9, 36, 1, 0],
  [32, 9, 39, 1, 0],
  [64, 9, 72, 1, 0],
  [64, 9, 79, 1, 0],
])('a refcount of %i bits of cluster %i', (bits, cluster, at, byte, others) => {
  test(`is in byte ${at}`, async () => {
    expect(await check(bits, [cluster], [[at, byte]])).toBeUndefined()
    expect(await check(bits, [cluster], [[at, others]])).toBe(UNCOUNTED)
    expect(
      await check(
        bits,
        [cluster],
        [
          [at - 1 - ((bits / 8) | 0), 0xff],
          [at + 1 + ((bits / 8) | 0), 0xff],
        ],
      ),
    ).toBe(UNCOUNTED)
    expect(await check(bits, [], [])).toBeUndefined()
  })
})

test('the second block counts what is after the first one', async () => {
  // 16 bits: 256 clusters in a block. Cluster 255 is the last of the first block, and 256 the first of the second.
  const both = [
    [510, 1],
    [512, 1],
  ] as const
  expect(await check(16, [255, 256], both)).toBeUndefined()
  expect(await check(16, [255, 256], [[510, 1]])).toBe(UNCOUNTED)
  expect(await check(16, [255, 256], [[512, 1]])).toBe(UNCOUNTED)
  expect(await check(16, [255, 299], [...both, [512 + 86, 1]])).toBeUndefined()
  // Without a block, no cluster has a refcount.
  expect(await check(16, [256], both, [2, 0])).toBe(UNCOUNTED)
  expect(await check(16, [255], both, [2, 0])).toBeUndefined()
  expect(await check(16, [256], both, [2])).toBe(UNCOUNTED)
})

test('a block counts its own clusters only, and the header is no block', async () => {
  // The first block is missing: only its own clusters would need it.
  expect(await check(16, [256], [[512, 1]], [0, 3])).toBeUndefined()
  expect(await check(16, [255], [[510 - 2 * CLUSTER, 1]], [0, 3])).toBe(UNCOUNTED)
  // 4 bits: 1024 clusters in a block. Clusters 0 and 1024 are the first ones of theirs.
  const map = createClusterMap(2000)
  if (!map) throw new Error('no map')
  for (const cluster of [0, 1024]) map.claim(cluster)
  const checked = (...counted: readonly number[]) =>
    checkRefcounts(
      sparseProbeOf(2000 * CLUSTER, ...counted.map((cluster) => [cluster * CLUSTER, Uint8Array.of(1)] as const)),
      { ...TABLE, refcountBits: 4 } as Qcow2Header,
      Uint32Array.of(2, 3),
      map,
    )
  expect([await checked(2, 3), await checked(2), await checked(3)]).toEqual([undefined, UNCOUNTED, UNCOUNTED])
})

test('a check pauses before each block and after each 65,536 clusters, and ends at any of these pauses', async () => {
  // Clusters of 8 KiB and refcounts of one bit: 65,536 clusters in a block; of the second, one is in use.
  const header = { clusterSize: 8192, refcountBits: 1 } as Qcow2Header
  const inner = sparseProbeOf(2 ** 31, [2 * 8192, Uint8Array.of(0xff)], [3 * 8192, Uint8Array.of(0xff)])
  const run = async (stopAt: number): Promise<readonly [string | undefined, number]> => {
    const map = createClusterMap(100_000)
    if (!map) throw new Error('no map')
    map.claim(65_537)
    const walked = pausing(inner, stopAt)
    return [await checkRefcounts(walked.probe, header, Uint32Array.of(2, 3), map), walked.count()]
  }
  expect(await run(-1)).toEqual([undefined, 3])
  for (const stopAt of [1, 2, 3]) await expect(run(stopAt)).rejects.toThrow('stop')
})

test('a block of more than 65,536 clusters is checked to its end', async () => {
  // Clusters of 16 KiB and refcounts of one bit: 131,072 clusters in a block.
  const header = { clusterSize: 16_384, refcountBits: 1 } as Qcow2Header
  const run = (counts: number): Promise<string | undefined> => {
    const map = createClusterMap(131_072)
    if (!map) throw new Error('no map')
    for (const cluster of [65_535, 65_536, 131_071]) map.claim(cluster)
    const at = 2 * 16_384
    const probe = sparseProbeOf(2 ** 31, [at + 8191, Uint8Array.of(0x80)], [at + 8192, Uint8Array.of(counts & 1)], [at + 16_383, Uint8Array.of(counts & 0x80)])
    return checkRefcounts(probe, header, Uint32Array.of(2), map)
  }
  expect([await run(0x81), await run(0x80), await run(0x01)]).toEqual([undefined, UNCOUNTED, UNCOUNTED])
})
