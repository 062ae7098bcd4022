// The frame of the checks of a qcow2: what is recognised, what it says about the disk, and that no two tables share a cluster.

import { describe, expect, test } from 'bun:test'
import { detectQcow2 } from '../../../../../agent/images/formats/qcow2/qcow2.ts'
import { buildQcow2, changedQcow2, putExtension } from '../../../../support/images/qcow2-image.ts'
import type { Qcow2File, Qcow2Options } from '../../../../support/images/qcow2-image.ts'
import { probeOf } from '../../../../support/images/probed.ts'

const SMALL = { clusterBits: 12, virtualSize: 1024 * 1024 } as const
const detect = (bytes: Uint8Array): ReturnType<typeof detectQcow2> => detectQcow2(probeOf(bytes.byteLength, [0, bytes]))
const changed = (change: (view: DataView, file: Qcow2File) => void, options: Qcow2Options = SMALL): ReturnType<typeof detectQcow2> =>
  detect(changedQcow2(change, options))

const FACTS = { variant: '3', clusterSize: 4096 }
const found = (facts: object = {}): object => ({
  format: 'qcow2',
  virtualSize: 1_048_576,
  refusals: [],
  facts: { ...FACTS, compression: null, allocatedSize: 12_288, ...facts },
})

describe('a qcow2', () => {
  test('says how much data it has, and in what version and clusters', async () => {
    expect(await detect(buildQcow2(SMALL).bytes)).toEqual(found() as Awaited<ReturnType<typeof detect>>)
    expect(await detect(buildQcow2({ ...SMALL, version: 2 }).bytes)).toEqual(found({ variant: '2' }) as Awaited<ReturnType<typeof detect>>)
  })

  test('names its compression only if something is compressed', async () => {
    const compressed = (options: Qcow2Options): Promise<unknown> =>
      changed((view, { l2, data }) => view.setBigUint64(l2, (1n << 62n) | BigInt(data)), { ...SMALL, ...options })
    expect(await compressed({})).toEqual(found({ compression: 'zlib' }))
    expect(await compressed({ isZstd: true })).toEqual(found({ compression: 'zstd' }))
    expect(await detect(buildQcow2({ ...SMALL, isZstd: true }).bytes)).toEqual(found() as Awaited<ReturnType<typeof detect>>)
  })

  test('is recognised by its first bytes, but not as version 1', async () => {
    const start = Buffer.from('514649fb', 'hex')
    expect(await detect(start)).toEqual({
      format: 'qcow2',
      virtualSize: null,
      refusals: ['its qcow2 header is cut off, so it cannot be checked'],
      facts: { variant: null },
    })
    expect(await detect(start.subarray(0, 3))).toBeUndefined()
    expect(await detect(Buffer.concat([start, Buffer.from('00000001', 'hex')]))).toBeUndefined()
    expect(await changed((view) => view.setUint32(4, 1))).toBeUndefined()
    expect(await changed((view) => view.setUint32(4, 9))).toEqual({
      format: 'qcow2',
      virtualSize: 1_048_576,
      refusals: ['it is qcow2 of version 9, which is not supported'],
      facts: { variant: '9' },
    })
  })
})

