// qcow2 that a store refuses: links to other files, hidden states, damage, truncation, and tables that would make a reader loop or allocate.

import { buildQcow2, changedQcow2, putExtension } from '../../../../support/images/qcow2-image.ts'
import type { Qcow2File, Qcow2Options } from '../../../../support/images/qcow2-image.ts'
import { patched, QEMU_IMG, qemuDisk, run } from './format-case.ts'
import type { FormatCase, Refused } from './format-case.ts'

function unsafe(says: string): Refused {
  return { kind: 'refused', refusal: 'unsafe-image', says }
}

/** A valid file with one change. */
function altered(name: string, says: string, change: (view: DataView, file: Qcow2File) => void, options: Qcow2Options = {}): FormatCase {
  return { name, make: () => changedQcow2(change, options), expected: unsafe(says) }
}

/** A file that qemu-img makes, and never reads afterwards. */
function made(name: string, says: string, ...commands: readonly (readonly string[])[]): FormatCase {
  return {
    name,
    needs: [QEMU_IMG, ['qemu-io', 'qemu-utils']],
    async make(folder) {
      await Bun.write(folder.file('base.raw'), new Uint8Array(1024 * 1024))
      for (const command of commands) run(folder, ...command)
      return folder.file('image')
    },
    expected: unsafe(says),
  }
}

const CREATE = ['qemu-img', 'create', '-q', '-f', 'qcow2'] as const
const COPIED = 1n << 63n
const COMPRESSED = 1n << 62n

const LINKED: readonly FormatCase[] = [
  made('a backing file', 'it has a backing file', [...CREATE, '-b', 'base.raw', '-F', 'raw', 'image']),
  made('a backing file in json', 'it has a backing file', [
    ...CREATE,
    '-u',
    '-b',
    'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}',
    '-F',
    'raw',
    'image',
    '1M',
  ]),
  made('a backing file on a server', 'it has a backing file', [...CREATE, '-u', '-b', 'nbd://127.0.0.1:1/x', '-F', 'raw', 'image', '1M']),
  made('an external data file', 'it keeps its data in an external file', [...CREATE, '-o', 'data_file=data,data_file_raw=on', 'image', '1M']),
  altered('an encrypted disk', 'it is encrypted', (view) => view.setUint32(32, 2)),
  made('an internal snapshot', 'it has internal snapshots (1)', [...CREATE, 'image', '1M'], ['qemu-img', 'snapshot', '-c', 'before', 'image']),
  altered('a backing file of an empty name', 'it has a backing file', (view) => view.setBigUint64(8, 4096n)),
  altered('the length of a backing file', 'it has a backing file', (view) => view.setUint32(16, 8)),
  altered('encryption of the first kind', 'it is encrypted', (view) => view.setUint32(32, 1)),
  altered('the bit of an external data file', 'it keeps its data in an external file', (view) => view.setBigUint64(72, 4n)),
  altered('the name of an external data file', 'it names an external file', (view) => putExtension(view, 112, 0x4441_5441, '/etc/passwd')),
  altered('the name of an external data file behind other extensions', 'it names an external file', (view) =>
    putExtension(view, putExtension(view, 112, 0x6803_f857, 'x'.repeat(48)), 0x4441_5441, '/etc/passwd'),
  ),
  altered('the name of an external data file in version 2', 'it names an external file', (view) => putExtension(view, 72, 0x4441_5441, 'x'), { version: 2 }),
  altered('a raw external data file', 'it claims to have a raw external file', (view) => view.setBigUint64(88, 2n)),
  altered('the keys of an encrypted disk', 'key material', (view) => putExtension(view, 112, 0x0537_be77, new Uint8Array(16))),
  altered('65,536 snapshots', 'it has internal snapshots (65536)', (view) => view.setUint32(60, 65_536)),
]

