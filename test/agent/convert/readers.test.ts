// Guest disks of images that qemu-img writes, and of tables that nobody should trust.

import { describe, expect, test } from 'bun:test'
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { openConversion } from '../../../agent/convert/converter.ts'
import { readAllocation } from '../../../agent/convert/allocation.ts'
import type { GuestDisk, SourceFile } from '../../../agent/convert/guest-disk.ts'
import { readGuest } from '../../../agent/convert/guest-reader.ts'
import { openQcow2Disk } from '../../../agent/convert/readers/qcow2.ts'
import { createRawDisk } from '../../../agent/convert/readers/raw.ts'
import { openVmdkDisk } from '../../../agent/convert/readers/vmdk.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { ProblemError } from '../../../protocol/problems.ts'
import { convert, diskSource, memorySource, partsToBytes, sparseSource } from '../../support/images/guest-files.ts'
import { run } from '../../support/images/small-image.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createRandom } from '../../support/properties.ts'
import { requireTool } from '../../support/require.ts'

const MIB = 1024 * 1024
const qemuTest = requireTool('qemu-img', 'qemu-utils')

/** A disk with data that does not compress, data that does, and holes. */
function mixedDisk(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(20 * MIB + 512)
  for (let i = 0; i < 9; i++) if (i % 3 !== 0) bytes.set(createRandom(i).bytes(700_000), i * MIB)
  bytes.fill(65, 15 * MIB, 16 * MIB + 777)
  bytes.fill(66, 20 * MIB)
  return bytes
}

const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  'qcow2 version 3': ['-O', 'qcow2'],
  'qcow2 version 2': ['-O', 'qcow2', '-o', 'compat=0.10'],
  'qcow2 compressed by deflate': ['-c', '-O', 'qcow2'],
  'qcow2 compressed by zstd': ['-c', '-O', 'qcow2', '-o', 'compression_type=zstd'],
  'qcow2 with clusters of 512 bytes': ['-O', 'qcow2', '-o', 'cluster_size=512'],
  'qcow2 with compressed clusters of 2 MiB': ['-c', '-O', 'qcow2', '-o', 'cluster_size=2M'],
  'qcow2 with subclusters': ['-O', 'qcow2', '-o', 'extended_l2=on'],
  'vmdk sparse': ['-O', 'vmdk'],
  'vmdk for streams': ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
}

const open = (path: string, file: SourceFile): Promise<GuestDisk> =>
  path.includes('qcow2') ? openQcow2Disk(file, systemClock) : openVmdkDisk(file, systemClock)

describe('the disk of an image', () => {
  for (const [name, options] of Object.entries(VARIANTS)) {
    qemuTest(`is that of ${name}`, async () => {
      await using folder = await createTemporaryFolder()
      const bytes = mixedDisk()
      await Bun.write(folder.file('disk.raw'), bytes)
      const path = folder.file(name.replaceAll(' ', '-'))
      await run('qemu-img', 'convert', '-f', 'raw', ...options, folder.file('disk.raw'), path)
      const file = diskSource(path)
      const disk = await open(name, file)
      expect(disk.length).toBe(bytes.length)
      expect((await partsToBytes(readGuest({ disk, file }, 0, disk.length))).equals(bytes)).toBe(true)
      for (const [start, end] of [
        [0, 1],
        [MIB - 1, MIB + 1],
        [1_234_567, 4_567_890],
        [16 * MIB + 700, 16 * MIB + 800],
        [bytes.length - 513, bytes.length],
      ] as const)
        expect((await partsToBytes(readGuest({ disk, file }, start, end))).equals(bytes.subarray(start, end))).toBe(true)
    })
  }

  qemuTest('has zeros where a qcow2 says so, with and without a place in the file', async () => {
    await using folder = await createTemporaryFolder()
    const path = folder.file('zero.qcow2')
    await run('qemu-img', 'create', '-f', 'qcow2', path, '4M')
    await run('qemu-io', '-f', 'qcow2', '-c', 'write -P 0x41 0 1M', '-c', 'write -z 64k 128k', '-c', 'write -z -u 512k 64k', path)
    await run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', path, folder.file('zero.raw'))
    const file = diskSource(path)
    const disk = await openQcow2Disk(file, systemClock)
    const expected = Buffer.from(await Bun.file(folder.file('zero.raw')).arrayBuffer())
    expect((await partsToBytes(readGuest({ disk, file }, 0, disk.length))).equals(expected)).toBe(true)
    const kinds = []
    for await (const { kind, start, end } of disk.extents(0)) kinds.push([kind, start, end])
    expect(kinds).toEqual([
      ['data', 0, 65_536],
      ['zero', 65_536, 196_608],
      ['data', 196_608, 524_288],
      ['zero', 524_288, 589_824],
      ['data', 589_824, MIB],
      ['zero', MIB, 4 * MIB],
    ])
  })

  qemuTest('is read from the files that this agent writes', async () => {
    const bytes = mixedDisk()
    for (const target of ['qcow2', 'vmdk'] as const) {
      const raw = memorySource(bytes)
      const written = await convert(createRawDisk(raw), raw, target)
      const whole = await partsToBytes(written.kind === 'seekable' ? written.parts(0, written.length) : written.parts())
      const file = memorySource(whole)
      const disk = await open(target, file)
      expect((await partsToBytes(readGuest({ disk, file }, 0, disk.length))).equals(bytes)).toBe(true)
    }
  })
})

