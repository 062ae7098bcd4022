// Discs by their volume descriptors from byte 32,768 on: what each descriptor must say, at its bounds, and what a boot catalogue says.

import { describe, expect, test } from 'bun:test'
import { detectIso } from '../../../../agent/images/formats/iso.ts'
import { probeOf } from '../../../support/images/probed.ts'
import type { Patch } from '../../../support/images/probed.ts'
import { both, descriptor, recognition, volume } from './cases/iso-image.ts'

const SECTOR = 2048
const START = 32_768
const LENGTH = 49_152
const END = descriptor(255)

/** Places descriptors one after another, with this many bytes from one to the next. */
const placed = (descriptors: readonly Uint8Array[], stride = SECTOR): Patch[] => descriptors.map((bytes, i) => [START + i * stride, bytes])
const detect = (descriptors: readonly Uint8Array[], length = LENGTH, ...patches: Patch[]): ReturnType<typeof detectIso> =>
  detectIso(probeOf(length, ...placed(descriptors), ...patches))

/** What is found in a disc without faults. */
const found = (facts: object = {}, virtualSize = LENGTH): object => ({
  format: 'iso',
  virtualSize,
  refusals: [],
  facts: { variant: 'ISO 9660', bootable: false, clusterSize: 2048, ...facts },
})

async function refusalsOf(...args: Parameters<typeof detect>): Promise<readonly string[] | undefined> {
  return (await detect(...args))?.refusals
}

const UNTERMINATED = 'its list of volume descriptors is cut off, so it cannot be checked'
const NO_PRIMARY = 'it has no primary volume descriptor'

describe('volume descriptors', () => {
  test('of a primary volume and an end make a disc, which has the length of the file', async () => {
    expect(await detect([volume(1), END])).toEqual(found() as Awaited<ReturnType<typeof detect>>)
    expect(await detect([volume(1), END], 60_000)).toEqual(found({}, 60_000) as Awaited<ReturnType<typeof detect>>)
    expect(await detect([volume(1), descriptor(3), END])).toEqual(found() as Awaited<ReturnType<typeof detect>>)
  })

  test('begin at byte 32,768 with their identifier at the second byte', async () => {
    for (const at of [START - 1, START + 1, START + SECTOR]) expect(await detectIso(probeOf(LENGTH, [at, volume(1)]))).toBeUndefined()
    expect(await detectIso(probeOf(START + 5, [START + 1, 'CD001']))).toBeUndefined()
    expect((await detectIso(probeOf(START + 6, [START + 1, 'CD001'])))?.format).toBe('iso')
    expect(await detectIso(probeOf(0))).toBeUndefined()
  })

  test.each([
    ['%/@', 'ISO 9660 with Joliet'],
    ['%/C', 'ISO 9660 with Joliet'],
    ['%/E', 'ISO 9660 with Joliet'],
    ['%/A', 'ISO 9660'],
    ['', 'ISO 9660'],
  ])('with the escape sequence %p are %s', async (escape, variant) => {
    expect(await detect([volume(1), volume(2, 24, [88, escape]), END])).toEqual(found({ variant }) as Awaited<ReturnType<typeof detect>>)
    // The first supplementary volume counts, and so does a later one.
    const other = volume(2)
    expect((await detect([volume(1), volume(2, 24, [88, escape]), other, END]))?.facts?.variant).toBe(variant)
    expect((await detect([volume(1), other, volume(2, 24, [88, escape]), END]))?.facts?.variant).toBe(variant)
    expect((await detect([volume(1), volume(2, 24, [89, escape]), END]))?.facts?.variant).toBe('ISO 9660')
  })

  test.each<[string, readonly Uint8Array[], readonly string[]]>([
    ['without an end', [volume(1)], [UNTERMINATED]],
    ['without a primary one', [volume(2), END], [NO_PRIMARY]],
    ['that are only an end', [END], [NO_PRIMARY]],
    ['that are only a boot record', [descriptor(0)], [NO_PRIMARY, UNTERMINATED]],
    ['of an unknown type', [volume(1), descriptor(4), END], ['it has a volume descriptor of the unknown type 4']],
    ['of the last unknown type', [volume(1), descriptor(254), END], ['it has a volume descriptor of the unknown type 254']],
    ['after the end', [volume(1), END, descriptor(9)], []],
  ])('%s are refused, or not', async (_what, descriptors, refusals) => {
    expect(await refusalsOf(descriptors)).toEqual(refusals)
  })

  test('may be 63 with the end, and not 64', async () => {
    const many = (count: number): Uint8Array[] => [volume(1), ...Array.from({ length: count - 2 }, () => descriptor(3)), END]
    const tooMany = 'it has more than 64 volume descriptors'
    expect(await refusalsOf(many(63), 200 * SECTOR)).toEqual([])
    expect(await refusalsOf(many(64), 200 * SECTOR)).toEqual([tooMany])
    expect(await refusalsOf(many(65), 200 * SECTOR)).toEqual([UNTERMINATED, tooMany].toReversed())
  })

  test('that end in the middle of one are cut off', async () => {
    const cut = 'its volume descriptor is cut off, so it cannot be checked'
    expect(await refusalsOf([volume(1, 16, [158, both(15, 32)]), END], START + 2 * SECTOR - 1)).toEqual([cut, UNTERMINATED])
    expect(await refusalsOf([volume(1, 16, [158, both(15, 32)]), END], START + 2 * SECTOR)).toEqual([])
  })
})

