// dmg by its trailer, which is the last 512 bytes.

import { expect, test } from 'bun:test'
import { detectDmg } from '../../../../agent/images/formats/dmg.ts'
import { probeOf } from '../../../support/images/probed.ts'

const DMG = {
  foreign: 'dmg',
  name: 'a disk image of macOS (dmg)',
  advice: 'Run qemu-img convert -f dmg -O qcow2 OLD NEW.qcow2 on a trusted machine, then upload NEW.qcow2.',
}

test.each([
  ['at the end of a disk', 100_000, 99_488],
  ['alone', 512, 0],
  ['that is cut off', 300, 0],
  ['after one byte', 513, 1],
])('a trailer %s is a dmg', async (_what, length, at) => {
  expect(await detectDmg(probeOf(length, [at, 'koly']))).toEqual(DMG)
})

test.each([
  ['one byte too early', 100_000, 99_487],
  ['one byte too late', 100_000, 99_489],
  ['at the start of a disk', 100_000, 0],
  ['one byte after the start of a short file', 300, 1],
])('a trailer %s is none', async (_what, length, at) => {
  expect(await detectDmg(probeOf(length, [at, 'koly']))).toBeUndefined()
})
