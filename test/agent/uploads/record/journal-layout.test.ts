// The bytes of a journal as docs/format.md describes them, and what its records add up to, as literals: later versions of the agent read them.

import { describe, expect, test } from 'bun:test'
import { decodeJournalHeader, decodeRecord, encodeJournalHeader, encodeRecord, packEntries } from '../../../../agent/uploads/record/journal-codec.ts'
import type { PackedEntries } from '../../../../agent/uploads/record/journal-codec.ts'
import { JournalState } from '../../../../agent/uploads/record/journal-state.ts'

const NO_BYTES = new Uint8Array(0)
const START = { at: 32, check: 15_597_477_667_994_921_036n }
const HEADER = ['534c495057415955', '0100000000000000', '0807060504030201', '4ce8ecd04c5f75d8'].join('')
const RECORD = [
  ...['554c5231', '02000000', '03000000', '00000000', '0504030201000000', '0068e5cf8b010000', 'e8b4e7c334da5580'],
  ...['04030201', '11'.repeat(32), '00100000', '00'.repeat(32), '090807'],
].join('')

const fromHex = (hex: string): Uint8Array => Uint8Array.fromHex(hex)
const twoEntries = packEntries([
  { length: 0x0102_0304, digest: new Uint8Array(32).fill(0x11) },
  { length: 4096, digest: null },
])

describe('on the disk', () => {
  test('a header has its version, its salt and a check of both', () => {
    const { bytes, check } = encodeJournalHeader(0x0102_0304_0506_0708n)
    expect([bytes.toHex(), check]).toEqual([HEADER, START.check])
    expect(decodeJournalHeader(fromHex(HEADER))).toBe(START.check)
  })

  test('a header that is cut, of another version, or of another file is none', () => {
    expect(decodeJournalHeader(fromHex(HEADER).subarray(0, 31))).toBeUndefined()
    // Version 2 with a right check of its own.
    const newer = Buffer.from(fromHex(HEADER)).fill(2, 8, 9)
    newer.writeBigUInt64LE(Bun.hash.xxHash64(newer.subarray(0, 24)), 24)
    expect(decodeJournalHeader(newer)).toBeUndefined()
    for (const at of [0, 7]) {
      const other = Buffer.from(fromHex(HEADER)).fill(0x78, at, at + 1)
      other.writeBigUInt64LE(Bun.hash.xxHash64(other.subarray(0, 24)), 24)
      expect(decodeJournalHeader(other)).toBeUndefined()
    }
  })

  test('a header may be followed by records', () => {
    expect(decodeJournalHeader(fromHex(HEADER + RECORD))).toBe(START.check)
  })

  test('a record has its counts, offset, time and check, then entries and tail', () => {
    const { bytes, check } = encodeRecord({ entries: twoEntries, tail: Uint8Array.of(9, 8, 7), offset: 0x01_0203_0405, timeMs: 1_700_000_000_000 }, START.check)
    expect([bytes.toHex(), check]).toEqual([RECORD, 9_247_537_330_035_078_376n])
    const read = decodeRecord(fromHex(RECORD), START.check)
    expect([read?.check, read?.record.offset, read?.record.timeMs]).toEqual([9_247_537_330_035_078_376n, 0x01_0203_0405, 1_700_000_000_000])
    expect([read?.record.entries.toHex(), read?.record.tail]).toEqual([RECORD.slice(80, 224), Uint8Array.of(9, 8, 7)])
  })

  test('a record with a byte too many or too few is none', () => {
    expect(decodeRecord(fromHex(`${RECORD}00`), START.check)).toBeUndefined()
    expect(decodeRecord(fromHex(RECORD.slice(0, -2)), START.check)).toBeUndefined()
  })
})

const zeros = (count: number, length = 10): PackedEntries => packEntries(Array.from({ length: count }, () => ({ length, digest: null })))

/** What a state says, in the order of its members. */
function saidBy(state: JournalState) {
  const { covered, tailLength, offset, entryCount, timeMs, bytesTimeMs, liveBytes } = state
  return { covered, tailLength, offset, entryCount, timeMs, bytesTimeMs, liveBytes, end: state.end.at, tailFrom: state.tailFrom.at }
}

