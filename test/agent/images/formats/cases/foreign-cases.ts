// Formats that are recognised and refused with advice: disks of other hypervisors, encrypted disks, archives and compressed files.

import { patched, QEMU_IMG, qemuDisk, run, startingWith } from './format-case.ts'
import type { FormatCase, Refused } from './format-case.ts'

function unsupported(detected: string, says: string, oracle?: string): Refused {
  return { kind: 'refused', refusal: 'unsupported-format', detected, says, ...(oracle !== undefined && { oracle }) }
}

/** A disk that qemu-img makes and guesses itself. */
function disk(detected: string, driver: string, options: readonly string[] = []): FormatCase {
  return {
    name: [driver, ...options].join(' '),
    needs: [QEMU_IMG],
    make: qemuDisk(driver, options),
    expected: unsupported(detected, `qemu-img convert -f ${driver} -O qcow2`, driver),
  }
}

/** Bytes that begin with a signature. */
function signature(name: string, detected: string, text: string, says: string): FormatCase {
  return { name, make: () => startingWith(text), expected: unsupported(detected, says) }
}

/** A file made from 64 KiB of text by a program that reads from one file and writes to another. */
function packed(detected: string, says: string, needs: readonly [string, string], ...command: readonly string[]): FormatCase {
  return {
    name: `${detected} made by ${needs[0]}`,
    needs: [needs],
    async make(folder) {
      await Bun.write(folder.file('disk.raw'), 'a disk of text\n'.repeat(4096))
      run(folder, ...command)
      return folder.file('packed')
    },
    expected: unsupported(detected, says),
  }
}

/** An encrypted disk of cryptsetup. */
function luks(version: 1 | 2): FormatCase {
  return {
    name: `luks ${version} of cryptsetup`,
    needs: [['cryptsetup', 'cryptsetup-bin']],
    async make(folder) {
      await Bun.write(folder.file('key'), 'secret')
      run(folder, 'truncate', '-s', '20M', 'image')
      const derivation = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000']
      run(folder, 'cryptsetup', 'luksFormat', '-q', '--type', `luks${version}`, ...derivation, 'image', 'key')
      return folder.file('image')
    },
    expected: unsupported('luks', `an encrypted disk (LUKS ${version})`),
  }
}

/** A fixed vhd of qemu-img, changed at its end. */
function fixedVhd(name: string, says: string, change: (bytes: Uint8Array) => Uint8Array): FormatCase {
  return {
    name,
    needs: [QEMU_IMG],
    async make(folder) {
      const file = await qemuDisk('vpc', ['-o', 'subformat=fixed,force_size=on'], '2M')(folder)
      return change(new Uint8Array(await Bun.file(String(file)).arrayBuffer()))
    },
    expected: unsupported('vhd', says),
  }
}

/** Returns a tar whose first member is an empty file of this name. `magic` is that of POSIX tar unless another is given. */
function tarOf(name: string, magic = 'ustar\u000000'): Uint8Array {
  const header = patched(new Uint8Array(10_240), [0, name], [100, '0000644\0'], [124, '00000000000\0'], [156, '0'], [257, magic], [148, '        '])
  const sum = header.subarray(0, 512).reduce((all, byte) => all + byte, 0)
  return patched(header, [148, `${sum.toString(8).padStart(6, '0')}\0 `])
}

