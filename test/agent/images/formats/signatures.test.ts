// The formats that no store accepts and that begin with a signature: what each is called, and what its user is told to do.

import { describe, expect, test } from 'bun:test'
import { detectSignature } from '../../../../agent/images/formats/signatures.ts'
import { probeOf } from '../../../support/images/probed.ts'

const convert = (driver: string): string => `Run qemu-img convert -f ${driver} -O qcow2 OLD NEW.qcow2 on a trusted machine, then upload NEW.qcow2.`
const unpack = (command: string): string => `Unpack it with ${command}, then upload the disk image inside it.`
const decompress = (command: string): string => `Upload it again with decompress=true, or unpack it with ${command} and upload the disk image inside it.`
const OPEN_LUKS =
  'Run cryptsetup open --type luks OLD NAME on a trusted machine, copy /dev/mapper/NAME to a raw file, then upload that file. A store does not hold keys.'
const MAKE_DISK = 'Unpack it with unsquashfs OLD, and make a disk image from its files, then upload that image.'

/** First bytes in hex, the short name, the name and the advice. */
const SIGNATURES: readonly (readonly [hex: string, foreign: string, name: string, advice: string])[] = [
  ['76686478 66696c65', 'vhdx', 'a disk of Hyper-V (vhdx)', convert('vhdx')],
  ['51454400', 'qed', 'a disk in the obsolete format qed', convert('qed')],
  ['576974686f7574467265655370616365', 'parallels', 'a disk of Parallels', convert('parallels')],
  ['576974686f7546726553706163457874', 'parallels', 'a disk of Parallels', convert('parallels')],
  ['426f636873205669727475616c20484420496d616765', 'bochs', 'a disk of Bochs', convert('bochs')],
  ['23212f62696e2f73680a2356322e3020466f726d61740a', 'cloop', 'a compressed loop device (cloop)', convert('cloop')],
  ['514649fb 00000001', 'qcow', 'a disk in the obsolete format qcow, version 1', convert('qcow')],
  ['4c554b53babe 0001', 'luks', 'an encrypted disk (LUKS 1)', OPEN_LUKS],
  ['4c554b53babe 0002', 'luks', 'an encrypted disk (LUKS 2)', OPEN_LUKS],
  ['4c554b53babe', 'luks', 'an encrypted disk (LUKS)', OPEN_LUKS],
  ['534b554cbabe', 'luks', 'an encrypted disk (LUKS 2)', OPEN_LUKS],
  ['564d4100', 'vma', 'a backup of Proxmox (vma)', unpack('vma extract OLD FOLDER')],
  ['4d5357494d000000', 'wim', 'a Windows image (wim)', unpack('wimapply OLD FOLDER')],
  ['68737173', 'squashfs', 'a squashfs file system', MAKE_DISK],
  ['73717368', 'squashfs', 'a squashfs file system', MAKE_DISK],
  ['1f8b08', 'gzip', 'a file compressed with gzip', decompress('gunzip OLD')],
  ['fd377a585a00', 'xz', 'a file compressed with xz', decompress('unxz OLD')],
  ['28b52ffd', 'zstd', 'a file compressed with zstd', decompress('unzstd OLD')],
  ['425a6831 314159265359', 'bzip2', 'a file compressed with bzip2', unpack('bunzip2 OLD')],
  ['425a6835 314159265359', 'bzip2', 'a file compressed with bzip2', unpack('bunzip2 OLD')],
  ['425a6839 314159265359', 'bzip2', 'a file compressed with bzip2', unpack('bunzip2 OLD')],
  ['425a6839 177245385090', 'bzip2', 'a file compressed with bzip2', unpack('bunzip2 OLD')],
  ['04224d18', 'lz4', 'a file compressed with lz4', unpack('unlz4 OLD NEW')],
  ['4c5a495001', 'lzip', 'a file compressed with lzip', unpack('lzip -d OLD')],
  ['504b0304', 'zip', 'a zip archive', unpack('unzip OLD')],
  ['504b0506', 'zip', 'an empty zip archive', unpack('unzip OLD')],
  ['504b0708', 'zip', 'a part of a zip archive', unpack('unzip OLD')],
  ['377abcaf271c', '7z', 'a 7z archive', unpack('7z x OLD')],
  ['526172211a07', 'rar', 'a rar archive', unpack('unrar x OLD')],
  ['303730373031', 'cpio', 'a cpio archive', unpack('cpio -id')],
  ['303730373032', 'cpio', 'a cpio archive', unpack('cpio -id')],
]

describe.each(SIGNATURES)('%s', (hex, foreign, name, advice) => {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex')

  test(`is ${name}, with advice`, async () => {
    expect(await detectSignature(probeOf(100_000, [0, bytes]))).toEqual({ foreign, name, advice })
    expect(await detectSignature(probeOf(bytes.byteLength, [0, bytes]))).toEqual({ foreign, name, advice })
  })

  test('counts at the first byte only, and only if it is whole', async () => {
    expect(await detectSignature(probeOf(100_000, [1, bytes]))).toBeUndefined()
    const found = await detectSignature(probeOf(bytes.byteLength - 1, [0, bytes]))
    // A version of LUKS that is cut off is LUKS all the same.
    expect(found?.name).toBe(hex.startsWith('4c554b53babe ') ? 'an encrypted disk (LUKS)' : undefined)
  })
})

test('a disk of VirtualBox has its signature at byte 64', async () => {
  const bytes = Buffer.from('7f10dabe', 'hex')
  const vdi = { foreign: 'vdi', name: 'a disk of VirtualBox (vdi)', advice: convert('vdi') }
  expect(await detectSignature(probeOf(68, [64, bytes]))).toEqual(vdi)
  expect(await detectSignature(probeOf(100_000, [64, bytes]))).toEqual(vdi)
  expect(await detectSignature(probeOf(67, [64, bytes]))).toBeUndefined()
  expect(await detectSignature(probeOf(100_000, [65, bytes]))).toBeUndefined()
})

test('zeros, text and an empty file have no signature', async () => {
  expect(await detectSignature(probeOf(100_000))).toBeUndefined()
  expect(await detectSignature(probeOf(5, [0, 'hello']))).toBeUndefined()
  expect(await detectSignature(probeOf(0))).toBeUndefined()
})

describe('a web page', () => {
  const PAGE = {
    foreign: 'html',
    name: 'a web page, such as the error or sign-in page of a download site',
    advice: 'Check the address of the image, download it again, and compare its length and checksum before you upload it.',
  }

  test.each([
    '<!doctype html>',
    '<!DOCTYPE HTML PUBLIC "x">',
    '<html>',
    '<html lang="en">',
    ' \r\n\t<HTML>',
    '\u00ef\u00bb\u00bf<html>',
    `${' '.repeat(250)}<html>`,
  ])('begins with %p', async (text) => {
    expect(await detectSignature(probeOf(text.length, [0, text]))).toEqual(PAGE)
    expect(await detectSignature(probeOf(100_000, [0, text]))).toEqual(PAGE)
  })

  test.each(['<htmlx>', '<html', 'x<html>', '<xml>', `${' '.repeat(251)}<html>`])('does not begin with %p', async (text) => {
    expect(await detectSignature(probeOf(100_000, [0, text]))).toBeUndefined()
  })
})
