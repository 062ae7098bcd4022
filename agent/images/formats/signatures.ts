// Formats that start with a signature and that no store accepts: disks of other hypervisors, encrypted disks, archives and compressed files. An
// image of one of them would otherwise be raw, and a hypervisor that guesses formats would open it as what it is.

import { startsWith } from './format.ts'
import type { ForeignDetection, ImageProbe } from './format.ts'

interface Signature {
  readonly foreign: string
  readonly name: string
  readonly advice: string
  /** Bytes as latin1 text, each at its offset. All of one list must be there. */
  readonly marks: readonly (readonly [offset: number, text: string])[]
}

/** Bytes that contain every signature, and the first element of a web page. */
const HEAD_BYTES = 256

/** Returns what to do with a disk that qemu-img reads under this name. */
export function convertAdvice(driver: string): string {
  return `Run qemu-img convert -f ${driver} -O qcow2 OLD NEW.qcow2 on a trusted machine, then upload NEW.qcow2.`
}

/** Returns what to do with an archive that this command unpacks. */
function unpackAdvice(command: string): string {
  return `Unpack it with ${command}, then upload the disk image inside it.`
}

/** Returns what to do with a compressed file that the agent can unpack. */
function decompressAdvice(command: string): string {
  return `Upload it again with decompress=true, or unpack it with ${command} and upload the disk image inside it.`
}

const LUKS_ADVICE =
  'Run cryptsetup open --type luks OLD NAME on a trusted machine, copy /dev/mapper/NAME to a raw file, then upload that file. A store does not hold keys.'

