// Names of exported files.

import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { exportName, numberedName } from '../../../agent/exports/file-name.ts'
import { memoryImage } from '../../support/memory/memory-image.ts'

const source = (filename: string | null) => ({ ...memoryImage().source, filename })

test.each([
  [{ name: 'debian' }, undefined, 'debian.raw'],
  [{ name: 'debian.img' }, undefined, 'debian.img'],
  [{ name: 'debian', source: source('debian-12.img') }, undefined, 'debian-12.img'],
  [{ name: 'debian', source: source('debian-12.img') }, 'qcow2', 'debian-12.qcow2'],
  [{ name: 'debian.qcow2', format: 'qcow2' }, 'vhd', 'debian.vhd'],
  [{ name: 'v1.2', format: 'qcow2' }, undefined, 'v1.2.qcow2'],
  [{ name: 'v1.2' }, 'raw', 'v1.2.raw'],
  [{ name: '../../etc/passwd' }, undefined, '___.._etc_passwd.raw'],
  [{ name: '.hidden' }, undefined, '_hidden.raw'],
  [{ name: '..' }, 'raw', '__.raw'],
  [{ name: 'x', source: source('a\u0000b\u202ec') }, 'raw', 'a_b_c.raw'],
  [{ name: '.raw' }, 'raw', '_raw.raw'],
] as const)('of %o as %p is %p', (image, as, name) => {
  expect(exportName(memoryImage(image as object), as)).toBe(name)
})

test('a name that is taken gets a number before its extension', () => {
  expect(numberedName('disk.qcow2', 1)).toBe('disk.qcow2')
  expect(numberedName('disk.qcow2', 2)).toBe('disk (2).qcow2')
  expect(numberedName('disk', 3)).toBe('disk (3)')
})

test('any name is one visible file of at most 235 bytes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.constantFrom(undefined, 'qcow2', 'vhd'), (filename, as) => {
      const name = exportName({ name: 'x', format: 'raw', source: source(filename) }, as)
      expect(Buffer.byteLength(name)).toBeLessThanOrEqual(235)
      expect(name).toMatch(/^[^./\\\u0000][^/\\\u0000]*$/)
    }),
  )
})