const HEADERS: readonly FormatCase[] = [
  altered('version 4', 'version 4', (view) => view.setUint32(4, 4)),
  altered('version 0', 'version 0', (view) => view.setUint32(4, 0)),
  altered('the dirty bit', 'not closed properly', (view) => view.setBigUint64(72, 1n)),
  altered('the corrupt bit', 'marked as corrupt', (view) => view.setBigUint64(72, 2n)),
  altered('an unknown feature', 'features that are not known', (view) => view.setBigUint64(72, 32n)),
  altered('the last unknown feature', 'features that are not known', (view) => view.setBigUint64(72, COPIED)),
  altered('clusters of 2^40 bytes', 'clusters of 2^40 bytes', (view) => view.setUint32(20, 40)),
  altered('clusters of 2^8 bytes', 'clusters of 2^8 bytes', (view) => view.setUint32(20, 8)),
  altered('clusters of 2^22 bytes', 'clusters of 2^22 bytes', (view) => view.setUint32(20, 22)),
  altered('a virtual size of 4 PB', 'too short for its virtual size', (view) => view.setBigUint64(24, 4_000_000_000_000_000n)),
  altered('a virtual size of 2^64 - 1', 'beyond all bounds', (view) => view.setBigUint64(24, 2n ** 64n - 1n)),
  { name: 'a disk of 65 TiB', needs: [QEMU_IMG], make: qemuDisk('qcow2', [], '65T'), expected: unsafe('beyond the limit of 70368744177664 bytes') },
  altered('an L1 table of 0x7fffffff entries', 'its L1 table of 2147483647 entries', (view) => view.setUint32(36, 0x7fff_ffff)),
  altered('an L1 table of 32 MiB', 'its L1 table is cut off', (view) => view.setUint32(36, 4 * 1024 * 1024)),
  altered('an L1 table of 32 MiB and an entry', 'its L1 table of 4194305 entries', (view) => view.setUint32(36, 4 * 1024 * 1024 + 1)),
  altered('no L1 table', 'too short for its virtual size', (view) => view.setUint32(36, 0)),
  altered('an L1 table that is too short', 'too short for its virtual size', (view) => view.setBigUint64(24, 2n ** 29n + 1n)),
  altered('an L1 table between clusters', 'L1 table is at an impossible offset', (view, { l1 }) => view.setBigUint64(40, BigInt(l1 + 512))),
  altered('an L1 table in the header', 'L1 table is at an impossible offset', (view) => view.setBigUint64(40, 0n)),
  altered('an L1 table beyond the file', 'its L1 table is cut off', (view) => view.setBigUint64(40, 2n ** 40n)),
  altered('an L1 table at 2^63', 'L1 table is at an impossible offset', (view) => view.setBigUint64(40, COPIED)),
  altered('no refcount table', 'it has no refcount table', (view) => view.setUint32(56, 0)),
  altered('a refcount table of 8 MiB', 'its refcount table is cut off', (view) => view.setUint32(56, 128)),
  altered('a refcount table of 8 MiB and a cluster', 'refcount table is longer than', (view) => view.setUint32(56, 129)),
  altered('a refcount table of 2^32 - 1 clusters', 'refcount table is longer than', (view) => view.setUint32(56, 0xffff_ffff)),
  altered('a refcount table beyond the file', 'its refcount table is cut off', (view) => view.setBigUint64(48, 2n ** 40n)),
  altered('a refcount table between clusters', 'refcount table is at an impossible offset', (view) => view.setBigUint64(48, 65_537n)),
  altered('refcounts of 128 bits', 'its refcounts of 2^7 bits', (view) => view.setUint32(96, 7)),
  altered('a header of 100 bytes', 'its header length of 100 bytes', (view) => view.setUint32(100, 100)),
  altered('a header of 105 bytes', 'its header length of 105 bytes', (view) => view.setUint32(100, 105)),
  altered('a header longer than its cluster', 'its header length of 65544 bytes', (view) => view.setUint32(100, 65_544)),
  altered('an unknown type of compression', 'its type of compression', (view) => view.setUint8(104, 2), { isZstd: true }),
  altered('zstd without its feature', 'its type of compression', (view) => view.setUint8(104, 1)),
  altered('the feature of compression without its type', 'its type of compression', (view) => view.setUint32(100, 104), { isZstd: true }),
  altered('subclusters in clusters of 8 KiB', 'too small for subclusters', (view) => view.setBigUint64(72, 16n), { clusterBits: 13, virtualSize: 65_536 }),
  altered('a header extension of 4 GiB', 'longer than the first cluster', (view) => {
    view.setUint32(112, 0x1234)
    view.setUint32(116, 0xffff_ffff)
  }),
  altered('header extensions longer than 64 KiB', 'header extensions are too long', (view) => putExtension(view, 112, 0x1234, new Uint8Array(70_000)), {
    clusterBits: 20,
  }),
  altered('two lists of bitmaps', 'two lists of dirty bitmaps', (view) => {
    const list = Buffer.from('000000010000000000000000000000200000000000010000', 'hex')
    putExtension(view, putExtension(view, 112, 0x2385_2875, list), 0x2385_2875, list)
  }),
  altered('a list of bitmaps of a wrong length', 'list of dirty bitmaps is not valid', (view) => putExtension(view, 112, 0x2385_2875, new Uint8Array(16))),
  altered('a list of bitmaps beyond the file', 'list of dirty bitmaps is not valid', (view) => {
    view.setBigUint64(88, 1n)
    putExtension(view, 112, 0x2385_2875, Buffer.from('000000010000000000000000000000200000000100000000', 'hex'))
  }),
  altered('a list of bitmaps over the L1 table', 'list of dirty bitmaps is not valid', (view) => {
    view.setBigUint64(88, 1n)
    putExtension(view, 112, 0x2385_2875, Buffer.from('000000010000000000000000000000200000000000030000', 'hex'))
  }),
]

