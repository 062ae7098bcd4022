// Bytes without a format, and bytes that only look like the start of one.

import { seededBytes } from '../../../../support/images/image-store.ts'
import { patched, startingWith } from './format-case.ts'
import type { FormatCase } from './format-case.ts'

const raw = (virtualSize: number) => ({ kind: 'accepted', format: 'raw', virtualSize }) as const

export const RAW_CASES: readonly FormatCase[] = [
  { name: 'one byte', make: () => new Uint8Array(1), expected: raw(1) },
  { name: 'a sector of zeros', make: () => new Uint8Array(512), expected: raw(512) },
  {
    name: 'text that is a vmdk descriptor only with its byte 4097',
    make: () => Buffer.from(`#${'x'.repeat(4086)}\nversion=1\n${'y'.repeat(1023)}\n`, 'latin1'),
    expected: raw(5122),
  },
  { name: 'zeros', make: () => new Uint8Array(1024 * 1024), expected: raw(1024 * 1024) },
  { name: 'random bytes', make: () => seededBytes(70_001, 4), expected: raw(70_001) },
  { name: 'random bytes declared as raw', make: () => seededBytes(70_001, 4), declared: 'raw', expected: raw(70_001) },
  { name: 'three bytes of the magic of qcow2', make: () => startingWith('QFI'), expected: raw(65_536) },
  { name: 'the magic of qcow2 one byte later', make: () => startingWith('\0QFI\u00fb\0\0\0\u0003'), expected: raw(65_536) },
  { name: 'seven bytes of the magic of vhdx', make: () => startingWith('vhdxfil'), expected: raw(65_536) },
  { name: 'the magic of vdi at the start', make: () => startingWith('\u007f\u0010\u00da\u00be'), expected: raw(65_536) },
  { name: 'the cookie of vhd in the middle', make: () => patched(new Uint8Array(65_536), [32_768, 'conectix']), expected: raw(65_536) },
  { name: 'the magic of dmg at the start', make: () => startingWith('koly'), expected: raw(65_536) },
  { name: 'the two first bytes of gzip', make: () => startingWith('\u001f\u008b\u0007'), expected: raw(65_536) },
  { name: 'a shell script', make: () => startingWith('#!/bin/sh\necho hello\n'), expected: raw(65_536) },
  { name: 'BZh without a block', make: () => startingWith('BZh9'), expected: raw(65_536) },
  {
    name: 'no byte',
    make: () => new Uint8Array(0),
    expected: { kind: 'refused', refusal: 'invalid-input', says: 'The upload was empty' },
  },
  {
    name: 'raw declared as qcow2',
    make: () => new Uint8Array(65_536),
    declared: 'qcow2',
    expected: { kind: 'refused', refusal: 'format-mismatch', says: 'declared as qcow2, but its bytes are raw', detected: 'raw' },
  },
  {
    name: 'raw declared as vmdk',
    make: () => new Uint8Array(65_536),
    declared: 'vmdk',
    expected: { kind: 'refused', refusal: 'format-mismatch', says: 'declared as vmdk, but its bytes are raw' },
  },
  {
    name: 'raw declared as iso',
    make: () => new Uint8Array(65_536),
    declared: 'iso',
    expected: { kind: 'refused', refusal: 'format-mismatch', says: 'declared as iso, but its bytes are raw' },
  },
]
