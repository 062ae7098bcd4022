// Converted files against qemu-img, for disks of odd lengths and allocations.

import { describe, expect, test } from 'bun:test'
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import fc from 'fast-check'
import type { ConversionTarget } from '../../../protocol/images/export.ts'
import { createRawDisk } from '../../../agent/convert/readers/raw.ts'
import { convert, memorySource, partsToBytes, sparseSource, writeConversion } from '../../support/images/guest-files.ts'
import type { Island } from '../../support/images/guest-files.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createRandom } from '../../support/properties.ts'
import { requireTool } from '../../support/require.ts'
import { run } from '../../support/images/small-image.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const BLOCK = 4096
const qemuTest = requireTool('qemu-img', 'qemu-utils')
/** Names of the formats at qemu-img. */
const QEMU: Readonly<Record<ConversionTarget, string>> = { raw: 'raw', qcow2: 'qcow2', vmdk: 'vmdk', vhd: 'vpc' }
const TARGETS = ['raw', 'qcow2', 'vmdk', 'vhd'] as const

const noise = (length: number, seed: number): Uint8Array<ArrayBuffer> => new Uint8Array(createRandom(seed).bytes(length))

/** Writes a disk as a raw file with holes. */
function writeReference(path: string, length: number, islands: readonly Island[]): void {
  const file = openSync(path, 'w')
  for (const [offset, bytes] of islands) writeSync(file, bytes, 0, bytes.byteLength, offset)
  ftruncateSync(file, length)
  closeSync(file)
}

/** Converts a disk to every format and compares each with the disk. Returns the lengths of the files. */
async function compareAll(length: number, islands: readonly Island[]): Promise<Record<ConversionTarget, number>> {
  await using folder = await createTemporaryFolder()
  const reference = folder.file('disk.raw')
  writeReference(reference, length, islands)
  const file = sparseSource(length, islands)
  const lengths = { raw: 0, qcow2: 0, vmdk: 0, vhd: 0 }
  for (const target of TARGETS) {
    const conversion = await convert(createRawDisk(file), file, target)
    const path = folder.file(`disk.${target}`)
    lengths[target] = await writeConversion(conversion, path)
    if (conversion.kind === 'seekable') expect(conversion.length).toBe(lengths[target])
    if (target === 'qcow2' || target === 'vmdk') await run('qemu-img', 'check', '-f', QEMU[target], path)
    await run('qemu-img', 'compare', '-f', 'raw', '-F', QEMU[target], reference, path)
  }
  return lengths
}

describe('a converted disk is identical for qemu-img', () => {
  qemuTest('of one sector', async () => {
    expect(await compareAll(512, [[0, noise(512, 1)]])).toMatchObject({ raw: 512, qcow2: 6 * 65_536, vhd: 1024 })
  })

  qemuTest('of zeros', async () => {
    expect(await compareAll(2 * MIB, [])).toMatchObject({ raw: 2 * MIB, qcow2: 4 * 65_536, vhd: 2 * MIB + 512 })
  })

  qemuTest('of a length that is no whole number of sectors or clusters', async () => {
    const tail = noise(1697, 2)
    expect(await compareAll(100_001, [[98_304, tail]])).toMatchObject({ raw: 100_001, qcow2: 6 * 65_536, vhd: 100_352 + 512 })
  })

  qemuTest('of more than 4 GiB with few bytes of data', async () => {
    const length = 6 * GIB + 3 * BLOCK
    const islands: Island[] = [
      [0, noise(BLOCK, 3)],
      [5 * GIB - 65_536, noise(65_536, 4)],
      [length - BLOCK, noise(BLOCK, 5)],
    ]
    // Four tables of regions and three clusters of data, with the header and its three tables.
    expect(await compareAll(length, islands)).toMatchObject({ qcow2: (4 + 3 + 3) * 65_536 })
  })

  qemuTest(
    'of any length and allocation',
    async () => {
      const island = fc.tuple(fc.nat(800), fc.integer({ min: 1, max: 40 }), fc.nat(1000))
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 3 * MIB }), fc.array(island, { maxLength: 8 }), async (length, wanted) => {
          const bytes = new Uint8Array(length)
          for (const [block, blocks, seed] of wanted)
            bytes.set(noise(blocks * BLOCK, seed).subarray(0, Math.max(0, length - block * BLOCK)), Math.min(length, block * BLOCK))
          const islands: Island[] = []
          for (let at = 0; at < length; at += BLOCK)
            if (bytes.subarray(at, at + BLOCK).some((byte) => byte !== 0)) islands.push([at, bytes.subarray(at, at + BLOCK)])
          await compareAll(length, islands)
        }),
        { numRuns: 12 },
      )
    },
    120_000,
  )
})

test('an empty disk is raw or qcow2, and refused for formats that cannot hold it', async () => {
  const file = memorySource(new Uint8Array(0))
  const disk = createRawDisk(file)
  expect(await convert(disk, file, 'raw')).toMatchObject({ length: 0 })
  expect(await convert(disk, file, 'qcow2')).toMatchObject({ length: 4 * 65_536 })
  expect(convert(disk, file, 'vhd')).rejects.toMatchObject({ code: 'invalid-input', message: 'A VHD cannot hold an empty disk.' })
  expect(convert(disk, file, 'vmdk')).rejects.toMatchObject({ code: 'invalid-input' })
})

