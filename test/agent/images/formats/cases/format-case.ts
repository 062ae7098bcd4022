// One row of the table of images: how to make the image, and what the inspection must say about it. Each format has its rows in files of its own.

import { expect } from 'bun:test'
import type { FormatDetails, ImageFormat } from '../../../../../protocol/images/image.ts'
import type { TemporaryFolder } from '../../../../support/machine/temporary-folder.ts'

export interface Accepted {
  readonly kind: 'accepted'
  readonly format: ImageFormat
  readonly virtualSize?: number
  readonly details?: Partial<FormatDetails>
  /** What `qemu-img info` must say when it guesses the format, `raw` for an ISO; false where it says something else for a good reason. */
  readonly oracle?: string | false
}

export interface Refused {
  readonly kind: 'refused'
  readonly refusal: 'unsafe-image' | 'format-mismatch' | 'unsupported-format' | 'invalid-input'
  /** What the reason contains. */
  readonly says: string
  readonly detected?: string
  /** What `qemu-img info` must say where it is safe to ask: the image names no other file, and is small. */
  readonly oracle?: string
}

export interface FormatCase {
  /** Unique in the table. */
  readonly name: string
  /** Programs that make the image, with their Debian packages. */
  readonly needs?: readonly (readonly [program: string, debianPackage: string])[]
  /** Makes the image: its bytes, or the path of a file in the folder. */
  readonly make: (folder: TemporaryFolder) => Promise<Uint8Array | string> | Uint8Array | string
  readonly declared?: ImageFormat
  readonly expected: Accepted | Refused
}

export const QEMU_IMG = ['qemu-img', 'qemu-utils'] as const

/** Runs a program in the folder. Fails the test if the program fails. */
export function run(folder: TemporaryFolder, ...command: readonly string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], {
    cwd: folder.path,
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' },
  })
  expect(exitCode, `${command.join(' ')}: ${stderr.toString()}`).toBe(0)
  return stdout.toString()
}

/** Makes a disk with `qemu-img create`. `args` are its options; the size is 64 MiB unless one is given. */
export function qemuDisk(format: string, args: readonly string[] = [], size = '64M'): FormatCase['make'] {
  return (folder) => {
    const file = folder.file('image')
    run(folder, 'qemu-img', 'create', '-q', '-f', format, ...args, file, size)
    return file
  }
}

/** Returns bytes with other bytes written over them. */
export function patched(bytes: Uint8Array, ...patches: readonly (readonly [offset: number, bytes: Uint8Array | string])[]): Uint8Array {
  const copy = new Uint8Array(bytes)
  for (const [offset, patch] of patches) copy.set(typeof patch === 'string' ? Buffer.from(patch, 'latin1') : patch, offset)
  return copy
}

/** Returns bytes of this length that start with a text in latin1. */
export function startingWith(text: string, length = 65_536): Uint8Array {
  return patched(new Uint8Array(length), [0, text])
}
