// The header of a sparse vmdk and its copy in the footer: every bound at its last value and one past it.

import { describe, expect, test } from 'bun:test'
import { createProbe } from '../../../../../agent/images/formats/probe.ts'
import { parseHeader, readFooter } from '../../../../../agent/images/formats/vmdk/header.ts'
import { createManualClock } from '../../../../support/memory/manual-clock.ts'

const SECTOR = 512
/** Flags: valid line ends, redundant tables, grains of zeros, compressed grains, markers. */
const [LINES, REDUNDANT, ZEROED, COMPRESSED, MARKERS] = [1, 2, 4, 65_536, 131_072]
const STREAM = LINES | COMPRESSED | MARKERS
const IN_FOOTER = 2n ** 64n - 1n

interface Fields {
  readonly version?: number
  readonly flags?: number
  readonly capacity?: bigint
  readonly grain?: bigint
  readonly descriptorAt?: bigint
  readonly descriptorSectors?: bigint
  readonly entries?: number
  readonly redundantAt?: bigint
  readonly directoryAt?: bigint
  readonly newlines?: string
  readonly compression?: number
}

function sectorOf(fields: Fields): Uint8Array {
  const { version = 1, flags = LINES, capacity = 2048n, grain = 128n, descriptorAt = 1n, descriptorSectors = 20n, entries = 512 } = fields
  const { redundantAt = 21n, directoryAt = 26n, newlines = '\n \r\n', compression = 0 } = fields
  const bytes = new Uint8Array(SECTOR)
  const view = new DataView(bytes.buffer)
  bytes.set(Buffer.from('KDMV'))
  view.setUint32(4, version, true)
  view.setUint32(8, flags, true)
  view.setBigUint64(12, capacity, true)
  view.setBigUint64(20, grain, true)
  view.setBigUint64(28, descriptorAt, true)
  view.setBigUint64(36, descriptorSectors, true)
  view.setUint32(44, entries, true)
  view.setBigUint64(48, redundantAt, true)
  view.setBigUint64(56, directoryAt, true)
  bytes.set(Buffer.from(newlines), 73)
  view.setUint16(77, compression, true)
  return bytes
}

test('a header says where the tables are', () => {
  const { header, faults } = parseHeader(sectorOf({}))
  const { bytes, ...members } = header
  expect([faults, bytes.byteLength]).toEqual([[], 512])
  expect(members).toEqual({
    capacity: 2048,
    grainSectors: 128,
    grainBytes: 65_536,
    descriptorSector: 1,
    descriptorSectors: 20,
    tableEntries: 512,
    directorySector: 26,
    redundantSector: null,
    isCompressed: false,
    hasZeroedGrains: false,
  })
  const other = parseHeader(sectorOf({ flags: STREAM | REDUNDANT | ZEROED, compression: 1, directoryAt: IN_FOOTER })).header
  expect([other.redundantSector, other.hasZeroedGrains, other.isCompressed, other.directorySector]).toEqual([21, true, true, null])
  const flagged = (flags: number) => parseHeader(sectorOf({ flags })).header
  expect([flagged(LINES | REDUNDANT).redundantSector, flagged(LINES | REDUNDANT).hasZeroedGrains]).toEqual([21, false])
  expect([flagged(LINES | ZEROED).redundantSector, flagged(LINES | ZEROED).hasZeroedGrains]).toEqual([null, true])
  expect(parseHeader(sectorOf({ capacity: 1n })).header.capacity).toBe(1)
  // What follows the header is no part of it.
  expect(parseHeader(new Uint8Array(4096).fill(7)).header.bytes.byteLength).toBe(512)
  // A number beyond all bounds is the largest one.
  const far = parseHeader(sectorOf({ descriptorAt: 2n ** 44n, descriptorSectors: 2n ** 44n + 1n, directoryAt: IN_FOOTER - 1n })).header
  expect([far.descriptorSector, far.descriptorSectors, far.directorySector]).toEqual([2 ** 44, 2 ** 44, 2 ** 44])
})

test.each<[string, Fields]>([
  ['version 3', { version: 3 }],
  ['one sector', { capacity: 1n }],
  ['2^44 - 1 sectors', { capacity: 2n ** 44n - 1n }],
  ['grains of 4 KiB', { grain: 8n }],
  ['grains of 2 MiB', { grain: 4096n }],
  ['one entry in a table', { entries: 1 }],
  ['a compression that nothing uses', { compression: 1 }],
  ['compressed grains', { flags: STREAM, compression: 1 }],
])('%s may be', (_what, fields) => {
  expect(parseHeader(sectorOf(fields)).faults).toEqual([])
})

const grains = (sectors: number): string => `its grains have ${sectors} sectors; they must have a power of 2 between 8 and 4096`
const entriesOf = (count: number): string => `its grain tables have ${count} entries; they must have 1 to 512`