test('a disk that is too long for a format is refused', async () => {
  const opened = (length: number, target: ConversionTarget) => {
    const file = sparseSource(length, [])
    return convert(createRawDisk(file), file, target)
  }
  expect(opened(2040 * GIB + 512, 'vhd')).rejects.toMatchObject({ code: 'invalid-input', message: 'A VHD holds a disk of at most 2040 GiB.' })
  expect(await opened(2040 * GIB, 'vhd')).toMatchObject({ length: 2040 * GIB + 512 })
  expect(opened(2016 * GIB + 512, 'vmdk')).rejects.toMatchObject({ code: 'invalid-input' })
  expect(opened(64 * 1024 * GIB + 512, 'qcow2')).rejects.toMatchObject({ code: 'invalid-input' })
  expect(await opened(64 * 1024 * GIB, 'qcow2')).toMatchObject({ length: (1 + 1 + 1 + 16) * 65_536 })
})

test('a VHD ends with the footer of a fixed disk', async () => {
  const file = memorySource(new Uint8Array(10 * MIB))
  const conversion = await convert(createRawDisk(file), file, 'vhd')
  if (conversion.kind !== 'seekable') throw new Error('a VHD has a length')
  const footer = await partsToBytes(conversion.parts(10 * MIB, 10 * MIB + 512))
  expect(footer.subarray(0, 84).toString('hex')).toBe(
    '636f6e6563746978' + // conectix
      '0000000200010000ffffffffffffffff00000000' + // features, version, no header, time
      '77696e20000a00005769326b' + // win, version, Wi2k
      '0000000000a000000000000000a00000' + // size, twice
      '012d0411' + // 301 cylinders, 4 heads, 17 sectors
      '00000002ffffefdd' + // fixed, checksum
      '07070707070707070707070707070707',
  )
})

test('equal content gives equal bytes, and other content other ids', async () => {
  const file = memorySource(noise(3 * MIB, 6))
  for (const target of TARGETS) {
    const [one, two] = await Promise.all(
      [1, 2].map(async () => {
        const conversion = await convert(createRawDisk(file), file, target)
        return partsToBytes(conversion.kind === 'seekable' ? conversion.parts(0, conversion.length) : conversion.parts())
      }),
    )
    expect(one?.equals(two ?? Buffer.alloc(0))).toBe(true)
  }
})

test('any range of a seekable file has the bytes of the whole file', async () => {
  const bytes = new Uint8Array(3 * MIB + 100)
  bytes.set(noise(200_000, 7), 0)
  bytes.set(noise(70_000, 8), 20 * 65_536 + BLOCK)
  bytes.set(noise(100, 9), 3 * MIB)
  const file = memorySource(bytes)
  for (const target of ['raw', 'qcow2', 'vhd'] as const) {
    const conversion = await convert(createRawDisk(file), file, target)
    if (conversion.kind !== 'seekable') throw new Error('it has a length')
    const whole = await partsToBytes(conversion.parts(0, conversion.length))
    expect(whole.length).toBe(conversion.length)
    const offset = fc.nat(conversion.length)
    await fc.assert(
      fc.asyncProperty(offset, offset, async (a, b) => {
        const [start, end] = a < b ? [a, b] : [b, a]
        expect((await partsToBytes(conversion.parts(start, end))).equals(whole.subarray(start, end))).toBe(true)
      }),
      { numRuns: 60 },
    )
  }
})

test('any range of a qcow2 of many regions has the bytes of the whole file', async () => {
  // Regions of 512 MiB: some without data, some with several clusters, the first and the last among them.
  const islands = [0, 0.75, 2, 3.5, 3.75, 7, 7.25, 8.5, 11].map((gib, i): Island => [gib * GIB, noise(BLOCK * (1 + i * 9), i)])
  const file = sparseSource(12 * GIB, islands)
  const conversion = await convert(createRawDisk(file), file, 'qcow2')
  if (conversion.kind !== 'seekable') throw new Error('it has a length')
  const whole = await partsToBytes(conversion.parts(0, conversion.length))
  expect(whole.length).toBe(conversion.length)
  for (let cluster = 0; cluster * 65_536 < whole.length; cluster++) {
    for (const [start, end] of [
      [cluster * 65_536, cluster * 65_536 + 1],
      [cluster * 65_536 + 8, cluster * 65_536 + 24],
      [cluster * 65_536 - 1, cluster * 65_536 + 65_537],
    ] as const) {
      const range = [Math.max(0, start), Math.min(whole.length, end)] as const
      expect((await partsToBytes(conversion.parts(...range))).equals(whole.subarray(...range))).toBe(true)
    }
  }
})

test('a VMDK that is stopped after any part continues with the next one', async () => {
  const bytes = new Uint8Array(40 * MIB)
  for (let i = 0; i < 40; i += 3) bytes.set(noise(65_536, i), i * MIB)
  const file = memorySource(bytes)
  const whole = await convert(createRawDisk(file), file, 'vmdk')
  const cut = await convert(createRawDisk(file), file, 'vmdk')
  if (whole.kind !== 'sequential' || cut.kind !== 'sequential') throw new Error('a VMDK has no length')
  const found: Uint8Array[] = []
  while (!cut.isDone) {
    const parts = cut.parts()
    const { value } = await parts.next()
    if (value instanceof Uint8Array) found.push(value.slice())
    await parts.return(undefined)
  }
  expect(Buffer.concat(found).equals(await partsToBytes(whole.parts()))).toBe(true)
  expect(whole.isDone).toBe(true)
})

test('measures the bytes that the file takes', async () => {
  const file = memorySource(Buffer.concat([new Uint8Array(1 * MIB), noise(65_536, 10), new Uint8Array(MIB)]))
  const measured = async (form: ConversionTarget): Promise<number> => (await convert(createRawDisk(file), file, form)).measure()
  expect(await measured('raw')).toBe(65_536)
  expect(await measured('vhd')).toBe(65_536 + 1024)
  expect(await measured('qcow2')).toBe(6 * 65_536)
  expect(await measured('vmdk')).toBe(66_847 + 4 * MIB)
})
