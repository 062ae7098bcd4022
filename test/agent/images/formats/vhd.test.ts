// vhd by its footer: in the last 512 bytes, in the last 511 of old versions, or in a copy at the start.

import { expect, test } from 'bun:test'
import { detectVhd } from '../../../../agent/images/formats/vhd.ts'
import { probeOf } from '../../../support/images/probed.ts'
import type { Patch } from '../../../support/images/probed.ts'

const MERGE = 'Merge it into its parent with Merge-VHD on a machine that has the parent, then convert the parent with qemu-img convert -f vpc -O qcow2.'
const CONVERT = 'Run qemu-img convert -f vpc -O qcow2 OLD NEW.qcow2 on a trusted machine, then upload NEW.qcow2.'

const named = (kind: string): object => ({ foreign: 'vhd', name: `a ${kind} disk of Hyper-V or Virtual PC (vhd)`, advice: CONVERT })

/** A footer of a type at an offset. */
function footer(at: number, type: number): Patch[] {
  return [
    [at, 'conectix'],
    [at + 60, Uint8Array.of(0, 0, 0, type)],
  ]
}

test.each<[string, number, readonly Patch[], object]>([
  ['a fixed disk', 100_000, footer(99_488, 2), named('fixed')],
  ['a fixed disk of an old version', 100_000, footer(99_489, 2), named('fixed')],
  ['a fixed disk that is only its footer', 512, footer(0, 2), named('fixed')],
  ['a footer of 511 bytes alone', 511, footer(0, 2), named('fixed')],
  ['a footer of 511 bytes after one byte', 512, footer(1, 2), named('fixed')],
  ['a dynamic disk', 100_000, [...footer(0, 3), ...footer(99_488, 3)], named('dynamic')],
  ['a dynamic disk that is cut off', 90_000, footer(0, 3), named('dynamic')],
  ['an unknown type', 100_000, footer(99_488, 5), named('damaged')],
  ['no type', 100_000, footer(99_488, 0), named('damaged')],
  ['a copy at the start of another type, which comes first,', 100_000, [...footer(0, 3), ...footer(99_488, 2)], named('dynamic')],
  ['a footer that ends after its type', 64, footer(0, 2), named('fixed')],
  ['a footer that ends in its type', 63, footer(0, 2), named('damaged')],
  ['a footer that is only its cookie', 8, footer(0, 2), named('damaged')],
])('%s is a vhd', async (_what, length, patches, found) => {
  expect(await detectVhd(probeOf(length, ...patches))).toEqual(found as Awaited<ReturnType<typeof detectVhd>>)
})

test('a differencing disk has to be merged first', async () => {
  expect(await detectVhd(probeOf(100_000, ...footer(0, 4)))).toEqual({
    foreign: 'vhd',
    name: 'a differencing disk of Hyper-V (vhd), which is incomplete without its parent',
    advice: MERGE,
  })
})

test.each<[string, number, readonly Patch[]]>([
  ['one byte too early', 100_000, footer(99_487, 2)],
  ['one byte too late', 100_000, footer(99_490, 2)],
  ['one byte after the start', 100_000, footer(1, 2)],
  ['one byte after the start of a short file', 300, footer(1, 2)],
  ['in the middle', 100_000, footer(50_000, 2)],
  ['nowhere', 100_000, []],
  ['in an empty file', 0, []],
])('a cookie %s is none', async (_what, length, patches) => {
  expect(await detectVhd(probeOf(length, ...patches))).toBeUndefined()
})