/** Returns a source that fails the test when a read leaves the file, or reads without end. */
function guarded(bytes: Uint8Array, bytesMax: number): SourceFile {
  const file = memorySource(bytes)
  let read = 0
  return {
    ...file,
    async *read(start, end, signal) {
      if (!(start >= 0 && start <= end && end <= bytes.byteLength)) throw new Error(`read [${start}, ${end}) of ${bytes.byteLength} bytes`)
      if ((read += end - start) > bytesMax) throw new Error(`read ${read} bytes`)
      yield* file.read(start, end, signal)
    },
  }
}

/** A qcow2 of 1 MiB with one cluster of data: header, L1 at 64 KiB, L2 at 128 KiB, data at 192 KiB. */
function smallQcow2(patch: (bytes: Buffer) => void = () => {}): Buffer {
  const bytes = Buffer.alloc(4 * 65_536)
  bytes.writeUInt32BE(0x5146_49fb, 0)
  bytes.writeUInt32BE(3, 4)
  bytes.writeUInt32BE(16, 20)
  bytes.writeBigUInt64BE(BigInt(MIB), 24)
  bytes.writeUInt32BE(1, 36)
  bytes.writeBigUInt64BE(65_536n, 40)
  bytes.writeUInt32BE(4, 96)
  bytes.writeUInt32BE(104, 100)
  bytes.writeBigUInt64BE(0x8000_0000_0002_0000n, 65_536)
  bytes.writeBigUInt64BE(0x8000_0000_0003_0000n, 131_072)
  bytes.fill(0x41, 196_608)
  patch(bytes)
  return bytes
}

