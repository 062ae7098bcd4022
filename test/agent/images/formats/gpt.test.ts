// The bounds of a GPT, on disks that are made by hand: a header in sector 1, its entries in sector 2 and after, and its backup in the last sector.

import { describe, expect, test } from 'bun:test'
import { readGpt } from '../../../../agent/images/formats/gpt.ts'
import { createProbe } from '../../../../agent/images/formats/probe.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

const MIB = 1024 * 1024
/** The disk has 4 MiB: sectors 0 to 8191 of 512 bytes. */
const LENGTH = 4 * MIB
/** Types of partitions in the byte order of the disk: of Linux, of EFI, and of the loader of a BIOS. */
const LINUX = 'af3dc60f838472478e793d69d8477de4'
const EFI = '28732ac11ff8d211ba4b00a0c93ec93b'
const BIOS = '4861682149646f6e744e656564454649'

interface Partition {
  readonly type: string
  readonly last?: number
  readonly attributes?: bigint
}

interface Disk {
  readonly partitions?: readonly Partition[]
  readonly sectorBytes?: number
  readonly headerBytes?: number
  readonly count?: number
  readonly entryBytes?: number
  readonly entriesAt?: number
  readonly backupAt?: number
  readonly lastUsable?: number
  /** What the backup names as the other header. */
  readonly backupOther?: number
  /** Length of the file; the rest of the disk is missing. */
  readonly cutTo?: number
  /** Where the first header says that it is. */
  readonly own?: number
  /** The reserved byte after the checksum. */
  readonly reserved?: number
  /** Bytes that change after the checksums are written. */
  readonly damaged?: readonly number[]
}

/** Reads the GPT of a disk. Checksums are right. */
async function read(disk: Disk) {
  const { partitions = [], sectorBytes = 512, headerBytes = 92, count = 128, entryBytes = 128, entriesAt = 2 } = disk
  const { backupAt = LENGTH / sectorBytes - 1, lastUsable = backupAt - 1, backupOther = 1, cutTo = LENGTH } = disk
  const { own: ownSector = 1, reserved = 0, damaged = [] } = disk
  const bytes = new Uint8Array(LENGTH)
  const view = new DataView(bytes.buffer)
  for (const [i, { type, last = 100, attributes = 0n }] of partitions.entries()) {
    const at = entriesAt * sectorBytes + i * entryBytes
    bytes.set(Buffer.from(type, 'hex'), at)
    view.setBigUint64(at + 40, BigInt(last), true)
    view.setBigUint64(at + 48, attributes, true)
  }
  const entries = bytes.slice(entriesAt * sectorBytes, entriesAt * sectorBytes + Math.min(count * entryBytes, 2 * MIB))
  const writeHeader = (place: number, other: number, own = place): void => {
    const at = place * sectorBytes
    bytes.set(Buffer.from('EFI PART'), at)
    view.setUint32(at + 12, headerBytes, true)
    view.setUint8(at + 20, reserved)
    view.setBigUint64(at + 24, BigInt(own), true)
    view.setBigUint64(at + 32, BigInt(other), true)
    view.setBigUint64(at + 48, BigInt(lastUsable), true)
    view.setBigUint64(at + 72, BigInt(entriesAt), true)
    view.setUint32(at + 80, count, true)
    view.setUint32(at + 84, entryBytes, true)
    view.setUint32(at + 88, Bun.hash.crc32(entries), true)
    view.setUint32(at + 16, Bun.hash.crc32(bytes.slice(at, at + headerBytes)), true)
  }
  writeHeader(1, backupAt, ownSector)
  writeHeader(backupAt, backupOther)
  for (const at of damaged) bytes[at] = (bytes[at] ?? 0) ^ 1
  const file = bytes.subarray(0, cutTo)
  const image = {
    length: file.byteLength,
    async readInto(offset: number, buffer: Uint8Array) {
      const piece = file.subarray(offset, offset + buffer.byteLength)
      buffer.set(piece)
      return piece.byteLength
    },
  }
  return readGpt(createProbe(image, { clock: createManualClock() }), [512, 4096])
}

test('a disk with sectors of 512 or 4096 bytes has the GPT that is in its second sector', async () => {
  expect(await read({})).toEqual({ sectorBytes: 512, isBootable: false, faults: [] })
  expect(await read({ sectorBytes: 4096 })).toEqual({ sectorBytes: 4096, isBootable: false, faults: [] })
  expect(await read({ sectorBytes: 8192 })).toBeUndefined()
})