const TABLES: readonly FormatCase[] = [
  altered('an L1 entry that names its own table', 'used twice', (view, { l1 }) => view.setBigUint64(l1, BigInt(l1))),
  altered('an L1 entry that names the header', 'used twice', (view, { l1, l2 }) => {
    view.setUint32(36, 2)
    view.setBigUint64(24, 2n ** 29n * 2n)
    view.setBigUint64(l1 + 8, BigInt(l2))
  }),
  altered('an L2 entry that names its own table', 'used twice', (view, { l2 }) => view.setBigUint64(l2, BigInt(l2))),
  altered('an L2 entry that names the L1 table', 'used twice', (view, { l1, l2 }) => view.setBigUint64(l2, BigInt(l1))),
  altered('an L2 entry that names the refcount table', 'used twice', (view, { l2, refcountTable }) => view.setBigUint64(l2, BigInt(refcountTable))),
  altered('an L2 entry that names the header', 'names the header as data', (view, { l2 }) => view.setBigUint64(l2, COPIED)),
  altered('two entries for one cluster', 'used twice', (view, { l2 }) => view.setBigUint64(l2 + 8, view.getBigUint64(l2))),
  altered('compressed data in a data cluster', 'used twice', (view, { l2, data }) => view.setBigUint64(l2 + 8, COMPRESSED | BigInt(data))),
  altered('a data cluster in compressed data', 'used twice', (view, { l2, data }) => {
    view.setBigUint64(l2, COMPRESSED | BigInt(data + 65_536))
    view.setBigUint64(l2 + 8, BigInt(data + 65_536))
  }),
  altered('an L2 table beyond the file', 'L2 table is beyond the end', (view, { l1 }) => view.setBigUint64(l1, 2n ** 40n)),
  altered('an L2 table at the largest offset', 'L2 table is beyond the end', (view, { l1 }) => view.setBigUint64(l1, (2n ** 56n - 65_536n) | COPIED)),
  altered('an L2 table between clusters', 'L2 table is not at the start', (view, { l1, l2 }) => view.setBigUint64(l1, BigInt(l2 + 512))),
  altered('a data cluster beyond the file', 'data cluster is beyond the end', (view, { l2 }) => view.setBigUint64(l2, 2n ** 40n)),
  altered('a data cluster between clusters', 'data cluster is not at the start', (view, { l2, data }) => view.setBigUint64(l2, BigInt(data + 512))),
  altered('compressed data beyond the file', 'compressed data is beyond the end', (view, { l2 }) => view.setBigUint64(l2, COMPRESSED | (2n ** 40n))),
  altered('compressed data that ends beyond the file', 'compressed data is beyond the end', (view, { l2, data }) =>
    view.setBigUint64(l2, COMPRESSED | (2n << 54n) | BigInt(data + 3 * 65_536 - 512)),
  ),
  altered('compressed data in the header', 'overlaps the header', (view, { l2 }) => view.setBigUint64(l2, COMPRESSED | 1024n)),
  altered('compressed data that is not shared', 'marked as not shared', (view, { l2, data }) => view.setBigUint64(l2, COPIED | COMPRESSED | BigInt(data))),
  altered('reserved bits of L1', 'L1 table has reserved bits', (view, { l1, l2 }) => view.setBigUint64(l1, BigInt(l2) | (1n << 62n))),
  altered('low reserved bits of L1', 'L1 table has reserved bits', (view, { l1, l2 }) => view.setBigUint64(l1, BigInt(l2) | 1n)),
  altered('reserved bits of L2', 'L2 table has reserved bits', (view, { l2, data }) => view.setBigUint64(l2, BigInt(data) | (1n << 56n))),
  altered('low reserved bits of L2', 'L2 table has reserved bits', (view, { l2, data }) => view.setBigUint64(l2, BigInt(data) | 2n)),
  altered('a cluster of zeros in version 2', 'L2 table has reserved bits', (view, { l2 }) => view.setUint32(l2 + 8 * 10 + 4, 1), { version: 2 }),
  altered('an L1 entry beyond the virtual size', 'entries beyond its virtual size', (view, { l1, data }) => {
    view.setUint32(36, 2)
    view.setBigUint64(l1 + 8, BigInt(data))
  }),
  altered(
    'more compressed clusters than bytes',
    'more compressed clusters',
    (view, { l2, data }) => {
      for (let i = 0; i < 8192; i++) view.setBigUint64(l2 + i * 8, COMPRESSED | BigInt(data))
      view.setBigUint64(24, 2n ** 29n)
    },
    { dataClusters: 1 },
  ),
  altered('a subcluster without a cluster', 'allocated without a cluster', (view, { l2 }) => view.setBigUint64(l2, 0n), { isExtended: true }),
  altered('a subcluster of data and zeros', 'both allocated and zero', (view, { l2 }) => view.setUint32(l2 + 8, 1), { isExtended: true }),
  altered('compressed subclusters', 'compressed cluster has subclusters', (view, { l2, data }) => view.setBigUint64(l2, COMPRESSED | BigInt(data)), {
    isExtended: true,
  }),
  altered('a zero flag beside subclusters', 'L2 table has reserved bits', (view, { l2 }) => view.setUint32(l2 + 4, view.getUint32(l2 + 4) | 1), {
    isExtended: true,
  }),
  altered('a refcount block beyond the file', 'refcount block is beyond the end', (view, { refcountTable }) => view.setBigUint64(refcountTable, 2n ** 40n)),
  altered('a refcount block between clusters', 'refcount block is not at the start', (view, { refcountTable }) =>
    view.setBigUint64(refcountTable, 131_072n + 512n),
  ),
  altered('reserved bits of the refcount table', 'refcount table has reserved bits', (view, { refcountTable }) => view.setBigUint64(refcountTable, 131_073n)),
  altered('a refcount block twice', 'used twice', (view, { refcountTable }) => view.setBigUint64(refcountTable + 8, 131_072n)),
  altered('a refcount block over the L1 table', 'used twice', (view, { refcountTable, l1 }) => view.setBigUint64(refcountTable, BigInt(l1))),
  altered('a data cluster without a refcount', 'refcount of 0', (view, { refcountBlock }) => view.setUint16(refcountBlock + 6 * 2, 0)),
  altered('an L2 table without a refcount', 'refcount of 0', (view, { refcountBlock }) => view.setUint16(refcountBlock + 4 * 2, 0)),
  altered('no refcount block', 'refcount of 0', (view, { refcountTable }) => view.setBigUint64(refcountTable, 0n)),
  altered('an L1 table over the refcount table', 'its tables overlap', (view, { refcountTable }) => view.setBigUint64(40, BigInt(refcountTable))),
]

