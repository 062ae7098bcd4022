// qcow2 that a store accepts: what qemu-img writes with its options, and files built byte by byte.

import { buildQcow2, changedQcow2, putExtension } from '../../../../support/images/qcow2-image.ts'
import { seededBytes } from '../../../../support/images/image-store.ts'
import type { TemporaryFolder } from '../../../../support/machine/temporary-folder.ts'
import { QEMU_IMG, qemuDisk, run } from './format-case.ts'
import type { Accepted, FormatCase } from './format-case.ts'

const MIB = 1024 * 1024

function accepted(virtualSize: number, details: Accepted['details'] = {}): Accepted {
  return { kind: 'accepted', format: 'qcow2', virtualSize, details: { detected: 'qcow2', refusal: null, ...details } }
}

/** An empty disk of 64 MiB with options of qemu-img. */
function empty(options: string, details: Accepted['details'] = {}): FormatCase {
  return {
    name: `empty with ${options}`,
    needs: [QEMU_IMG],
    make: qemuDisk('qcow2', ['-o', options]),
    declared: 'qcow2',
    expected: accepted(64 * MIB, { allocatedSize: 0, compression: null, ...details }),
  }
}

/** Writes a raw disk of 8 MiB: 1 MiB of text, 1 MiB of random bytes and the rest zeros. */
async function writeDisk(folder: TemporaryFolder): Promise<void> {
  const disk = Buffer.alloc(8 * MIB)
  disk.fill('the guest wrote this line\n', 0, MIB)
  disk.set(seededBytes(MIB, 7), 3 * MIB)
  await Bun.write(folder.file('disk.raw'), disk)
}

/** The disk of `writeDisk`, converted with options of qemu-img. */
function converted(options: readonly string[], details: Accepted['details'] = {}): FormatCase {
  return {
    name: `converted with ${options.join(' ') || 'no options'}`,
    needs: [QEMU_IMG],
    async make(folder) {
      await writeDisk(folder)
      run(folder, 'qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', ...options, 'disk.raw', 'image')
      return folder.file('image')
    },
    expected: accepted(8 * MIB, details),
  }
}

/** A disk of qemu-img that commands changed afterwards. */
function changed(name: string, virtualSize: number, commands: readonly (readonly string[])[]): FormatCase {
  return {
    name,
    needs: [QEMU_IMG, ['qemu-io', 'qemu-utils']],
    make(folder) {
      run(folder, 'qemu-img', 'create', '-q', '-f', 'qcow2', 'image', '64M')
      for (const command of commands) run(folder, ...command)
      return folder.file('image')
    },
    expected: accepted(virtualSize),
  }
}

