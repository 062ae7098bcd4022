// What an inspection says when several formats are in one image, or another one was declared: every member of the answer.

import { describe, expect, test } from 'bun:test'
import { refusedUnseen, undetected } from '../../../../agent/images/formats/inspection.ts'
import type { Inspection } from '../../../../agent/images/formats/inspection.ts'
import { inspectBytes, RAW_DETAILS } from '../../../support/images/inspected.ts'
import { buildQcow2 } from '../../../support/images/qcow2-image.ts'
import { patched } from './cases/format-case.ts'
import { descriptor, disc, volume } from './cases/iso-image.ts'
import { partitionEntry } from './cases/partition-cases.ts'

const LENGTH = 49_152
/** One partition, in the first sector of whatever it is written over. */
const MBR = [
  [446, partitionEntry(0, 0x83, 1, 8)],
  [510, '\u0055\u00aa'],
] as const
const ACTIVE = [...MBR, [446, '\u0080']] as const
const VHD = [LENGTH - 512, 'conectix'] as const
const iso = (...patches: Parameters<typeof patched>[1][]): Uint8Array => patched(disc(volume(1), descriptor(255)), ...patches)

const ISO_DETAILS = { ...RAW_DETAILS, detected: 'iso', variant: 'ISO 9660', clusterSize: 2048, bootable: false } as const
const FLATTEN = /^Unsafe image: (.+)\. Flatten the image/

/** The clauses of an unsafe image. */
function clausesOf(found: Inspection): string {
  if (found.kind !== 'refused') return 'accepted'
  expect(found.refusal).toBe('unsafe-image')
  return FLATTEN.exec(found.reason)?.[1] ?? found.reason
}

describe('one format', () => {
  test('is accepted as itself, or without a declared one', async () => {
    const raw = { kind: 'accepted', format: 'raw', virtualSize: 1000, details: RAW_DETAILS } as const
    expect(await inspectBytes(new Uint8Array(1000))).toEqual(raw)
    expect(await inspectBytes(new Uint8Array(1000), 'raw')).toEqual(raw)
    expect(await inspectBytes(iso(), 'iso')).toEqual({ kind: 'accepted', format: 'iso', virtualSize: LENGTH, details: ISO_DETAILS })
    const details = { ...RAW_DETAILS, variant: 'MBR', partitionTable: 'mbr', bootable: false } as const
    expect(await inspectBytes(patched(new Uint8Array(LENGTH), ...MBR))).toEqual({ kind: 'accepted', format: 'raw', virtualSize: LENGTH, details })
  })

  test('is refused as another one', async () => {
    const found = await inspectBytes(iso(), 'qcow2')
    expect(found).toMatchObject({ kind: 'refused', refusal: 'format-mismatch', format: 'iso', virtualSize: LENGTH })
    expect(found.details).toEqual({ ...ISO_DETAILS, refusal: 'format-mismatch' })
    if (found.kind === 'refused') expect(found.reason).toStartWith('Format mismatch: declared as qcow2, but its bytes are iso. ')
    expect(await inspectBytes(new Uint8Array(1000), 'vmdk')).toMatchObject({ refusal: 'format-mismatch', format: 'raw' })
  })

  test('that is unsafe is refused for every reason, whatever was declared', async () => {
    const found = await inspectBytes(disc(volume(2)), 'raw')
    expect(clausesOf(found)).toBe('it has no primary volume descriptor, and its list of volume descriptors is cut off, so it cannot be checked')
    expect([found.format, found.virtualSize]).toEqual(['iso', LENGTH])
    expect(found.details).toEqual({ ...ISO_DETAILS, refusal: 'unsafe-image' })
  })

  test('that no store accepts is refused with advice', async () => {
    const bytes = patched(new Uint8Array(LENGTH), [0, 'QED\0'])
    const advice = 'Run qemu-img convert -f qed -O qcow2 OLD NEW.qcow2 on a trusted machine, then upload NEW.qcow2.'
    const refused = { kind: 'refused', format: null, virtualSize: null } as const
    expect(await inspectBytes(bytes)).toEqual({
      ...refused,
      refusal: 'unsupported-format',
      details: { ...RAW_DETAILS, detected: 'qed', refusal: 'unsupported-format' },
      reason: `Format not supported: the file is a disk in the obsolete format qed. ${advice}`,
    })
    expect(await inspectBytes(bytes, 'raw')).toEqual({
      ...refused,
      refusal: 'format-mismatch',
      details: { ...RAW_DETAILS, detected: 'qed', refusal: 'format-mismatch' },
      reason: `Format mismatch: declared as raw, but the file is a disk in the obsolete format qed. ${advice}`,
    })
  })
})