describe('a volume', () => {
  const primary = (...patches: Patch[]): Promise<readonly string[] | undefined> => refusalsOf([volume(1, 24, ...patches), END])
  const contradicts = 'the two byte orders of its primary volume descriptor contradict each other'

  test.each<[string, readonly Patch[], readonly string[]]>([
    ['may fill the file', [[80, both(24, 32)]], []],
    ['must not be a sector longer than it', [[80, both(25, 32)]], ['it is cut off: its primary volume has 51200 bytes, but the file has 49152']],
    ['must not be empty', [[80, both(0, 32)]], ['its primary volume descriptor describes an empty volume']],
    [
      'may be one sector, with its root in it',
      [
        [80, both(1, 32)],
        [158, both(0, 32)],
      ],
      [],
    ],
    ['must have one length', [[84, '\0\0\0\u0017']], [contradicts]],
    ['must have one sector size', [[130, '\u0002\0']], [contradicts]],
    ['must not have sectors of 1024 bytes', [[128, both(1024, 16)]], ['its primary volume descriptor has sectors of 1024 bytes; only 2048 are supported']],
    ['may have its root directory in its last sector', [[158, both(23, 32)]], []],
    ['must not have its root directory behind it', [[158, both(24, 32)]], ['the root directory of its primary volume is beyond the end of the volume']],
    [
      'must not have a root directory that ends behind it',
      [
        [158, both(23, 32)],
        [166, both(2049, 32)],
      ],
      ['the root directory of its primary volume is beyond the end of the volume'],
    ],
  ])('%s', async (_what, patches, refusals) => {
    expect(await primary(...patches)).toEqual(refusals)
  })

  test('that is supplementary is checked the same way', async () => {
    expect(await refusalsOf([volume(1), volume(2, 25), END])).toEqual(['it is cut off: its supplementary volume has 51200 bytes, but the file has 49152'])
  })
})