describe('a qcow2 with damaged tables', () => {
  const read = async (patch: (bytes: Buffer) => void): Promise<Buffer> => {
    const bytes = smallQcow2(patch)
    const file = guarded(bytes, 8 * MIB)
    const disk = await openQcow2Disk(file, systemClock)
    return partsToBytes(readGuest({ disk, file }, 0, disk.length))
  }

  test('is read when they are whole', async () => {
    const disk = await read(() => {})
    expect(disk.length).toBe(MIB)
    expect(disk.subarray(0, 65_536).every((byte) => byte === 0x41)).toBe(true)
    expect(disk.subarray(65_536).every((byte) => byte === 0)).toBe(true)
  })

  test('is read when a cluster lies beyond 4 GiB, plain or compressed', async () => {
    const at = 2 ** 32 + 3 * 65_536
    const plain = Buffer.alloc(65_536, 0x42)
    const compressed = deflateRawSync(Buffer.alloc(65_536, 0x43))
    for (const [entry, cluster, letter] of [
      [0x8000_0000_0000_0000n | BigInt(at), plain, 0x42],
      [0x4000_0000_0000_0000n | BigInt(at), compressed, 0x43],
    ] as const) {
      const tables = smallQcow2((bytes) => bytes.writeBigUInt64BE(entry, 131_072))
      const file = sparseSource(at + cluster.length, [
        [0, tables],
        [at, cluster],
      ])
      const disk = await openQcow2Disk(file, systemClock)
      const bytes = await partsToBytes(readGuest({ disk, file }, 0, disk.length))
      expect(bytes.subarray(0, 65_536)).toEqual(Buffer.alloc(65_536, letter))
    }
  })

  const CASES: Readonly<Record<string, [(bytes: Buffer) => void, string]>> = {
    'another magic': [(bytes) => bytes.writeUInt8(0, 0), 'does not begin'],
    'version 4': [(bytes) => bytes.writeUInt32BE(4, 4), 'its version is 4'],
    'clusters of 40 bits': [(bytes) => bytes.writeUInt32BE(40, 20), '40 bits'],
    'clusters of 8 bits': [(bytes) => bytes.writeUInt32BE(8, 20), '8 bits'],
    'a backing file': [(bytes) => bytes.writeBigUInt64BE(104n, 8), 'backing file'],
    encryption: [(bytes) => bytes.writeUInt32BE(1, 32), 'encrypted'],
    'an external data file': [(bytes) => bytes.writeUInt32BE(4, 76), 'features'],
    'an unknown feature': [(bytes) => bytes.writeUInt32BE(1, 72), 'features'],
    'a size of 4 PB with a short L1 table': [(bytes) => bytes.writeBigUInt64BE(2n ** 52n, 24), 'L1 table has 1 entries'],
    'a size beyond exact numbers': [(bytes) => bytes.writeBigUInt64BE(2n ** 63n, 24), 'outside of the file'],
    'an L1 table outside of the file': [(bytes) => bytes.writeBigUInt64BE(2n ** 40n, 40), 'L1 table lies outside'],
    'an L2 table outside of the file': [(bytes) => bytes.writeBigUInt64BE(0x8000_00ff_0000_0000n, 65_536), 'L2 table lies outside'],
    'an L2 table between clusters': [(bytes) => bytes.writeBigUInt64BE(0x8000_0000_0002_0200n, 65_536), 'L2 table lies outside'],
    'an L2 table cut by the end': [(bytes) => bytes.writeBigUInt64BE(0x8000_0000_0004_0000n, 65_536), 'L2 table lies outside'],
    'a cluster outside of the file': [(bytes) => bytes.writeBigUInt64BE(0x8000_0000_0004_0000n, 131_072), 'cluster lies outside'],
    'a cluster between clusters': [(bytes) => bytes.writeBigUInt64BE(0x8000_0000_0003_0200n, 131_072), 'cluster lies outside'],
    'a compressed cluster outside of the file': [(bytes) => bytes.writeBigUInt64BE(0x4000_0000_7000_0000n, 131_072), 'compressed cluster lies outside'],
    'a compressed cluster of other bytes': [(bytes) => bytes.writeBigUInt64BE(0x4000_0000_0003_0000n, 131_072), 'does not decompress'],
  }
  for (const [name, [patch, words]] of Object.entries(CASES)) {
    test(`is refused for ${name}`, async () => {
      const reading = read(patch)
      expect(reading).rejects.toBeInstanceOf(ProblemError)
      expect(reading).rejects.toMatchObject({ code: 'unsafe-image', message: expect.stringContaining(words) })
    })
  }

  test('is refused when many entries name the same L2 table', async () => {
    // 4096 entries of L1 that name one L2 table: a disk of 2 TiB in a file of 256 KiB.
    const bytes = smallQcow2((buffer) => {
      buffer.writeBigUInt64BE(BigInt(4096 * 512 * MIB), 24)
      buffer.writeUInt32BE(4096, 36)
      for (let i = 0; i < 4096; i++) buffer.writeBigUInt64BE(0x8000_0000_0002_0000n, 65_536 + i * 8)
    })
    const file = guarded(bytes, 8 * MIB)
    const disk = await openQcow2Disk(file, systemClock)
    expect(readAllocation(disk)).rejects.toMatchObject({ code: 'unsafe-image', message: expect.stringContaining('more L2 tables') })
  })

  test('is read or refused, whatever bytes are changed', async () => {
    const change = fc.tuple(
      fc.oneof(fc.nat(111), fc.integer({ min: 65_536, max: 65_551 }), fc.integer({ min: 131_072, max: 131_199 })),
      fc.integer({ min: 0, max: 255 }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        const file = guarded(
          smallQcow2((bytes) => changes.forEach(([at, value]) => bytes.writeUInt8(value, at))),
          64 * MIB,
        )
        try {
          const disk = await openQcow2Disk(file, systemClock)
          await partsToBytes(readGuest({ disk, file }, 0, Math.min(disk.length, 4 * MIB)))
          if (disk.length < 2 ** 42) await openConversion({ disk, file, allocation: () => readAllocation(disk), seed: new Uint8Array(32) }, 'qcow2')
        } catch (error) {
          if (!(error instanceof ProblemError)) throw error
        }
      }),
      { numRuns: 400 },
    )
  }, 60_000)
})

