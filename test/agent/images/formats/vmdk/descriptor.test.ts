// The text of a vmdk descriptor: what is recognised as one, how its lines are read, and which of them refuse a disk.

import { describe, expect, test } from 'bun:test'
import { descriptorFault, isDescriptorText, readDescriptor } from '../../../../../agent/images/formats/vmdk/descriptor.ts'
import type { VmdkDescriptor } from '../../../../../agent/images/formats/vmdk/descriptor.ts'
import type { VmdkHeader } from '../../../../../agent/images/formats/vmdk/header.ts'

const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const read = (...lines: readonly string[]): VmdkDescriptor => readDescriptor(bytesOf(lines.join('\n')))

test.each([
  '# Disk DescriptorFile',
  '# disk descriptorfile and more',
  'version=1',
  'version=2\r\nx',
  '# any comment\nversion=3\n',
  '#\n\n   \n# more\nversion=1',
  ' \nversion=1',
  '\nversion=1',
  '\r\nversion=1',
])('%j begins like a descriptor', (text) => {
  expect(isDescriptorText(bytesOf(text))).toBe(true)
})

test.each([
  '',
  '# Disk Descriptor',
  'Disk DescriptorFile',
  'version=4',
  'version=0',
  'version=12',
  ' version=1',
  'xversion=1',
  'x\nversion=1',
  '\tversion=1',
  '\t\nversion=1',
  '# comment',
  '# comment\nother\nversion=1',
  '# comment\nversion=1 ',
])('%j does not', (text) => {
  expect(isDescriptorText(bytesOf(text))).toBe(false)
})

describe('the lines of a descriptor', () => {
  test('name an extent with its access, its sectors, its type and its file', () => {
    expect(read('createType="monolithicSparse"', 'RW 1024 SPARSE "disk.vmdk"')).toEqual({
      extents: [{ access: 'RW', sectors: 1024, type: 'SPARSE', file: 'disk.vmdk' }],
      sectors: 1024,
      createType: 'monolithicSparse',
      fault: undefined,
    })
    expect(read('createType=custom', '  RDONLY\t7  FLAT "a b" 63 \r', 'NOACCESS 3 ZERO').extents).toEqual([
      { access: 'RDONLY', sectors: 7, type: 'FLAT', file: 'a b' },
      { access: 'NOACCESS', sectors: 3, type: 'ZERO', file: '' },
    ])
  })

  test('count the sectors of all extents, of which the first two are kept', () => {
    const found = read('createType="x"', 'RW 1 A', 'RW 20 B', 'RW 300 C')
    expect([found.sectors, found.extents.map(({ type }) => type), found.fault]).toEqual([321, ['A', 'B'], undefined])
    // 2^53 - 1 bytes are the most that can be counted.
    expect(read('RW 17592186044415 A').sectors).toBe(17_592_186_044_415)
    expect(read('RW 17592186044416 A').sectors).toBe(0)
    expect(read('RW 17592186044415 A', 'RW 1 A').sectors).toBe(0)
  })

  test('end at the first zero byte, after which at most the rest of a longer text follows', () => {
    const text = 'createType="x"\nRW 8 SPARSE'
    expect(read(`${text}\0\0\0`)).toEqual(read(text))
    for (const rest of ['x', 'sixsix', '\0\0\0\0\0x', 'RW 8 S']) expect(read(`${text}\0${rest}\0\0`)).toEqual(read(text))
    for (const rest of ['seven77', '\0\0\0\0\0\0x', `${'\0'.repeat(9999)}x`]) {
      expect(read(`${text}\0${rest}`).fault).toBe('bytes follow the end of its descriptor')
      expect(read(`${text}\0${rest}`).extents).toEqual(read(text).extents)
    }
    const none = { extents: [], sectors: 0, createType: null, fault: 'it is an extent of another disk: it has no descriptor' }
    expect([read(''), read('\0\0'), read('\0x')]).toEqual([none, none, none])
  })

  test('are at most 4096', () => {
    const lines = (count: number): string[] => ['createType="x"', ...Array.from({ length: count - 1 }, () => '#')]
    expect(read(...lines(4096)).fault).toBeUndefined()
    expect(read(...lines(4097)).fault).toBe('its descriptor has more than 4096 lines')
    // The last of them counts, and the one after it does not.
    expect(read(...lines(4095), 'RW 8 SPARSE').sectors).toBe(8)
    expect(read(...lines(4096), 'RW 8 SPARSE').sectors).toBe(0)
    expect(read(...lines(5000), 'x').fault).toBe('its descriptor has more than 4096 lines')
  })

  test('name one type', () => {
    expect(read('RW 8 SPARSE')).toMatchObject({ createType: null, fault: 'its descriptor names no createType' })
    expect(read('createType="a"', 'CREATETYPE="b"')).toMatchObject({ createType: null, fault: 'its descriptor names several createTypes' })
    expect(read('CreateType = a').createType).toBe('a')
    expect(read('createType="a').createType).toBe('"a')
    expect(read('createType=').createType).toBe('')
  })

  test('may be empty, comments and other settings', () => {
    expect(read('createType="x"', '', '   ', '#', ' # x', 'ddb.adapterType = "ide"', 'a-b_c.9=', 'CID=12345678').fault).toBeUndefined()
  })

  const LINE = 'its descriptor has a line that is neither a setting nor an extent: '

  test.each<[string, string | undefined]>([
    ['hello', `${LINE}"hello"`],
    ['9a=1', `${LINE}"9a=1"`],
    ['RW 8 flat "a"', `${LINE}"RW 8 flat "a""`],
    ['RW 123456789012345678901 FLAT', `${LINE}"RW 123456789012345678901 FLAT"`],
    ['RW 8 FLAT "a" 0 "b"', `${LINE}"RW 8 FLAT "a" 0 "b""`],
    ['x'.repeat(40), `${LINE}"${'x'.repeat(40)}"`],
    ['x'.repeat(41), `${LINE}"${'x'.repeat(40)}"`],
    ['a\u0001b\u00fcc', `${LINE}"a?b?c"`],
    ['parentCID=ffffffff', undefined],
    ['parentCID="FFFFFFFF"', undefined],
    ['PARENTCID=fffffffe', 'it has a parent disk'],
    ['parentCID=', 'it has a parent disk'],
    ['parentFileNameHint="a"', 'it has a parent disk'],
    ['changeTrackPath="a"', 'its descriptor names another file (changeTrackPath)'],
    ['CHANGETRACKPATH=""', 'its descriptor names another file (CHANGETRACKPATH)'],
    ['comment="\u00fc"', 'its descriptor is not ASCII text'],
    ['comment="\u0001"', 'its descriptor is not ASCII text'],
    ['comment="\u007f"', 'its descriptor is not ASCII text'],
    ['comment="\t~"', undefined],
  ])('%j: %s', (line, fault) => {
    expect(read('createType="x"', line).fault).toBe(fault)
  })

  test('are refused for the first fault', () => {
    expect(read('parentCID=1', 'hello', 'comment="\u00fc"', '\0seven77').fault).toBe('bytes follow the end of its descriptor')
    expect(read('parentCID=1', 'hello', 'comment="\u00fc"').fault).toBe('it has a parent disk')
    expect(read('hello', 'comment="\u00fc"').fault).toBe(`${LINE}"hello"`)
    expect(read('comment="\u00fc"').fault).toBe('its descriptor is not ASCII text')
    // Beside too many lines, a wrong one is not named.
    expect(read('hello', ...Array.from({ length: 4096 }, () => '#')).fault).toBe('its descriptor has more than 4096 lines')
  })
})