const QEMU_MADE: readonly FormatCase[] = [
  empty('compat=0.10', { variant: '2', clusterSize: 65_536 }),
  empty('compat=1.1', { variant: '3', clusterSize: 65_536 }),
  ...[512, 1024, 4096, 32_768, 1_048_576, 2_097_152].map((size) => empty(`cluster_size=${size}`, { clusterSize: size })),
  ...[1, 2, 4, 8, 32, 64].map((bits) => empty(`refcount_bits=${bits}`)),
  empty('lazy_refcounts=on'),
  empty('preallocation=metadata', { allocatedSize: 64 * MIB }),
  empty('preallocation=falloc', { allocatedSize: 64 * MIB }),
  empty('preallocation=metadata,cluster_size=4096', { clusterSize: 4096, allocatedSize: 64 * MIB }),
  empty('extended_l2=on', { clusterSize: 65_536 }),
  empty('extended_l2=on,cluster_size=16384', { clusterSize: 16_384 }),
  empty('compression_type=zstd'),
  { name: 'a disk of no bytes', needs: [QEMU_IMG], make: qemuDisk('qcow2', [], '0'), expected: accepted(0) },
  { name: 'a disk of one sector', needs: [QEMU_IMG], make: qemuDisk('qcow2', [], '512'), expected: accepted(512) },
  { name: 'a disk of 16 TiB', needs: [QEMU_IMG], make: qemuDisk('qcow2', [], '16T'), expected: accepted(16 * 1024 ** 4) },
  { name: 'a disk of 64 TiB', needs: [QEMU_IMG], make: qemuDisk('qcow2', [], '64T'), expected: accepted(64 * 1024 ** 4) },
  converted([], { compression: null, allocatedSize: 2 * MIB }),
  converted(['-c'], { compression: 'zlib' }),
  converted(['-c', '-o', 'compression_type=zstd'], { compression: 'zstd' }),
  converted(['-c', '-o', 'cluster_size=512'], { clusterSize: 512 }),
  converted(['-c', '-o', 'cluster_size=2M'], { clusterSize: 2 * MIB }),
  converted(['-o', 'cluster_size=512'], { clusterSize: 512, allocatedSize: 2 * MIB }),
  converted(['-o', 'compat=0.10'], { variant: '2', allocatedSize: 2 * MIB }),
  converted(['-o', 'extended_l2=on'], { allocatedSize: 2 * MIB }),
  converted(['-c', '-o', 'extended_l2=on,compression_type=zstd'], { compression: 'zstd' }),
  converted(['-o', 'preallocation=metadata']),
  converted(['-o', 'refcount_bits=1']),
  changed('grown', 1024 * MIB, [['qemu-img', 'resize', '-q', 'image', '1G']]),
  changed('shrunk', 16 * MIB, [
    ['qemu-io', '-c', 'write 0 64M', 'image'],
    ['qemu-img', 'resize', '-q', '--shrink', 'image', '16M'],
  ]),
  changed('written at its end', 64 * MIB, [['qemu-io', '-c', 'write 67107840 512', 'image']]),
  changed('with zeroed and discarded clusters', 64 * MIB, [
    ['qemu-io', '-c', 'write 0 8M', '-c', 'write -z 1M 1M', '-c', 'write -zu 3M 1M', '-c', 'discard 5M 1M', 'image'],
  ]),
  changed('whose snapshot was deleted', 64 * MIB, [
    ['qemu-io', '-c', 'write 0 8M', 'image'],
    ['qemu-img', 'snapshot', '-c', 'before', 'image'],
    ['qemu-io', '-c', 'write 1M 2M', 'image'],
    ['qemu-img', 'snapshot', '-d', 'before', 'image'],
  ]),
  changed('with a dirty bitmap', 64 * MIB, [
    ['qemu-img', 'bitmap', '--add', 'image', 'backup'],
    ['qemu-io', '-c', 'write 1M 2M', 'image'],
    ['qemu-img', 'bitmap', '--add', '-g', '4096', 'image', 'another'],
  ]),
  changed('whose backing file was merged', 64 * MIB, [
    ['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'image', '-F', 'qcow2', 'top', '64M'],
    ['qemu-io', '-c', 'write 1M 2M', 'top'],
    ['qemu-img', 'rebase', '-f', 'qcow2', '-b', '', 'top'],
    ['mv', 'top', 'image'],
  ]),
]

const BUILT: readonly FormatCase[] = [
  { name: 'built of version 3', make: () => buildQcow2().bytes, expected: accepted(4 * MIB, { allocatedSize: 3 * 65_536 }) },
  { name: 'built of version 2', make: () => buildQcow2({ version: 2 }).bytes, expected: accepted(4 * MIB, { variant: '2' }) },
  { name: 'built with subclusters', make: () => buildQcow2({ isExtended: true }).bytes, expected: accepted(4 * MIB, { allocatedSize: 3 * 65_536 }) },
  { name: 'built with zstd', make: () => buildQcow2({ isZstd: true }).bytes, expected: accepted(4 * MIB, { compression: null }) },
  { name: 'whose last cluster is incomplete', make: () => buildQcow2().bytes.subarray(0, 7 * 65_536 + 1), expected: accepted(4 * MIB) },
  {
    name: 'with a header of 104 bytes',
    make: () => changedQcow2((view) => view.setUint32(100, 104)),
    expected: accepted(4 * MIB),
  },
  {
    name: 'with a long header',
    make: () => changedQcow2((view) => view.setUint32(100, 4096)),
    expected: accepted(4 * MIB),
  },
  {
    name: 'with an unknown header extension',
    make: () => changedQcow2((view) => putExtension(view, 112, 0x1234_5678, 'something new')),
    expected: accepted(4 * MIB),
  },
  {
    name: 'with an unknown compatible feature',
    make: () => changedQcow2((view) => view.setBigUint64(80, 1n << 40n)),
    expected: accepted(4 * MIB),
  },
  {
    name: 'with a preallocated cluster of zeros',
    make: () => changedQcow2((view, { l2 }) => view.setUint32(l2 + 4, view.getUint32(l2 + 4) | 1)),
    expected: accepted(4 * MIB, { allocatedSize: 2 * 65_536 }),
  },
  {
    name: 'with a cluster of zeros',
    make: () => changedQcow2((view, { l2 }) => view.setUint32(l2 + 8 * 10 + 4, 1)),
    expected: accepted(4 * MIB, { allocatedSize: 3 * 65_536 }),
  },
]

export const QCOW2_CASES: readonly FormatCase[] = [...QEMU_MADE, ...BUILT]