test.each<[string, Fields, string]>([
  ['version 0', { version: 0 }, 'it is vmdk of version 0, which is not supported'],
  ['version 4', { version: 4 }, 'it is vmdk of version 4, which is not supported'],
  ['no capacity', { capacity: 0n }, 'its capacity is 0'],
  ['2^44 sectors', { capacity: 2n ** 44n }, 'its virtual size is beyond all bounds'],
  ['grains of 2 KiB', { grain: 4n }, grains(4)],
  ['grains of 4 MiB', { grain: 8192n }, grains(8192)],
  ['grains of 9 sectors', { grain: 9n }, grains(9)],
  ['tables without entries', { entries: 0 }, entriesOf(0)],
  ['tables of 513 entries', { entries: 513 }, entriesOf(513)],
  ['other line ends', { newlines: '\n \n\n' }, 'its line ends were changed by a transfer in text mode'],
  ['compression 2', { compression: 2 }, 'its compression 2 is unknown'],
  ['compressed grains without compression', { flags: STREAM }, 'it has compressed grains without a compression'],
  ['markers alone', { flags: LINES | MARKERS }, 'it has compressed grains without markers, or markers without compressed grains'],
  ['no markers', { flags: LINES | COMPRESSED, compression: 1 }, 'it has compressed grains without markers, or markers without compressed grains'],
])('%s is a fault', (_what, fields, fault) => {
  const { header, faults } = parseHeader(sectorOf(fields))
  expect(faults).toEqual([fault])
  expect(header.capacity === null).toBe(fields.capacity !== undefined)
})

describe('a footer', () => {
  const IN_STREAM: Fields = { flags: STREAM, compression: 1, directoryAt: IN_FOOTER }

  interface Footer {
    readonly header?: Fields
    readonly copy?: Fields
    /** Sectors before the footer. */
    readonly before?: number
    /** Bytes after it. */
    readonly after?: number
    readonly change?: (view: DataView) => void
  }

  /** Reads the footer of a file: a marker, the copy of the header, and the end-of-stream marker. */
  function read({ header = IN_STREAM, copy = { ...IN_STREAM, directoryAt: 77n }, before = 1, after = 0, change = () => {} }: Footer = {}) {
    const footer = new Uint8Array(3 * SECTOR)
    const view = new DataView(footer.buffer)
    view.setUint32(12, 3, true)
    footer.set(sectorOf(copy), SECTOR)
    change(view)
    const file = new Uint8Array(Buffer.concat([new Uint8Array(before * SECTOR), footer, new Uint8Array(after)]))
    const image = {
      length: file.byteLength,
      async readInto(offset: number, buffer: Uint8Array) {
        const piece = file.subarray(offset, offset + buffer.byteLength)
        buffer.set(piece)
        return piece.byteLength
      },
    }
    return readFooter(createProbe(image, { clock: createManualClock() }), parseHeader(sectorOf(header)).header)
  }

  test('names the grain directory, and may name another redundant one', async () => {
    expect(await read()).toEqual({ directorySector: 77 })
    expect(await read({ copy: { ...IN_STREAM, directoryAt: 77n, redundantAt: 5n } })).toEqual({ directorySector: 77 })
    // The fields end with the compression.
    expect(await read({ change: (view) => view.setUint8(SECTOR + 79, 1) })).toEqual({ directorySector: 77 })
  })

  const CUT_OFF = 'its footer is cut off, so it cannot be checked'
  const NO_END = 'its footer is not followed by the end-of-stream marker'

  test.each<[string, Footer, string]>([
    ['of a disk that is not compressed', { header: { directoryAt: IN_FOOTER } }, 'its grain directory is in a footer, which only streamOptimized has'],
    ['without a header before it', { before: 0 }, CUT_OFF],
    ['with a byte after it', { after: 1 }, CUT_OFF],
    ['with a sector after it', { after: SECTOR }, CUT_OFF],
    ['with another marker', { change: (view) => view.setUint32(12, 2, true) }, CUT_OFF],
    ['with a marker that has a size', { change: (view) => view.setUint32(8, 1, true) }, CUT_OFF],
    ['without the magic', { change: (view) => view.setUint8(SECTOR, 0) }, CUT_OFF],
    ['without its end', { change: (view) => view.setUint32(2 * SECTOR + 12, 1, true) }, NO_END],
    ['with an end that has a size', { change: (view) => view.setUint32(2 * SECTOR + 8, 1, true) }, NO_END],
    ['with an end that has a value', { change: (view) => view.setUint8(2 * SECTOR, 1) }, NO_END],
    ['that names another footer', { copy: IN_STREAM }, 'its footer names another footer'],
    ['of another capacity', { copy: { ...IN_STREAM, directoryAt: 77n, capacity: 2049n } }, 'its footer contradicts its header'],
    ['of another length of metadata', { change: (view) => view.setUint8(SECTOR + 64, 1) }, 'its footer contradicts its header'],
    ['of another version', { copy: { ...IN_STREAM, directoryAt: 77n, version: 2 } }, 'its footer contradicts its header'],
    ['of other tables', { copy: { ...IN_STREAM, directoryAt: 77n, entries: 511 } }, 'its footer contradicts its header'],
    ['of another compression', { copy: { ...IN_STREAM, directoryAt: 77n, compression: 257 } }, 'its footer contradicts its header'],
  ])('%s is refused', async (_what, footer, fault) => {
    expect(await read(footer)).toBe(fault)
  })
})