describe('a descriptor inside its disk', () => {
  const SPARSE = { access: 'RW', sectors: 1024, type: 'SPARSE', file: 'disk.vmdk' }
  const good: VmdkDescriptor = { extents: [SPARSE], sectors: 1024, createType: 'monolithicSparse', fault: undefined }
  const faultOf = (change: Partial<VmdkDescriptor>, header: { isCompressed?: boolean; capacity?: number | null } = {}): string | undefined =>
    descriptorFault({ ...good, ...change }, { isCompressed: false, capacity: 1024, ...header } as VmdkHeader)
  const extent = (change: Partial<typeof SPARSE>): Partial<VmdkDescriptor> => ({ extents: [{ ...SPARSE, ...change }] })
  const OTHERS = 'its data is in other files'
  const unsupported = (type: string): string => `its createType "${type}" is not supported; only monolithicSparse and streamOptimized are`

  test('agrees with its header', () => {
    expect(faultOf({})).toBeUndefined()
    expect(faultOf(extent({ access: 'RDONLY', file: '' }))).toBeUndefined()
    expect(faultOf({ createType: 'streamOptimized' }, { isCompressed: true })).toBeUndefined()
  })

  test.each<[string, string, Partial<VmdkDescriptor>]>([
    ['two extents', OTHERS, { extents: [SPARSE, SPARSE] }],
    ['a flat extent', OTHERS, extent({ type: 'FLAT' })],
    ['a path', OTHERS, extent({ file: 'a/b' })],
    ['a path of Windows', OTHERS, extent({ file: 'a\\b' })],
    ['a protocol', OTHERS, extent({ file: 'nbd:b' })],
    ['two extents and another fault', OTHERS, { extents: [SPARSE, SPARSE], fault: 'a fault of its lines' }],
    ['a fault of its lines', 'a fault of its lines', { fault: 'a fault of its lines', createType: 'x' }],
    ['another type', unsupported('vmfs'), { createType: 'vmfs' }],
    ['no type', unsupported(''), { createType: null }],
    ['the type of a stream', 'its createType streamOptimized contradicts its header', { createType: 'streamOptimized' }],
    ['no extent', 'its descriptor names no extent', { extents: [] }],
    ['an extent without access', 'its extent must not be read (NOACCESS)', extent({ access: 'NOACCESS' })],
    ['a sector too many', 'its extent has 1025 sectors, but its header says 1024', extent({ sectors: 1025 })],
    ['a sector too few', 'its extent has 1023 sectors, but its header says 1024', extent({ sectors: 1023 })],
  ])('with %s: %s', (_what, fault, change) => {
    expect(faultOf(change)).toBe(fault)
  })

  test('contradicts a compressed header, or one without a capacity', () => {
    expect(faultOf({}, { isCompressed: true })).toBe('its createType monolithicSparse contradicts its header')
    expect(faultOf({}, { capacity: null })).toBe('its extent has 1024 sectors, but its header says none')
  })
})