export const FOREIGN_CASES: readonly FormatCase[] = [
  disk('vdi', 'vdi'),
  disk('vdi', 'vdi', ['-o', 'static=on']),
  disk('vhdx', 'vhdx'),
  disk('vhdx', 'vhdx', ['-o', 'subformat=fixed']),
  disk('qed', 'qed'),
  disk('parallels', 'parallels'),
  disk('qcow', 'qcow'),
  disk('vhd', 'vpc'),
  disk('vhd', 'vpc', ['-o', 'force_size=on']),
  luks(1),
  luks(2),
  signature('luks of an unknown version', 'luks', 'LUKS\u00ba\u00be\0\u0009', 'cryptsetup open'),
  signature('the second header of luks 2', 'luks', 'SKUL\u00ba\u00be\0\u0002', 'LUKS 2'),
  fixedVhd('vhd fixed', 'a fixed disk of Hyper-V', (bytes) => bytes),
  fixedVhd('vhd fixed with a footer of 511 bytes', 'qemu-img convert -f vpc', (bytes) => bytes.slice(0, -1)),
  fixedVhd('vhd differencing', 'incomplete without its parent', (bytes) => patched(bytes, [bytes.length - 512 + 60, '\0\0\0\u0004'])),
  fixedVhd('vhd of an unknown type', 'a damaged disk of Hyper-V', (bytes) => patched(bytes, [bytes.length - 512 + 60, '\0\0\0\u0007'])),
  fixedVhd('vhd with the partition table of its guest', 'a fixed disk of Hyper-V', (bytes) =>
    patched(bytes, [446, '\u0080\0\u0002\0\u0083\0\u0020\0\u0001\0\0\0\u0010\0\0\0'], [510, '\u0055\u00aa']),
  ),
  { name: 'vhd that is only its footer', make: () => startingWith('conectix', 512), expected: unsupported('vhd', 'qemu-img convert -f vpc') },
  { name: 'vhd that ends in its footer', make: () => startingWith('conectix', 20), expected: unsupported('vhd', 'a damaged disk') },
  {
    name: 'vhd declared as raw',
    make: () => patched(new Uint8Array(65_536), [65_024, 'conectix']),
    declared: 'raw',
    expected: { kind: 'refused', refusal: 'format-mismatch', says: 'declared as raw, but the file is a damaged disk of Hyper-V', detected: 'vhd' },
  },
  {
    name: 'vdi declared as raw',
    needs: [QEMU_IMG],
    make: qemuDisk('vdi'),
    declared: 'raw',
    expected: { kind: 'refused', refusal: 'format-mismatch', says: 'qemu-img convert -f vdi -O qcow2', detected: 'vdi' },
  },
  {
    name: 'vhdx declared as qcow2',
    needs: [QEMU_IMG],
    make: qemuDisk('vhdx'),
    declared: 'qcow2',
    expected: { kind: 'refused', refusal: 'format-mismatch', says: 'declared as qcow2, but the file is a disk of Hyper-V (vhdx)', detected: 'vhdx' },
  },
  signature('parallels of the extended format', 'parallels', 'WithouFreSpacExt', 'qemu-img convert -f parallels'),
  signature('bochs', 'bochs', 'Bochs Virtual HD Image\0', 'qemu-img convert -f bochs'),
  signature('cloop', 'cloop', '#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n', 'qemu-img convert -f cloop'),
  { name: 'dmg', make: () => patched(new Uint8Array(65_536), [65_024, 'koly']), expected: unsupported('dmg', 'qemu-img convert -f dmg') },
  { name: 'qcow of version 1 that is cut off', make: () => startingWith('QFI\u00fb\0\0\0\u0001', 8), expected: unsupported('qcow', 'version 1') },
  signature('vma', 'vma', 'VMA\0', 'vma extract'),
  signature('wim', 'wim', 'MSWIM\0\0\0', 'wimapply'),
  packed('gzip', 'decompress=true', ['gzip', 'gzip'], 'sh', '-c', 'gzip -c disk.raw > packed'),
  packed('xz', 'decompress=true', ['xz', 'xz-utils'], 'sh', '-c', 'xz -c disk.raw > packed'),
  packed('zstd', 'decompress=true', ['zstd', 'zstd'], 'sh', '-c', 'zstd -q -c disk.raw > packed'),
  packed('bzip2', 'bunzip2', ['bzip2', 'bzip2'], 'sh', '-c', 'bzip2 -c disk.raw > packed'),
  packed('tar', 'tar -xf', ['tar', 'tar'], 'tar', '-cf', 'packed', 'disk.raw'),
  packed('zip', 'unzip', ['zip', 'zip'], 'sh', '-c', 'zip -q - disk.raw > packed'),
  packed('squashfs', 'unsquashfs', ['mksquashfs', 'squashfs-tools'], 'mksquashfs', 'disk.raw', 'packed', '-quiet', '-no-progress'),
  signature('7z', '7z', "7z\u00bc\u00af'\u001c\0\u0004", '7z x'),
  signature('rar', 'rar', 'Rar!\u001a\u0007\u0001\0', 'unrar'),
  signature('lz4', 'lz4', '\u0004"M\u0018', 'unlz4'),
  signature('lzip', 'lzip', 'LZIP\u0001', 'lzip -d'),
  signature('cpio', 'cpio', '070701000000', 'cpio'),
  signature('an empty zip', 'zip', 'PK\u0005\u0006', 'unzip'),
  signature('bzip2 of nothing', 'bzip2', 'BZh1\u0017rE8P\u0090', 'bunzip2'),
  signature('squashfs of a big-endian machine', 'squashfs', 'sqsh', 'unsquashfs'),
  { name: 'ova', make: () => tarOf('appliance.ovf'), expected: unsupported('ova', 'a .vmdk that is streamOptimized needs no conversion') },
  { name: 'ova in capitals', make: () => tarOf('APPLIANCE.OVF'), expected: unsupported('ova', 'a virtual machine (OVA)') },
  { name: 'tar whose description is not named .ovf', make: () => tarOf('appliance.ovf.txt'), expected: unsupported('tar', 'a tar archive') },
  { name: 'tar of GNU', make: () => tarOf('disk.raw', 'ustar  \0'), expected: unsupported('tar', 'a tar archive') },
  { name: 'tar without a signature', make: () => tarOf('disk.raw', '\0'), expected: unsupported('tar', 'a tar archive') },
  { name: 'tar with a wrong checksum', make: () => patched(tarOf('disk.raw'), [148, '000001']), expected: unsupported('tar', 'a tar archive') },
  signature('a web page', 'html', '<!DOCTYPE html>\n<html><title>404</title>', 'a web page'),
  signature('a web page without a document type', 'html', '\n<html lang="en">', 'a web page'),
  {
    name: 'vdi and vhd at once',
    make: () => patched(new Uint8Array(65_536), [64, '\u007f\u0010\u00da\u00be'], [65_024, 'conectix']),
    expected: { kind: 'refused', refusal: 'unsafe-image', says: 'valid as both vdi and vhd', detected: 'unknown' },
  },
  {
    name: 'gzip and dmg at once',
    make: () => patched(startingWith('\u001f\u008b\u0008'), [65_024, 'koly']),
    expected: { kind: 'refused', refusal: 'unsafe-image', says: 'valid as both gzip and dmg' },
  },
  {
    name: 'luks and tar at once',
    make: () => patched(tarOf('LUKS\u00ba\u00be\0\u0001'), [0, 'LUKS\u00ba\u00be\0\u0001']),
    expected: { kind: 'refused', refusal: 'unsafe-image', says: 'valid as both luks and tar' },
  },
]