/** A sparse VMDK of 1 MiB with one grain of data: directory at sector 2, table at sector 3, grain at sector 8. */
function smallVmdk(patch: (bytes: Buffer) => void = () => {}): Buffer {
  const bytes = Buffer.alloc(8 * 512 + 65_536)
  bytes.writeUInt32LE(0x564d_444b, 0)
  bytes.writeUInt32LE(1, 4)
  bytes.writeUInt32LE(3, 8)
  bytes.writeBigUInt64LE(2048n, 12)
  bytes.writeBigUInt64LE(128n, 20)
  bytes.writeUInt32LE(512, 44)
  bytes.writeBigUInt64LE(2n, 56)
  bytes.writeUInt32LE(3, 1024)
  bytes.writeUInt32LE(8, 1536)
  bytes.fill(0x42, 4096)
  patch(bytes)
  return bytes
}

describe('a VMDK with damaged tables', () => {
  const read = async (patch: (bytes: Buffer) => void): Promise<Buffer> => {
    const file = guarded(smallVmdk(patch), 8 * MIB)
    const disk = await openVmdkDisk(file, systemClock)
    return partsToBytes(readGuest({ disk, file }, 0, disk.length))
  }

  test('is read when they are whole', async () => {
    const disk = await read(() => {})
    expect(disk.length).toBe(MIB)
    expect(disk.subarray(0, 65_536).every((byte) => byte === 0x42)).toBe(true)
    expect(disk.subarray(65_536).every((byte) => byte === 0)).toBe(true)
  })

  const CASES: Readonly<Record<string, [(bytes: Buffer) => void, string]>> = {
    'another magic': [(bytes) => bytes.writeUInt8(0, 0), 'no header'],
    'grains of 4 sectors': [(bytes) => bytes.writeBigUInt64LE(4n, 20), '4 sectors'],
    'grains of 96 sectors': [(bytes) => bytes.writeBigUInt64LE(96n, 20), '96 sectors'],
    'grains of 8192 sectors': [(bytes) => bytes.writeBigUInt64LE(8192n, 20), '8192 sectors'],
    'empty tables': [(bytes) => bytes.writeUInt32LE(0, 44), '0 entries'],
    'tables of 513 entries': [(bytes) => bytes.writeUInt32LE(513, 44), '513 entries'],
    'a capacity beyond exact numbers': [(bytes) => bytes.writeBigUInt64LE(2n ** 44n, 12), 'capacity'],
    'a directory outside of the file': [(bytes) => bytes.writeBigUInt64LE(2n ** 40n, 56), 'directory lies outside'],
    'a directory that the capacity makes too long': [(bytes) => bytes.writeBigUInt64LE(2n ** 40n, 12), 'directory lies outside'],
    'a footer that is not there': [(bytes) => bytes.writeBigUInt64LE(2n ** 64n - 1n, 56), 'no header'],
    'a table outside of the file': [(bytes) => bytes.writeUInt32LE(0xffff_ffff, 1024), 'table lies outside'],
    'a grain outside of the file': [(bytes) => bytes.writeUInt32LE(0xffff_ffff, 1536), 'grain lies outside'],
    'many entries that name one table': [
      (bytes) => {
        // A disk of 64 GiB has 2048 tables; the file of 68 KiB has room for 34.
        bytes.writeBigUInt64LE(BigInt(2048 * 65_536), 12)
        for (let i = 0; i < 128; i++) bytes.writeUInt32LE(3, 1024 + i * 4)
        bytes.fill(0, 1536, 4096)
        for (let i = 0; i < 2048; i++) bytes.writeUInt32LE(3, 4096 + i * 4)
        bytes.writeBigUInt64LE(8n, 56)
      },
      'more tables',
    ],
    'grains compressed without markers': [(bytes) => bytes.writeUInt32LE(0x1_0001, 8), 'unknown way'],
    'compressed grains of other bytes': [
      (bytes) => {
        bytes.writeUInt32LE(0x3_0001, 8)
        bytes.writeUInt16LE(1, 77)
      },
      'does not decompress',
    ],
  }
  for (const [name, [patch, words]] of Object.entries(CASES)) {
    test(`is refused for ${name}`, async () => {
      const reading = read(patch)
      expect(reading).rejects.toBeInstanceOf(ProblemError)
      expect(reading).rejects.toMatchObject({ code: 'unsafe-image', message: expect.stringContaining(words) })
    })
  }

  test('is read or refused, whatever bytes are changed', async () => {
    const change = fc.tuple(fc.oneof(fc.nat(511), fc.integer({ min: 1024, max: 1027 }), fc.integer({ min: 1536, max: 1599 })), fc.integer({ min: 0, max: 255 }))
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        const file = guarded(
          smallVmdk((bytes) => changes.forEach(([at, value]) => bytes.writeUInt8(value, at))),
          64 * MIB,
        )
        try {
          const disk = await openVmdkDisk(file, systemClock)
          await partsToBytes(readGuest({ disk, file }, 0, Math.min(disk.length, 4 * MIB)))
        } catch (error) {
          if (!(error instanceof ProblemError)) throw error
        }
      }),
      { numRuns: 400 },
    )
  }, 60_000)
})