/** All signatures. The first that matches decides. */
const SIGNATURES: readonly Signature[] = [
  { foreign: 'vdi', name: 'a disk of VirtualBox (vdi)', advice: convertAdvice('vdi'), marks: [[64, '\u007f\u0010\u00da\u00be']] },
  { foreign: 'vhdx', name: 'a disk of Hyper-V (vhdx)', advice: convertAdvice('vhdx'), marks: [[0, 'vhdxfile']] },
  { foreign: 'qed', name: 'a disk in the obsolete format qed', advice: convertAdvice('qed'), marks: [[0, 'QED\0']] },
  { foreign: 'parallels', name: 'a disk of Parallels', advice: convertAdvice('parallels'), marks: [[0, 'WithoutFreeSpace']] },
  { foreign: 'parallels', name: 'a disk of Parallels', advice: convertAdvice('parallels'), marks: [[0, 'WithouFreSpacExt']] },
  { foreign: 'bochs', name: 'a disk of Bochs', advice: convertAdvice('bochs'), marks: [[0, 'Bochs Virtual HD Image']] },
  { foreign: 'cloop', name: 'a compressed loop device (cloop)', advice: convertAdvice('cloop'), marks: [[0, '#!/bin/sh\n#V2.0 Format\n']] },
  { foreign: 'qcow', name: 'a disk in the obsolete format qcow, version 1', advice: convertAdvice('qcow'), marks: [[0, 'QFI\u00fb\0\0\0\u0001']] },
  { foreign: 'luks', name: 'an encrypted disk (LUKS 1)', advice: LUKS_ADVICE, marks: [[0, 'LUKS\u00ba\u00be\0\u0001']] },
  { foreign: 'luks', name: 'an encrypted disk (LUKS 2)', advice: LUKS_ADVICE, marks: [[0, 'LUKS\u00ba\u00be\0\u0002']] },
  { foreign: 'luks', name: 'an encrypted disk (LUKS)', advice: LUKS_ADVICE, marks: [[0, 'LUKS\u00ba\u00be']] },
  { foreign: 'luks', name: 'an encrypted disk (LUKS 2)', advice: LUKS_ADVICE, marks: [[0, 'SKUL\u00ba\u00be']] },
  { foreign: 'vma', name: 'a backup of Proxmox (vma)', advice: unpackAdvice('vma extract OLD FOLDER'), marks: [[0, 'VMA\0']] },
  { foreign: 'wim', name: 'a Windows image (wim)', advice: unpackAdvice('wimapply OLD FOLDER'), marks: [[0, 'MSWIM\0\0\0']] },
  {
    foreign: 'squashfs',
    name: 'a squashfs file system',
    advice: 'Unpack it with unsquashfs OLD, and make a disk image from its files, then upload that image.',
    marks: [[0, 'hsqs']],
  },
  {
    foreign: 'squashfs',
    name: 'a squashfs file system',
    advice: 'Unpack it with unsquashfs OLD, and make a disk image from its files, then upload that image.',
    marks: [[0, 'sqsh']],
  },
  { foreign: 'gzip', name: 'a file compressed with gzip', advice: decompressAdvice('gunzip OLD'), marks: [[0, '\u001f\u008b\u0008']] },
  { foreign: 'xz', name: 'a file compressed with xz', advice: decompressAdvice('unxz OLD'), marks: [[0, '\u00fd7zXZ\0']] },
  { foreign: 'zstd', name: 'a file compressed with zstd', advice: decompressAdvice('unzstd OLD'), marks: [[0, '(\u00b5/\u00fd']] },
  ...['1', '2', '3', '4', '5', '6', '7', '8', '9'].flatMap((level): Signature[] => {
    const bzip2 = { foreign: 'bzip2', name: 'a file compressed with bzip2', advice: unpackAdvice('bunzip2 OLD') }
    return [
      { ...bzip2, marks: [[0, `BZh${level}1AY&SY`]] },
      { ...bzip2, marks: [[0, `BZh${level}\u0017rE8P\u0090`]] },
    ]
  }),
  { foreign: 'lz4', name: 'a file compressed with lz4', advice: unpackAdvice('unlz4 OLD NEW'), marks: [[0, '\u0004"M\u0018']] },
  { foreign: 'lzip', name: 'a file compressed with lzip', advice: unpackAdvice('lzip -d OLD'), marks: [[0, 'LZIP\u0001']] },
  { foreign: 'zip', name: 'a zip archive', advice: unpackAdvice('unzip OLD'), marks: [[0, 'PK\u0003\u0004']] },
  { foreign: 'zip', name: 'an empty zip archive', advice: unpackAdvice('unzip OLD'), marks: [[0, 'PK\u0005\u0006']] },
  { foreign: 'zip', name: 'a part of a zip archive', advice: unpackAdvice('unzip OLD'), marks: [[0, 'PK\u0007\u0008']] },
  { foreign: '7z', name: 'a 7z archive', advice: unpackAdvice('7z x OLD'), marks: [[0, "7z\u00bc\u00af'\u001c"]] },
  { foreign: 'rar', name: 'a rar archive', advice: unpackAdvice('unrar x OLD'), marks: [[0, 'Rar!\u001a\u0007']] },
  { foreign: 'cpio', name: 'a cpio archive', advice: unpackAdvice('cpio -id'), marks: [[0, '070701']] },
  { foreign: 'cpio', name: 'a cpio archive', advice: unpackAdvice('cpio -id'), marks: [[0, '070702']] },
]

/** Detects a format by its signature at the start of the file. */
export async function detectSignature(probe: ImageProbe): Promise<ForeignDetection | undefined> {
  const head = await probe.readAt(0, HEAD_BYTES)
  const found = SIGNATURES.find(({ marks }) => marks.every(([offset, text]) => startsWith(head, text, offset)))
  if (found) return { foreign: found.foreign, name: found.name, advice: found.advice }
  return isWebPage(head) ? WEB_PAGE : undefined
}

const WEB_PAGE: ForeignDetection = {
  foreign: 'html',
  name: 'a web page, such as the error or sign-in page of a download site',
  advice: 'Check the address of the image, download it again, and compare its length and checksum before you upload it.',
}

function isWebPage(head: Uint8Array): boolean {
  const text = new TextDecoder('latin1').decode(head).replace(/^\u00ef\u00bb\u00bf/, '')
  return /^\s*(?:<!doctype html|<html)[\s>]/i.test(text)
}
