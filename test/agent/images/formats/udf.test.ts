// UDF volumes that are made field by field (ECMA-167, part 3), with sectors of every size.

import { describe, expect, test } from 'bun:test'
import { createProbe } from '../../../../agent/images/formats/probe.ts'
import { checkUdf } from '../../../../agent/images/formats/udf.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

const [ANCHOR, VOLUME, PARTITION, TERMINATOR] = [2, 1, 5, 8] as const

interface Descriptor {
  readonly sector: number
  readonly kind: number
  readonly fields?: readonly (readonly [at: number, value: number])[]
  /** Changes the checksum of the tag. */
  readonly isDamaged?: boolean
  /** Changes the sector that the tag names. */
  readonly tagSector?: number
}

interface Volume {
  readonly sectorBytes?: number
  readonly descriptors?: readonly Descriptor[]
  /** Sectors of the sequence that the anchor names. */
  readonly sequence?: number
  /** Sectors of the file. */
  readonly sectors?: number
}

/** Bytes of a volume whose anchor names a sequence from sector 32 on. */
function bytesOf({ sectorBytes = 2048, descriptors = [], sequence = 16, sectors = 300 }: Volume): Uint8Array {
  const bytes = new Uint8Array(Math.max(sectors, 257) * sectorBytes)
  const view = new DataView(bytes.buffer)
  const anchor: Descriptor = {
    sector: 256,
    kind: ANCHOR,
    fields: [
      [16, sequence * sectorBytes],
      [20, 32],
    ],
  }
  for (const { sector, kind, fields = [], isDamaged = false, tagSector = sector } of [anchor, ...descriptors]) {
    const at = sector * sectorBytes
    view.setUint16(at, kind, true)
    view.setUint32(at + 12, tagSector, true)
    let sum = isDamaged ? 1 : 0
    for (let i = 0; i < 16; i++) if (i !== 4) sum += bytes[at + i] ?? 0
    bytes[at + 4] = sum & 0xff
    for (const [field, value] of fields) view.setUint32(at + field, value, true)
  }
  return bytes.subarray(0, sectors * sectorBytes)
}

function faultsOf(volume: Volume): Promise<string[]> {
  const bytes = bytesOf(volume)
  const image = {
    length: bytes.byteLength,
    async readInto(offset: number, buffer: Uint8Array) {
      const piece = bytes.subarray(offset, offset + buffer.byteLength)
      buffer.set(piece)
      return piece.byteLength
    },
  }
  return checkUdf(createProbe(image, { clock: createManualClock() }))
}

/** A partition of this many sectors from sector 280 on. */
const partition = (sectors: number, sector = 33): Descriptor => ({
  sector,
  kind: PARTITION,
  fields: [
    [188, 280],
    [192, sectors],
  ],
})
const primary: Descriptor = { sector: 32, kind: VOLUME }
const WHOLE = [primary, partition(20), { sector: 34, kind: TERMINATOR }]

describe('a UDF volume', () => {
  test.each([512, 1024, 2048, 4096])('with sectors of %i bytes is whole up to its last sector', async (sectorBytes) => {
    expect(await faultsOf({ sectorBytes, descriptors: WHOLE })).toEqual([])
    expect(await faultsOf({ sectorBytes, descriptors: [primary, partition(21), { sector: 34, kind: TERMINATOR }] })).toEqual([
      `it is cut off: its UDF partition ends at byte ${301 * sectorBytes}, but the file has ${300 * sectorBytes} bytes`,
    ])
  })

  test('without its anchor is cut off', async () => {
    const missing = ['it is cut off, or damaged: its UDF anchor is missing']
    expect(await faultsOf({ descriptors: WHOLE, sectors: 256 })).toEqual(missing)
    // The tag names another sector, or its sum is wrong.
    expect(await faultsOf({ descriptors: [...WHOLE, { sector: 256, kind: ANCHOR, tagSector: 257 }] })).toEqual(missing)
    expect(await faultsOf({ descriptors: [...WHOLE, { sector: 256, kind: ANCHOR, isDamaged: true }] })).toEqual(missing)
    expect(await faultsOf({ descriptors: [...WHOLE, { sector: 256, kind: PARTITION }] })).toEqual(missing)
  })

  test('whose sequence ends outside of the file is cut off', async () => {
    expect(await faultsOf({ descriptors: WHOLE, sequence: 268 })).toEqual([])
    expect(await faultsOf({ descriptors: WHOLE, sequence: 269 })).toEqual(['it is cut off: its UDF volume descriptors are beyond the end of the file'])
  })

  test('whose descriptor is damaged is refused', async () => {
    const damaged = ['one of its UDF volume descriptors is damaged']
    expect(await faultsOf({ descriptors: [{ ...primary, isDamaged: true }, partition(20)] })).toEqual(damaged)
    expect(await faultsOf({ descriptors: [{ ...primary, tagSector: 31 }, partition(20)] })).toEqual(damaged)
  })

  test('ends with a sector of zeros or with its length, and has a partition before that', async () => {
    expect(await faultsOf({ descriptors: [primary, partition(20)] })).toEqual([])
    expect(await faultsOf({ descriptors: [primary, partition(20)], sequence: 2 })).toEqual([])
    const none = ['its UDF volume has no partition']
    expect(await faultsOf({ descriptors: [primary] })).toEqual(none)
    expect(await faultsOf({ descriptors: [primary, partition(20)], sequence: 1 })).toEqual(none)
    expect(await faultsOf({ descriptors: [primary, { sector: 33, kind: TERMINATOR }, partition(20, 34)] })).toEqual(none)
  })

  test('is read up to its 64th descriptor', async () => {
    const filled = (last: number): Descriptor[] => [...Array.from({ length: last }, (_, i) => ({ sector: 32 + i, kind: VOLUME })), partition(20, 32 + last)]
    expect(await faultsOf({ descriptors: filled(63), sequence: 100 })).toEqual([])
    expect(await faultsOf({ descriptors: filled(64), sequence: 100 })).toEqual(['its UDF volume has no partition'])
  })
})