test('reading stops when the caller aborts, and reads no further ahead than a few jobs', async () => {
  const file = guarded(new Uint8Array(createRandom(1).bytes(20 * MIB)), 12 * MIB)
  const stop = new AbortController()
  const reading = (async () => {
    for await (const _part of readGuest({ disk: createRawDisk(file), file }, 0, file.length, stop.signal)) stop.abort(new Error('enough'))
  })()
  expect(reading).rejects.toThrow('enough')
})

/** Returns a source, and the number of bytes that were read of it. */
function counted(file: SourceFile): { readonly file: SourceFile; readonly readBytes: () => number } {
  let read = 0
  const countedRead: SourceFile['read'] = (start, end, signal) => {
    read += end - start
    return file.read(start, end, signal)
  }
  return { file: { ...file, read: countedRead }, readBytes: () => read }
}

describe('a few bytes', () => {
  test('of a converted disk cost no more reads than they are long', async () => {
    const bytes = createRandom(4).bytes(20 * MIB)
    for (const target of ['raw', 'qcow2', 'vhd'] as const) {
      const { file, readBytes } = counted(memorySource(bytes))
      const conversion = await convert(createRawDisk(file), file, target)
      if (conversion.kind !== 'seekable') throw new Error('it has a length')
      for (const at of [0, 70_000, 6 * MIB + 1, conversion.length - 70_000, conversion.length - 3]) {
        const before = readBytes()
        expect(await partsToBytes(conversion.parts(at, at + 3))).toHaveLength(3)
        expect(readBytes() - before).toBeLessThanOrEqual(3)
      }
    }
  })

  qemuTest('of a long disk need a few pages of its tables', async () => {
    await using folder = await createTemporaryFolder()
    for (const [name, options, size] of [
      ['one stretch of data', 'preallocation=metadata,cluster_size=2M', '256G'],
      ['one stretch of zeros', 'cluster_size=512', '64G'],
    ] as const) {
      const path = folder.file(name)
      await run('qemu-img', 'create', '-f', 'qcow2', '-o', options, path, size)
      const { file, readBytes } = counted(diskSource(path))
      const disk = await openQcow2Disk(file, systemClock)
      expect(await partsToBytes(readGuest({ disk, file }, 1024 * MIB, 1024 * MIB + 1))).toEqual(Buffer.alloc(1))
      expect(readBytes()).toBeLessThan(MIB / 2)
    }
  })
})

test('a disk that alternates between data and zeros for too long is refused', async () => {
  // One cluster with data in each region of 512 MiB, over 17 TiB.
  const islands = Array.from({ length: 34_000 }, (_, i) => [i * 512 * MIB, new Uint8Array(4096)] as const)
  const file = sparseSource(34_000 * 512 * MIB, islands)
  expect(readAllocation(createRawDisk(file))).rejects.toMatchObject({ code: 'limit-reached' })
})
