// Dirty bitmaps of qcow2 in a file that is made by hand: clusters of 64 KiB; the directory is cluster 1, the table of a bitmap begins at cluster 2.

import { expect, test } from 'bun:test'
import { claimBitmaps } from '../../../../../agent/images/formats/qcow2/bitmaps.ts'
import { createClusterMap } from '../../../../../agent/images/formats/qcow2/cluster-map.ts'
import type { Qcow2Header } from '../../../../../agent/images/formats/qcow2/header.ts'
import { createProbe } from '../../../../../agent/images/formats/probe.ts'
import { probeOf } from '../../../../support/images/probed.ts'
import { createManualClock } from '../../../../support/memory/manual-clock.ts'

const CLUSTER = 65_536
const CLUSTERS = 80

interface Entry {
  readonly at?: number
  readonly table?: number
  readonly size: number
  readonly name?: number
  readonly extra?: number
}

/** Claims bitmaps with these entries; `tables` are values of 8 bytes at positions of the file. Returns the refusal and the clusters in use. */
async function claim(entries: readonly Entry[], tables: readonly (readonly [at: number, value: number])[], directoryBytes = 2048) {
  const bytes = new Uint8Array(CLUSTERS * CLUSTER)
  const view = new DataView(bytes.buffer)
  let at = CLUSTER
  for (const { table = 2 * CLUSTER, size, name = 1, extra = 0 } of entries) {
    view.setBigUint64(at, BigInt(table))
    view.setUint32(at + 8, size)
    view.setUint16(at + 18, name)
    view.setUint32(at + 20, extra)
    at += Math.ceil((24 + name + extra) / 8) * 8
  }
  for (const [position, value] of tables) view.setBigUint64(position, BigInt(value))
  const image = {
    length: bytes.byteLength,
    async readInto(offset: number, buffer: Uint8Array) {
      const piece = bytes.subarray(offset, offset + buffer.byteLength)
      buffer.set(piece)
      return piece.byteLength
    },
  }
  const map = createClusterMap(CLUSTERS)
  if (!map) throw new Error('no map')
  // Only the size of clusters is read.
  const header: Pick<Qcow2Header, 'clusterSize'> = { clusterSize: CLUSTER }
  const claiming = { probe: createProbe(image, { clock: createManualClock() }), header: header as Qcow2Header, map }
  const refusal = await claimBitmaps(claiming, { count: entries.length, offset: CLUSTER, bytes: directoryBytes })
  return { refusal, used: Array.from({ length: CLUSTERS }, (_, i) => i).filter((i) => map.isUsed(i)) }
}

test('the clusters of the directory, of the tables and of the bitmaps are claimed', async () => {
  const tables = [
    [2 * CLUSTER, 0],
    [2 * CLUSTER + 8, 1],
    [2 * CLUSTER + 16, 50 * CLUSTER],
    [3 * CLUSTER, 51 * CLUSTER],
  ] as const
  const entries = [{ size: 3 }, { table: 3 * CLUSTER, size: 1, name: 1023, extra: 8 }]
  expect(await claim(entries, tables)).toEqual({ refusal: undefined, used: [1, 2, 3, 50, 51] })
})

test('a table that is longer than one read is read to its end', async () => {
  // 2,100,000 bytes of table: clusters 2 to 34.
  const size = 262_500
  const last = 2 * CLUSTER + (size - 1) * 8
  // What follows it in its last cluster is no part of it.
  const after = [1, 2, 3].map((i) => [last + i * 8, 3] as const)
  const { refusal, used } = await claim([{ size }], [[last, 60 * CLUSTER], ...after])
  expect([refusal, used.length, used.at(-1)]).toEqual([undefined, 35, 60])
})

test('a table and a bitmap may be beyond 4 GiB, and a walk ends at any of its pauses', async () => {
  const far = 2 ** 32
  const entry = new DataView(new ArrayBuffer(32))
  entry.setBigUint64(0, BigInt(far + CLUSTER))
  entry.setUint32(8, 1)
  entry.setUint16(18, 1)
  const table = new DataView(new ArrayBuffer(8))
  table.setBigUint64(0, BigInt(far + 3 * CLUSTER))
  const probe = probeOf(far + 4 * CLUSTER, [CLUSTER, new Uint8Array(entry.buffer)], [far + CLUSTER, new Uint8Array(table.buffer)])
  const claimFar = async (stopAt = -1): Promise<readonly [string | undefined, readonly boolean[], number]> => {
    const map = createClusterMap(65_540)
    if (!map) throw new Error('no map')
    let pauses = 0
    const spend = (): Promise<void> | undefined => (++pauses === stopAt ? Promise.reject(new Error('stop')) : undefined)
    const claiming = { probe: { ...probe, spend }, header: { clusterSize: CLUSTER } as Qcow2Header, map }
    const refusal = await claimBitmaps(claiming, { count: 1, offset: CLUSTER, bytes: 32 })
    return [refusal, [1, 65_536, 65_537, 65_538, 65_539].map((cluster) => map.isUsed(cluster)), pauses]
  }
  expect(await claimFar()).toEqual([undefined, [true, false, true, false, true], 2])
  for (const stopAt of [1, 2]) await expect(claimFar(stopAt)).rejects.toThrow('stop')
})