describe('a refusal', () => {
  const refused = (...refusals: readonly string[]) => ({ format: 'qcow2', virtualSize: 1_048_576, refusals, facts: FACTS }) as const

  test('of its header extensions', async () => {
    expect(await changed((view) => putExtension(view, putExtension(view, 112, 0x4441_5441, 'x'), 0x0537_be77, new Uint8Array(16)))).toEqual(
      refused('it names an external file for its data', 'it has the key material of an encrypted disk'),
    )
  })

  test.each<[string, string, (view: DataView, file: Qcow2File) => void]>([
    ['an L1 entry with reserved bits', 'an entry of its L1 table has reserved bits', (view, { l1 }) => view.setUint8(l1 + 7, 1)],
    [
      'a refcount entry with reserved bits',
      'an entry of its refcount table has reserved bits',
      (view, { refcountTable }) => view.setUint8(refcountTable + 7, 1),
    ],
    ['an L2 entry with reserved bits', 'an entry of an L2 table has reserved bits', (view, { l2 }) => view.setUint8(l2 + 7, 2)],
    ['a cluster without a refcount', 'a cluster in use has a refcount of 0', (view, { refcountBlock }) => view.setUint16(refcountBlock + 14, 0)],
    ['the L1 table in the place of the refcount table', 'its tables overlap', (view, { refcountTable }) => view.setBigUint64(40, BigInt(refcountTable))],
    [
      'a refcount block in the header',
      'a refcount block uses a cluster that is used twice',
      (view, { refcountTable, l1 }) => view.setBigUint64(refcountTable, BigInt(l1)),
    ],
    ['an L2 table in the place of L1', 'a cluster is used twice', (view, { l1 }) => view.setBigUint64(l1, BigInt(l1))],
    ['data in its header', 'an entry of an L2 table names the header as data', (view, { l2 }) => view.setBigUint64(l2, 1n << 63n)],
    ['data in the refcount table', 'a cluster is used twice', (view, { l2, refcountTable }) => view.setBigUint64(l2, BigInt(refcountTable))],
    ['data in the refcount block', 'a cluster is used twice', (view, { l2, refcountBlock }) => view.setBigUint64(l2, BigInt(refcountBlock))],
    ['data in L1', 'a cluster is used twice', (view, { l2, l1 }) => view.setBigUint64(l2, BigInt(l1))],
  ])('of %s', async (_what, refusal, change) => {
    expect(await changed(change)).toEqual(refused(refusal))
  })
})

describe('dirty bitmaps', () => {
  /** The directory of one bitmap in the last data cluster, which the disk does not use then, and its table in the one before. */
  const withBitmaps = (autoclear: bigint, name = 1): Promise<unknown> =>
    changed((view, { data, l2 }) => {
      const content = new DataView(new ArrayBuffer(24))
      content.setUint32(0, 1)
      content.setBigUint64(8, 32n)
      content.setBigUint64(16, BigInt(data + 8192))
      putExtension(view, 112, 0x2385_2875, new Uint8Array(content.buffer))
      view.setBigUint64(88, autoclear)
      for (const entry of [1, 2]) view.setBigUint64(l2 + entry * 8, 0n)
      new Uint8Array(view.buffer).fill(0, data + 4096)
      view.setBigUint64(data + 8192, BigInt(data + 4096))
      view.setUint32(data + 8192 + 8, 1)
      view.setUint16(data + 8192 + 18, name)
    })

  test('are checked if the header says that they are valid', async () => {
    expect(await withBitmaps(1n)).toMatchObject({ refusals: [], facts: { allocatedSize: 4096 } })
    expect(await withBitmaps(1n, 0)).toMatchObject({ refusals: ['a dirty bitmap is not valid'] })
    expect(await withBitmaps(0n, 0)).toMatchObject({ refusals: [] })
  })
})

test('a file of more clusters than can be checked is refused', async () => {
  // 2^30 clusters of 512 bytes: 512 GiB.
  const { bytes } = buildQcow2({ clusterBits: 9, virtualSize: 32_768 })
  const long = await detectQcow2(probeOf(2 ** 39 + 1, [0, bytes]))
  expect(long?.refusals).toEqual(['it has too many clusters to be checked (larger ones would do: qemu-img convert -O qcow2 -o cluster_size=64k)'])
})

test('a file of two windows is checked in both', async () => {
  // 32 Mi clusters of 512 bytes in a window: the second begins at 16 GiB. Its data cluster there has no refcount.
  // A refcount has one bit, so that there are few blocks.
  const { bytes, l2, refcountBlock } = buildQcow2({ clusterBits: 9, virtualSize: 32_768 })
  const view = new DataView(bytes.buffer)
  const length = 2 ** 34 + 4096
  view.setUint32(96, 0)
  bytes.fill(0xff, refcountBlock, refcountBlock + 512)
  expect((await detectQcow2(probeOf(length, [0, bytes])))?.refusals).toEqual([])
  view.setBigUint64(l2, BigInt(2 ** 34 + 512))
  expect((await detectQcow2(probeOf(length, [0, bytes])))?.refusals).toEqual(['a cluster in use has a refcount of 0'])
  // The same cluster twice is found in its window too.
  view.setBigUint64(l2 + 8, BigInt(2 ** 34 + 512))
  expect((await detectQcow2(probeOf(length, [0, bytes])))?.refusals).toEqual(['a cluster is used twice'])
})