describe('a boot catalogue', () => {
  /** The catalogue in sector 21: its header, the signature in it, and an entry at this offset. */
  const catalogue = (entryAt: number, entry: string, header = '\u0001', signature = '\u0055\u00aa'): Patch[] => [
    [21 * SECTOR, header],
    [21 * SECTOR + 30, signature],
    [21 * SECTOR + entryAt, entry],
  ]
  const record = (sector: number, name = 'EL TORITO SPECIFICATION'): Uint8Array =>
    descriptor(0, [7, name], [0x47, new Uint8Array(Uint32Array.of(sector).buffer)])

  test.each<[string, boolean, readonly Uint8Array[], readonly Patch[]]>([
    ['with a first entry that boots', true, [record(21)], catalogue(32, '\u0088')],
    ['with a second entry that boots', true, [record(21)], catalogue(64, '\u0088')],
    ['with a last entry that boots', true, [record(21)], catalogue(2016, '\u0088')],
    ['whose next sector looks like an entry', false, [record(21)], catalogue(2048, '\u0088')],
    ['whose entries do not boot', false, [record(21)], catalogue(32, '\0')],
    ['whose header is taken for an entry', false, [record(21)], catalogue(0, '\u0088')],
    ['with a byte between two entries', false, [record(21)], catalogue(33, '\u0088')],
    ['without its header', false, [record(21)], catalogue(32, '\u0088', '\u0002')],
    ['without the first byte of its signature', false, [record(21)], catalogue(32, '\u0088', '\u0001', '\u0054\u00aa')],
    ['without the second byte of its signature', false, [record(21)], catalogue(32, '\u0088', '\u0001', '\u0055\u00ab')],
    ['that another record names', true, [record(20), record(21)], catalogue(32, '\u0088')],
    ['that no record of El Torito names', false, [record(21, 'ANOTHER')], catalogue(32, '\u0088')],
    ['outside the file', false, [record(0xffff_ffff)], []],
  ])('%s: bootable is %p', async (_what, bootable, records, patches) => {
    expect(await detect([volume(1), ...records, END], LENGTH, ...patches)).toEqual(found({ bootable }) as Awaited<ReturnType<typeof detect>>)
  })
})

describe('a UDF volume', () => {
  const INCOMPLETE = 'its UDF volume recognition sequence is not complete'
  const NO_ANCHOR = 'it is cut off, or damaged: its UDF anchor is missing'
  const named = (...names: readonly string[]): Uint8Array[] => names.map(recognition)

  test.each<[string, readonly string[], readonly string[]]>([
    ['of version 2', ['BEA01', 'NSR02', 'TEA01'], [NO_ANCHOR]],
    ['of version 3 with a boot record', ['BEA01', 'BOOT2', 'NSR03', 'TEA01'], [NO_ANCHOR]],
    ['after CDW02', ['CDW02', 'BEA01', 'NSR03', 'TEA01'], [NO_ANCHOR]],
    ['without its start', ['NSR02', 'TEA01'], [INCOMPLETE, NO_ANCHOR]],
    ['without its end', ['BEA01', 'NSR02'], [INCOMPLETE, NO_ANCHOR]],
    ['without a version', ['BEA01', 'TEA01'], [INCOMPLETE, NO_ANCHOR]],
    ['of two versions', ['BEA01', 'NSR02', 'NSR03', 'TEA01'], [INCOMPLETE, NO_ANCHOR]],
  ])('%s has these faults', async (_what, names, refusals) => {
    const udf = { format: 'iso', virtualSize: LENGTH, refusals, facts: { variant: 'UDF', bootable: false, clusterSize: 2048 } } as const
    expect(await detect(named(...names))).toEqual(udf)
    // With sectors of 4096 bytes, a descriptor is at the start of each.
    expect(await detectIso(probeOf(LENGTH, ...placed(named(...names), 4096)))).toEqual(udf)
  })

  test('is not looked for at other distances', async () => {
    expect((await detectIso(probeOf(LENGTH, ...placed(named('BEA01', 'NSR02', 'TEA01'), 3 * SECTOR))))?.refusals).toEqual([INCOMPLETE, NO_ANCHOR])
  })

  test('may be a bridge with ISO 9660, whose faults count too', async () => {
    const bridge = named('BEA01', 'NSR02', 'TEA01')
    expect(await detect([volume(1), END, ...bridge])).toMatchObject({ refusals: [NO_ANCHOR], facts: { variant: 'ISO 9660 and UDF' } })
    expect(await refusalsOf([volume(1), ...bridge])).toEqual([UNTERMINATED, NO_ANCHOR])
    // Without a primary volume, it is UDF alone.
    expect(await detect([END, ...bridge])).toMatchObject({ refusals: [NO_ANCHOR], facts: { variant: 'UDF' } })
  })
})