describe('two formats', () => {
  const QCOW2 = buildQcow2().bytes

  test.each<[string, Uint8Array, string]>([
    ['two of other hypervisors', patched(new Uint8Array(LENGTH), [0, 'QED\0'], VHD), 'its bytes are valid as both qed and vhd'],
    ['a disc and a foreign one', iso(VHD), 'its bytes are valid as both iso and vhd'],
    ['a disc and a qcow2', patched(QCOW2, [32_768, disc(volume(1), descriptor(255)).subarray(32_768)]), 'its bytes are valid as both qcow2 and iso'],
    ['a qcow2 and partitions', patched(QCOW2, ...MBR), 'its bytes are valid as both qcow2 and a disk with a partition table (mbr)'],
  ])('%s are refused', async (_what, bytes, clause) => {
    const found = await inspectBytes(bytes)
    expect(clausesOf(found)).toBe(clause)
    expect([found.format, found.virtualSize, found.details]).toEqual([null, null, { ...RAW_DETAILS, detected: 'unknown', refusal: 'unsafe-image' }])
  })

  test('are one where a foreign disk has the partitions of its guest', async () => {
    expect(await inspectBytes(patched(new Uint8Array(LENGTH), ...MBR, VHD))).toMatchObject({ refusal: 'unsupported-format', details: { detected: 'vhd' } })
  })

  test('are one where a disc is a disk too, which boots if either does', async () => {
    const hybrid = { kind: 'accepted', format: 'iso', virtualSize: LENGTH, details: { ...ISO_DETAILS, partitionTable: 'mbr' } } as const
    expect(await inspectBytes(iso(...MBR))).toEqual(hybrid)
    expect(await inspectBytes(iso(...ACTIVE))).toEqual({ ...hybrid, details: { ...hybrid.details, bootable: true } })
    const record = descriptor(0, [7, 'EL TORITO SPECIFICATION'], [0x47, Uint8Array.of(21, 0, 0, 0)])
    const catalogue = [
      [21 * 2048, '\u0001'],
      [21 * 2048 + 30, '\u0055\u00aa\u0088'],
    ] as const
    const boots = patched(disc(volume(1), record, descriptor(255)), ...catalogue, ...MBR)
    expect(await inspectBytes(boots)).toEqual({ ...hybrid, details: { ...hybrid.details, bootable: true } })
  })

  test('of which the partitions are wrong are refused only as a disk', async () => {
    const cut = [446 + 12, '\u00ff\u00ff\u00ff\u00ff'] as const
    expect(clausesOf(await inspectBytes(patched(new Uint8Array(LENGTH), ...MBR, cut)))).toStartWith('it is cut off: a partition ends at byte')
    expect(await inspectBytes(iso(...MBR, cut))).toMatchObject({ kind: 'accepted', format: 'iso' })
  })
})

test('an image that was not looked at has only the code of its refusal', async () => {
  const details = { ...RAW_DETAILS, detected: 'unknown', refusal: 'invalid-input' } as const
  expect(undetected('invalid-input')).toEqual(details)
  const refused = { kind: 'refused', refusal: 'invalid-input', format: null, virtualSize: null, details } as const
  expect(refusedUnseen('invalid-input', 'why')).toEqual({ ...refused, reason: 'why' })
  const reason = 'The upload was empty: an image must have at least one byte. Check the source file and upload it again.'
  expect(await inspectBytes(new Uint8Array(0))).toEqual({ ...refused, reason })
})