describe('what the header may say', () => {
  test.each<[string, Disk]>([
    ['a header that fills its sector', { headerBytes: 512 }],
    ['1024 entries, which have 1 MiB', { count: 1024, entryBytes: 1024 }],
    ['entries of 4096 bytes', { count: 256, entryBytes: 4096 }],
    ['entries up to the last byte of the file', { backupAt: 4000, entriesAt: 8192 - 32 }],
    ['one usable sector before the backup', { lastUsable: 8190 }],
    ['no usable sector', { lastUsable: 0 }],
    ['a reserved byte after its checksum', { reserved: 1 }],
  ])('%s', async (_what, disk) => {
    expect(await read(disk)).toEqual({ sectorBytes: 512, isBootable: false, faults: [] })
  })

  test.each<[string, Disk, string]>([
    ['a header of 91 bytes', { headerBytes: 91 }, 'its GPT header has 91 bytes'],
    ['a header longer than its sector', { headerBytes: 513 }, 'its GPT header has 513 bytes'],
    ['1025 entries', { count: 1025 }, 'its GPT has 1025 entries of 128 bytes'],
    ['entries of 127 bytes', { entryBytes: 127 }, 'its GPT has 128 entries of 127 bytes'],
    ['entries of 4097 bytes', { count: 1, entryBytes: 4097 }, 'its GPT has 1 entries of 4097 bytes'],
    ['entries of 1 MiB and 1024 bytes', { count: 1023, entryBytes: 1026 }, 'its GPT has 1023 entries of 1026 bytes'],
    ['entries past the last byte of the file', { backupAt: 4000, entriesAt: 8192 - 31 }, 'its GPT entries are beyond the end of the file'],
    ['a backup in the last usable sector', { lastUsable: 8191 }, 'the backup of its GPT header is inside the space of its partitions'],
    ['a backup that names another header', { backupOther: 2 }, 'its GPT header contradicts its backup'],
    ['usable sectors after the end', { lastUsable: 8192 }, 'it is cut off: its GPT describes 4194816 bytes, but the file has 4194304'],
    ['a file without its last byte', { cutTo: LENGTH - 1 }, 'it is cut off: its GPT describes 4194304 bytes, but the file has 4194303'],
    ['a file that ends with its header', { cutTo: 512 + 92 }, 'it is cut off: its GPT describes 4194304 bytes, but the file has 604'],
    ['a damaged header', { damaged: [512 + 60] }, 'its GPT header does not match its checksum'],
    ['a header that is elsewhere', { own: 5 }, 'its GPT header says that it is in sector 5 instead of sector 1'],
    ['damaged entries', { damaged: [1024 + 127 * 128] }, 'its GPT entries do not match their checksum'],
    ['a damaged backup', { damaged: [8191 * 512 + 60] }, 'the backup of its GPT header does not match its checksum'],
    ['no backup', { damaged: [8191 * 512] }, 'the backup of its GPT header is missing'],
    ['a file that ends inside its header', { cutTo: 512 + 91 }, 'its GPT header is missing'],
  ])('%s is refused', async (_what, disk, fault) => {
    expect(await read(disk)).toEqual({ sectorBytes: 512, isBootable: false, faults: [fault] })
  })
})

describe('partitions', () => {
  test('may end in the last usable sector, and not after it', async () => {
    const disk = { lastUsable: 5000 }
    expect((await read({ ...disk, partitions: [{ type: LINUX, last: 5000 }, { type: LINUX }] }))?.faults).toEqual([])
    expect((await read({ ...disk, partitions: [{ type: LINUX, last: 5001 }, { type: LINUX }] }))?.faults).toEqual([
      'a partition ends at sector 5001, after the last usable sector 5000',
    ])
  })

  test.each<[string, readonly Partition[], boolean]>([
    ['of EFI', [{ type: EFI }], true],
    ['of a BIOS', [{ type: BIOS }], true],
    ['with the attribute of a BIOS', [{ type: LINUX, attributes: 4n }], true],
    ['after others', [{ type: LINUX }, { type: EFI }, { type: LINUX }], true],
    ['with every other attribute', [{ type: LINUX, attributes: 0xffff_ffff_ffff_fffbn }], false],
    ['that is not in use', [{ type: '00'.repeat(16), attributes: 4n, last: 9000 }], false],
  ])('%s: whether a machine starts from it', async (_what, partitions, isBootable) => {
    expect(await read({ partitions })).toEqual({ sectorBytes: 512, isBootable, faults: [] })
  })

  test('of longer entries are found where these begin', async () => {
    expect((await read({ entryBytes: 256, partitions: [{ type: LINUX }, { type: EFI, last: 8191 }] }))?.faults).toEqual([
      'a partition ends at sector 8191, after the last usable sector 8190',
    ])
  })
})