/** Adds what an append brings. Returns the positions of its records, with their entries and tail bytes. */
function append(state: JournalState, entries: PackedEntries, tail: Uint8Array, timeMs: number) {
  const records = [...state.encode({ entries, tail, timeMs })]
  for (const record of records) state.apply(record)
  return records.map(({ at, end, bytes, record }) => ({
    at,
    end: end.at,
    bytes: bytes.byteLength,
    entries: record.entries.byteLength / 36,
    tail: [...record.tail],
    offset: record.offset,
  }))
}

describe('the records of a journal', () => {
  test('add up to entries, the last tail, and the times of the last record and of the last bytes', () => {
    const state = new JournalState(START)
    const empty = { covered: 0, tailLength: 0, offset: 0, entryCount: 0, timeMs: 0, bytesTimeMs: 0, liveBytes: 0, end: 32, tailFrom: 32 }
    expect(saidBy(state)).toEqual(empty)

    expect(append(state, zeros(0), Uint8Array.of(1, 2), 100)).toEqual([{ at: 32, end: 74, bytes: 42, entries: 0, tail: [1, 2], offset: 2 }])
    const tail = { ...empty, tailLength: 2, offset: 2, timeMs: 100, bytesTimeMs: 100, liveBytes: 2, end: 74 }
    expect(saidBy(state)).toEqual(tail)

    // Only what is new of a tail is written.
    expect(append(state, zeros(0), Uint8Array.of(1, 2, 3), 110)).toEqual([{ at: 74, end: 115, bytes: 41, entries: 0, tail: [3], offset: 3 }])
    expect(saidBy(state)).toEqual({ ...tail, tailLength: 3, offset: 3, timeMs: 110, bytesTimeMs: 110, liveBytes: 3, end: 115 })

    // Entries take the place of the tail before, and bring the whole new one.
    expect(append(state, zeros(2), Uint8Array.of(4), 120)).toEqual([{ at: 115, end: 228, bytes: 113, entries: 2, tail: [4], offset: 21 }])
    const entries = { covered: 20, tailLength: 1, offset: 21, entryCount: 2, timeMs: 120, bytesTimeMs: 120, liveBytes: 73, end: 228, tailFrom: 115 }
    expect(saidBy(state)).toEqual(entries)

    // A record without bytes says that a client was there.
    expect(append(state, zeros(0), Uint8Array.of(4), 130)).toEqual([{ at: 228, end: 268, bytes: 40, entries: 0, tail: [], offset: 21 }])
    expect(saidBy(state)).toEqual({ ...entries, timeMs: 130, end: 268 })

    expect(append(state, zeros(1), NO_BYTES, 140)).toEqual([{ at: 268, end: 344, bytes: 76, entries: 1, tail: [], offset: 30 }])
    const more = { covered: 30, tailLength: 0, offset: 30, entryCount: 3, timeMs: 140, bytesTimeMs: 140, liveBytes: 108, end: 344, tailFrom: 268 }
    expect(saidBy(state)).toEqual(more)
  })

  test.each([
    [65_536, [{ entries: 65_536, tail: [7], offset: 655_361 }]],
    [
      65_537,
      [
        { entries: 65_536, tail: [], offset: 655_360 },
        { entries: 1, tail: [7], offset: 655_371 },
      ],
    ],
    [
      131_072,
      [
        { entries: 65_536, tail: [], offset: 655_360 },
        { entries: 65_536, tail: [7], offset: 1_310_721 },
      ],
    ],
  ])('have at most 65,536 entries each, of %i in one append, and the last one has the tail', (count, expected) => {
    const state = new JournalState(START)
    expect(append(state, zeros(count), Uint8Array.of(7), 5)).toMatchObject(expected)
    expect([state.offset, state.entryCount, state.tailLength]).toEqual([count * 10 + 1, count, 1])
  })

  test('are encoded without a change of the state, each with the check of the one before', () => {
    const state = new JournalState(START)
    const [first, second] = [...state.encode({ entries: zeros(65_537), tail: NO_BYTES, timeMs: 5 })]
    expect(state.end).toEqual(START)
    expect([first?.check, second?.check, second?.at]).toEqual([START.check, first?.end.check, first?.end.at])
    expect(decodeRecord(second?.bytes ?? NO_BYTES, first?.end.check ?? 0n)).toBeDefined()
  })
})
