// Sizes and durations at their bounds.

import { expect, test } from 'bun:test'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../protocol/units.ts'

test.each([
  ['0', 0],
  ['1', 1],
  ['12 B', 12],
  ['1 k', 1000],
  ['1 GB', 1_000_000_000],
  ['1.5GB', 1_500_000_000],
  ['512 MiB', 512 * 1024 * 1024],
  ['2 ki', 2048],
  ['3 tb', 3_000_000_000_000],
  ['8 PB', 8_000_000_000_000_000],
  [' 7 kB ', 7000],
  ['10 PB', undefined],
  ['-1', undefined],
  ['1 XB', undefined],
  ['GB', undefined],
  ['1.GB', undefined],
])('the size %j is %p bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test.each([
  ['500ms', 500],
  ['1s', 1000],
  ['2 m', 120_000],
  ['24h', 86_400_000],
  ['3D', 259_200_000],
  ['1.5w', 907_200_000],
  ['0.0004s', 0],
  ['1', undefined],
  ['1 y', undefined],
  ['h', undefined],
])('the duration %j is %p ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [9_900, '9.9 kB'],
  [9_949, '9.9 kB'],
  [9_950, '10 kB'],
  [10_000, '10 kB'],
  [999_499, '999 kB'],
  [999_500, '1.0 MB'],
  [12_300_000_000, '12 GB'],
  [4_000_000_000_000, '4.0 TB'],
  [5e15, '5.0 PB'],
  [5e18, '5000 PB'],
  [-2000, '-2.0 kB'],
  [-20_000, '-20 kB'],
])('%p bytes are shown as %j', (bytes, text) => {
  expect(formatSize(bytes)).toBe(text)
})

test.each([
  [0, '0 s'],
  [999, '0 s'],
  [1000, '1 s'],
  [60_000, '1 min'],
  [250_000, '4 min 10 s'],
  [183_600_000, '2 d 3 h'],
  [86_400_000 + 60_000, '1 d'],
  [86_400_000 + 3_600_000 + 60_000 + 1000, '1 d 1 h'],
  [-5000, '0 s'],
])('%p ms are shown as %j', (ms, text) => {
  expect(formatDuration(ms)).toBe(text)
})
