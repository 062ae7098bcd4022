// Names and media types of images that are sent as files, as literals.

import { expect, test } from 'bun:test'
import { convertedFileName, formatDisposition, imageContentType, imageFileName, IMAGE_MEDIA_TYPES } from '../../../../agent/http/content/content-headers.ts'
import type { ImageFormat } from '../../../../protocol/images/image.ts'

test.each<[name: string, format: ImageFormat | null, fileName: string]>([
  ['web', null, 'web.raw'],
  ['web', 'raw', 'web.raw'],
  ['web', 'qcow2', 'web.qcow2'],
  ['web', 'vmdk', 'web.vmdk'],
  ['web', 'iso', 'web.iso'],
  // A name that has an extension of its format keeps it.
  ['web.img', 'raw', 'web.img'],
  ['web.DD', null, 'web.DD'],
  ['web.img', 'qcow2', 'web.img'],
  ['web.qcow', 'qcow2', 'web.qcow'],
  ['web.img', 'iso', 'web.img.iso'],
  ['web.qcow2', 'raw', 'web.qcow2.raw'],
  ['web.raw.d', 'raw', 'web.raw.d.raw'],
  ['a/b\\c:d*e?f"g<h>i|j', 'raw', 'a_b_c_d_e_f_g_h_i_j.raw'],
])('the image %j of format %p is sent as %j', (name, format, fileName) => {
  expect(imageFileName(name, format)).toBe(fileName)
})

test.each([
  ['web', 'qcow2', 'web.qcow2'],
  ['web.raw', 'qcow2', 'web.qcow2'],
  ['web.img', 'vhd', 'web.vhd'],
  ['web.vmdk', 'raw', 'web.raw'],
  ['web.tar', 'vmdk', 'web.tar.vmdk'],
  // Nothing would be left of this name.
  ['.raw', 'qcow2', '.raw.qcow2'],
  ['a/b.iso', 'raw', 'a_b.raw'],
] as const)('%j converted to %s is sent as %j', (name, target, fileName) => {
  expect(convertedFileName(name, target)).toBe(fileName)
})

test('each format has its media type; a format that is not known is bytes', () => {
  expect(([null, 'raw', 'qcow2', 'vmdk', 'iso', 'vhd'] as const).map(imageContentType)).toEqual([
    'application/octet-stream',
    'application/octet-stream',
    'application/x-qemu-disk',
    'application/x-vmdk-disk',
    'application/vnd.efi.iso',
    'application/x-vhd-disk',
  ])
  expect(IMAGE_MEDIA_TYPES).toEqual(['application/x-qemu-disk', 'application/x-vmdk-disk', 'application/vnd.efi.iso', 'application/x-vhd-disk'])
})

test('a file name is sent exactly for browsers, and in ASCII for other clients', () => {
  expect(formatDisposition('web.raw')).toBe(`attachment; filename="web.raw"; filename*=UTF-8''web.raw`)
  expect(formatDisposition(`ü "50%" (a)*'\\~`)).toBe(`attachment; filename="_ _50__ (a)*'_~"; filename*=UTF-8''%C3%BC%20%2250%25%22%20%28a%29%2A%27%5C~`)
})