/** The last cluster of the file, in two tables. */
const twice = [2, 3].map((cluster) => [cluster * CLUSTER, 79 * CLUSTER] as const)

test.each<[string, readonly Entry[], readonly (readonly [number, number])[], string]>([
  ['a name of 0 bytes', [{ size: 1, name: 0 }], [], 'a dirty bitmap is not valid'],
  ['a name of 1024 bytes', [{ size: 1, name: 1024 }], [], 'a dirty bitmap is not valid'],
  ['extra data of 2049 bytes', [{ size: 1, extra: 2049 }], [], 'a dirty bitmap is not valid'],
  ['a table of 2^27 + 1 entries', [{ size: 0x800_0001 }], [], 'a dirty bitmap is not valid'],
  ['a table of 2^27 entries, which is valid but not in the file,', [{ size: 0x800_0000 }], [], 'the table of a dirty bitmap is not valid'],
  ['a table at the first byte', [{ size: 1, table: 0 }], [], 'the table of a dirty bitmap is not valid'],
  ['a table of one byte too many', [{ size: 78 * 8192 + 1 }], [], 'the table of a dirty bitmap is not valid'],
  ['a table in the cluster of the list', [{ size: 1, table: CLUSTER }], [], 'the table of a dirty bitmap is not valid'],
  ['the last cluster for two bitmaps', [{ size: 1 }, { table: 3 * CLUSTER, size: 1 }], twice, 'a dirty bitmap uses a cluster that is used twice'],
  ['a table beyond the end', [{ size: 1, table: CLUSTERS * CLUSTER }], [], 'the table of a dirty bitmap is not valid'],
  ['a table between clusters', [{ size: 1, table: 2 * CLUSTER + 512 }], [], 'the table of a dirty bitmap is not valid'],
  ['an entry of 2', [{ size: 1 }], [[2 * CLUSTER, 2]], 'a dirty bitmap is beyond the end of the file'],
  ['a cluster beyond the end', [{ size: 1 }], [[2 * CLUSTER, CLUSTERS * CLUSTER]], 'a dirty bitmap is beyond the end of the file'],
  ['a cluster far beyond the end', [{ size: 1 }], [[2 * CLUSTER, 2 ** 40]], 'a dirty bitmap is beyond the end of the file'],
  ['the cluster of its table', [{ size: 1 }], [[2 * CLUSTER, 2 * CLUSTER]], 'a dirty bitmap uses a cluster that is used twice'],
])('%s is refused', async (_what, entries, tables, refusal) => {
  expect((await claim(entries, tables)).refusal).toBe(refusal)
})

test('entries that end behind the directory are refused', async () => {
  expect((await claim([{ size: 1 }], [], 32)).refusal).toBeUndefined()
  expect((await claim([{ size: 1 }], [], 31)).refusal).toBe('its list of dirty bitmaps is not valid')
})

test('extra data of 2048 bytes is passed over, and a table may fill the rest of the file', async () => {
  const entries = [
    { size: 1, extra: 2048 },
    { table: 3 * CLUSTER, size: 77 * 8192 },
  ]
  const { refusal, used } = await claim(entries, [[2 * CLUSTER, 0]], 4096)
  expect([refusal, used.length, used.at(-1)]).toEqual([undefined, 79, 79])
})

test('a list that is not in the file or is cut off is refused', async () => {
  const listed = [{ size: 1 }]
  expect((await claim(listed, [], 79 * CLUSTER)).refusal).toBe('the table of a dirty bitmap is not valid')
  expect((await claim(listed, [], 79 * CLUSTER + 1)).refusal).toBe('its list of dirty bitmaps is not valid')
  expect((await claim(listed, [], 24)).refusal).toBe('its list of dirty bitmaps is not valid')
  expect((await claim(listed, [], 23)).refusal).toBe('its list of dirty bitmaps is cut off, so it cannot be checked')
})
