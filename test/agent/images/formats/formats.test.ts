// Format detection: formats are detected by bytes alone, and images that make a reader open other files are refused.

import { describe, expect, test } from 'bun:test'
import type { Inspection } from '../../../../agent/images/formats/inspection.ts'
import type { ImageFormat } from '../../../../protocol/images/image.ts'
import { descriptor, disc, volume } from './cases/iso-image.ts'
import { CAPACITY, sparse } from './cases/vmdk-image.ts'
import { inspectBytes, inspectFile } from '../../../support/images/inspected.ts'
import { requireTool } from '../../../support/require.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'

async function refusalOf(bytes: Uint8Array, declared: ImageFormat | null = null): Promise<string> {
  const inspection = await inspectBytes(bytes, declared)
  return inspection.kind === 'refused' ? inspection.reason : 'accepted'
}

/** Returns a sparse vmdk whose embedded descriptor has these lines. */
function vmdk(lines: readonly string[]): Uint8Array {
  return sparse(['# Disk DescriptorFile', 'version=1', 'createType="monolithicSparse"', ...lines])
}

function iso(): Uint8Array {
  return disc(volume(1), descriptor(255))
}

describe('detection', () => {
  test('detects each format and its virtual size', async () => {
    expect(await inspectBytes(new Uint8Array(1000))).toMatchObject({ kind: 'accepted', format: 'raw', virtualSize: 1000 })
    expect(await inspectBytes(vmdk(['parentCID=ffffffff', `RW ${CAPACITY} SPARSE "disk.vmdk"`]))).toMatchObject({
      kind: 'accepted',
      format: 'vmdk',
      virtualSize: 524_288,
    })
    expect(await inspectBytes(iso())).toMatchObject({ kind: 'accepted', format: 'iso', virtualSize: 49_152 })
    const udf = new Uint8Array(100_000)
    udf.set(new TextEncoder().encode('\u0000BEA01'), 32_768)
    expect(await inspectBytes(udf)).toMatchObject({ format: 'iso' })
  })

  test('treats an incomplete header as raw bytes', async () => {
    expect(await inspectBytes(new TextEncoder().encode('QFI'))).toMatchObject({ kind: 'accepted', format: 'raw' })
    expect(await inspectBytes(iso().slice(0, 32_770))).toMatchObject({ kind: 'accepted', format: 'raw' })
    expect(await inspectBytes(new Uint8Array(1))).toMatchObject({ kind: 'accepted', format: 'raw', virtualSize: 1 })
  })
})

describe('refusal', () => {
  test.each<[string, Uint8Array, string]>([
    ['an extent in another file', vmdk(['RW 8 FLAT "/etc/passwd" 0']), 'its data is in other files'],
    ['several extents', vmdk(['RW 8 SPARSE "a.vmdk"', 'RW 8 SPARSE "b.vmdk"']), 'its data is in other files'],
    ['a parent disk', vmdk(['parentCID=12345678', 'RW 8 SPARSE "a.vmdk"']), 'it has a parent disk'],
    ['a descriptor alone', new TextEncoder().encode('# Disk DescriptorFile\nRW 8 FLAT "/etc/passwd" 0\n'), 'it is only a descriptor'],
    ['an ESX extent', new TextEncoder().encode('COWD'), 'ESX'],
  ])('%s', async (_what, bytes, sentence) => {
    const reason = await refusalOf(bytes)
    expect(reason).toStartWith('Unsafe image: ')
    expect(reason).toContain(sentence)
  })

  test('an empty image', async () => {
    expect(await refusalOf(new Uint8Array(0))).toStartWith('The upload was empty')
  })

  test('headers with random bytes never throw', async () => {
    for (let seed = 1; seed <= 200; seed++) {
      for (const start of [vmdk([]), iso()]) {
        const bytes = start.slice()
        for (let i = 0; i < 40; i++) bytes[4 + ((seed * 7919 + i * 104_729) % 1200)] = (seed * 31 + i * 17) & 0xff
        expect(['accepted', 'refused']).toContain((await inspectBytes(bytes)).kind)
      }
    }
  })
})

const qemuTest = requireTool('qemu-img', 'qemu-utils')

describe('images of qemu-img', () => {
  async function make(folder: TemporaryFolder, name: string, args: readonly string[]): Promise<Inspection> {
    const made = Bun.spawnSync(['qemu-img', 'create', '-q', ...args, name, ...(args.includes('-b') ? [] : ['64M'])], { cwd: folder.path })
    expect(made.stderr.toString()).toBe('')
    return inspectFile(folder.file(name))
  }

  qemuTest('are detected, and refused if their data is in other files', async () => {
    await using folder = await createTemporaryFolder()
    const size = 64 * 2 ** 20
    expect(await make(folder, 's.vmdk', ['-f', 'vmdk'])).toMatchObject({ kind: 'accepted', format: 'vmdk', virtualSize: size })
    expect(await make(folder, 'o.vmdk', ['-f', 'vmdk', '-o', 'subformat=streamOptimized'])).toMatchObject({ kind: 'accepted', virtualSize: size })
    expect(await make(folder, 'f.vmdk', ['-f', 'vmdk', '-o', 'subformat=monolithicFlat'])).toMatchObject({ kind: 'refused', format: 'vmdk', virtualSize: size })
    expect(await make(folder, 'r.raw', ['-f', 'raw'])).toMatchObject({ kind: 'accepted', format: 'raw', virtualSize: size })
  })
})
