// A fixed VHD: the bytes of the disk, and a footer of 512 bytes (Virtual Hard Disk Image Format Specification 1.0, "Hard Disk Footer Format").

import type { Part, SeekableConversion } from '../../contract/convert.ts'
import { allocatedLength } from '../guest-disk.ts'
import { readGuest } from '../guest-reader.ts'
import { requireHolds, wholeSectors } from '../guest-source.ts'
import type { GuestSource } from '../guest-source.ts'

/** Longest disk of a VHD in bytes: 2,040 GiB. */
export const VHD_BYTES_MAX = 2040 * 1024 ** 3
const FOOTER_BYTES = 512
const CHECKSUM_AT = 64
const SECTOR = 512

/** Returns the fixed VHD of a disk. Throws ProblemError `invalid-input` for a disk that is too long. */
export function writeVhd(source: GuestSource): SeekableConversion {
  const { disk, seed } = source
  const size = wholeSectors(disk.length)
  requireHolds(size, { lengthMax: VHD_BYTES_MAX, what: 'A VHD' })
  const footer = vhdFooter(size, seed)
  return {
    kind: 'seekable',
    length: size + FOOTER_BYTES,
    measure: async (signal) => (await allocatedLength(disk, signal)) + SECTOR + FOOTER_BYTES,
    async *parts(start, end, signal) {
      yield* readGuest(source, start, Math.min(end, disk.length), signal)
      const zeros = Math.min(end, size) - Math.max(start, disk.length)
      if (zeros > 0) yield { zeros } satisfies Part
      if (end > size) yield footer.subarray(Math.max(0, start - size), end - size)
    },
  }
}

/** Returns the footer of a fixed disk of `size` bytes. */
function vhdFooter(size: number, seed: Uint8Array): Buffer {
  const footer = Buffer.alloc(FOOTER_BYTES)
  const { cylinders, heads, sectorsPerTrack } = geometryOf(size / SECTOR)
  footer.write('conectix', 0, 'latin1')
  footer.writeUInt32BE(2, 8)
  footer.writeUInt32BE(0x0001_0000, 12)
  // A fixed disk has no further header: all bits set. The time stays 0, so that equal content gives equal bytes.
  footer.fill(0xff, 16, 24)
  // With this creator, readers take the size from the footer and not from the geometry, which cannot express every size.
  footer.write('win ', 28, 'latin1')
  footer.writeUInt32BE(0x000a_0000, 32)
  footer.write('Wi2k', 36, 'latin1')
  footer.writeBigUInt64BE(BigInt(size), 40)
  footer.writeBigUInt64BE(BigInt(size), 48)
  footer.writeUInt16BE(cylinders, 56)
  footer.writeUInt8(heads, 58)
  footer.writeUInt8(sectorsPerTrack, 59)
  footer.writeUInt32BE(2, 60)
  footer.set(seed.subarray(0, 16), 68)
  let sum = 0
  for (const byte of footer) sum += byte
  footer.writeUInt32BE(~sum >>> 0, CHECKSUM_AT)
  return footer
}

/** Returns the geometry of a disk with this many sectors ("Appendix: CHS Calculation"). */
function geometryOf(sectors: number): { cylinders: number; heads: number; sectorsPerTrack: number } {
  const total = Math.min(sectors, 65_535 * 16 * 255)
  if (total >= 65_535 * 16 * 63) return { cylinders: Math.floor(total / 255 / 16), heads: 16, sectorsPerTrack: 255 }
  let sectorsPerTrack = 17
  let tracks = Math.floor(total / sectorsPerTrack)
  let heads = Math.max(4, Math.floor((tracks + 1023) / 1024))
  if (tracks >= heads * 1024 || heads > 16) {
    sectorsPerTrack = 31
    heads = 16
    tracks = Math.floor(total / sectorsPerTrack)
  }
  if (tracks >= heads * 1024) {
    sectorsPerTrack = 63
    heads = 16
    tracks = Math.floor(total / sectorsPerTrack)
  }
  return { cylinders: Math.floor(tracks / heads), heads, sectorsPerTrack }
}