const CUT: readonly FormatCase[] = [
  ...[4, 8, 71, 103].map((length): FormatCase => ({
    name: `cut off after ${length} bytes`,
    make: () => buildQcow2().bytes.subarray(0, length),
    expected: unsafe('cut off'),
  })),
  { name: 'cut off in its header', make: () => buildQcow2().bytes.subarray(0, 200), expected: unsafe('cut off') },
  { name: 'cut off before its L1 table', make: () => buildQcow2().bytes.subarray(0, 3 * 65_536), expected: unsafe('its L1 table is cut off') },
  { name: 'cut off in its L2 table', make: () => buildQcow2().bytes.subarray(0, 4 * 65_536 + 512), expected: unsafe('L2 table is beyond the end') },
  { name: 'cut off in its data', make: () => buildQcow2().bytes.subarray(0, 7 * 65_536), expected: unsafe('data cluster is beyond the end') },
  {
    name: 'half of a converted disk',
    needs: [QEMU_IMG],
    async make(folder) {
      await Bun.write(folder.file('disk.raw'), Buffer.alloc(4 * 1024 * 1024, 'text'))
      run(folder, 'qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', 'disk.raw', 'image')
      run(folder, 'truncate', '-s', '2M', 'image')
      return folder.file('image')
    },
    expected: unsafe('beyond the end of the file'),
  },
]

