// Refcounts of qcow2 of every width: each cluster in use must have one, in the block and at the bits that count it. Clusters have 512 bytes.

import { describe, expect, test } from 'bun:test'
import { createClusterMap } from '../../../../../agent/images/formats/qcow2/cluster-map.ts'
import type { Qcow2Header } from '../../../../../agent/images/formats/qcow2/header.ts'
import { checkRefcounts, claimRefcountBlocks, readRefcountTable } from '../../../../../agent/images/formats/qcow2/refcounts.ts'
import { createProbe } from '../../../../../agent/images/formats/probe.ts'
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
