// tar archives by their headers: with a signature, and without one by the checksum of every byte.

import { describe, expect, test } from 'bun:test'
import { detectTar } from '../../../../agent/images/formats/tar.ts'
import { probeOf } from '../../../support/images/probed.ts'

const TAR = { foreign: 'tar', name: 'a tar archive', advice: 'Unpack it with tar -xf OLD, then upload the disk image inside it.' }
const OVA = {
  foreign: 'ova',
  name: 'a virtual machine (OVA)',
  advice: 'Unpack it with tar -xf OLD.ova, then upload each disk inside it: a .vmdk that is streamOptimized needs no conversion.',
}

/** A header of the old format, whose bytes are all letters but those of its checksum. */
function oldHeader(field: (sum: number) => string, first = 'x'): Buffer {
  const header = Buffer.alloc(512, 'y')
  header.write(first, 0, 'latin1')
  header.fill(' ', 148, 156)
  const sum = header.reduce((all, byte) => all + byte, 0)
  header.write(field(sum), 148, 'latin1')
  return header
}

const octal = (sum: number): string => `${sum.toString(8).padStart(6, '0')}\0 `
const detect = (header: Uint8Array, length = header.byteLength): ReturnType<typeof detectTar> => detectTar(probeOf(length, [0, header]))

describe('an archive with a signature', () => {
  const named = (name: string, magicAt = 257): Buffer => {
    const header = Buffer.alloc(512)
    header.write(name, 0)
    header.write('ustar', magicAt)
    return header
  }

  test('needs no checksum, and has it at byte 257', async () => {
    expect(await detect(named('disk.raw'))).toEqual(TAR)
    expect(await detect(named('disk.raw').subarray(0, 262))).toEqual(TAR)
    expect(await detect(named('disk.raw').subarray(0, 261))).toBeUndefined()
    expect(await detect(named('disk.raw', 256))).toBeUndefined()
    expect(await detect(named('disk.raw', 258))).toBeUndefined()
  })

  test('is a virtual machine if its first member is an OVF description', async () => {
    expect(await detect(named('box.ovf'))).toEqual(OVA)
    expect(await detect(named('BOX.OVF'))).toEqual(OVA)
    expect(await detect(named('.ovf'))).toEqual(OVA)
    expect(await detect(named('box.ovf.txt'))).toEqual(TAR)
    expect(await detect(named('boxovf'))).toEqual(TAR)
    expect(await detect(named('disk.raw\0box.ovf'))).toEqual(TAR)
  })

  test('may have a name of 100 bytes', async () => {
    const name = `${'a'.repeat(96)}.ovf`
    expect(await detect(named(`${name}0000644`))).toEqual(OVA)
    expect(await detect(named(`${'a'.repeat(97)}.ovf`))).toEqual(TAR)
  })
})

describe('an archive without a signature', () => {
  test('has the sum of its 512 bytes in its header', async () => {
    expect(await detect(oldHeader(octal))).toEqual(TAR)
    expect(await detect(oldHeader(octal), 100_000)).toEqual(TAR)
    expect(await detect(oldHeader((sum) => ` ${sum.toString(8)}\0`))).toEqual(TAR)
    expect(await detect(oldHeader((sum) => `${sum.toString(8)}       `.slice(0, 8)))).toEqual(TAR)
  })

  test.each<[string, Uint8Array]>([
    ['a sum that is one too high', oldHeader((sum) => octal(sum + 1))],
    ['a sum that is one too low', oldHeader((sum) => octal(sum - 1))],
    ['a sum in another base', oldHeader((sum) => `${sum}\0 `)],
    ['a sum with a digit that is none', oldHeader((sum) => `0${sum.toString(8)}8\0`)],
    ['a sum of 8 digits', oldHeader((sum) => sum.toString(8).padStart(8, '0'))],
    ['no name', oldHeader(octal, '\0')],
    ['511 bytes', oldHeader(octal).subarray(0, 511)],
    ['nothing', new Uint8Array(0)],
    ['zeros', new Uint8Array(512)],
  ])('does not have %s', async (_what, header) => {
    expect(await detect(header)).toBeUndefined()
  })
})