const TWO_FORMATS: readonly FormatCase[] = [
  {
    name: 'declared as raw',
    make: () => buildQcow2().bytes,
    declared: 'raw',
    expected: { kind: 'refused', refusal: 'format-mismatch', says: 'declared as raw, but its bytes are qcow2', detected: 'qcow2' },
  },
  {
    name: 'declared as iso',
    make: () => buildQcow2().bytes,
    declared: 'iso',
    expected: { kind: 'refused', refusal: 'format-mismatch', says: 'declared as iso, but its bytes are qcow2' },
  },
  { name: 'qcow2 and an ISO', make: () => patched(buildQcow2().bytes, [32_768, '\u0001CD001\u0001']), expected: unsafe('valid as both qcow2 and iso') },
  { name: 'qcow2 and vhd', make: () => patched(buildQcow2().bytes, [8 * 65_536 - 512, 'conectix']), expected: unsafe('valid as both qcow2 and vhd') },
  { name: 'qcow2 and dmg', make: () => patched(buildQcow2().bytes, [8 * 65_536 - 512, 'koly']), expected: unsafe('valid as both qcow2 and dmg') },
  {
    name: 'qcow2 and vdi',
    make: () => patched(buildQcow2({ version: 2 }).bytes, [64, '\u007f\u0010\u00da\u00be']),
    expected: unsafe('valid as both qcow2 and vdi'),
  },
  { name: 'qcow2 and tar', make: () => patched(buildQcow2().bytes, [257, 'ustar']), expected: unsafe('valid as both qcow2 and tar') },
]

export const QCOW2_HOSTILE_CASES: readonly FormatCase[] = [...LINKED, ...HEADERS, ...TABLES, ...CUT, ...TWO_FORMATS]
