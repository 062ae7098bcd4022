// Images for benches and long tests: a Debian root file system as a raw image, a second version updated in place, a second version rebuilt from
// scratch, and qcow2 conversions. Creating them takes minutes and needs root, so they are cached outside the repository.

import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './small-image.ts'

const CACHE_DEFAULT = '/var/cache/slipway-test'
const IMAGE_BYTES = 2 * 1024 ** 3
const RELEASE = 'bookworm'
const FIRST_PACKAGES = ['linux-image-amd64', 'openssh-server', 'systemd-sysv']
const SECOND_PACKAGES = ['nginx-light', 'python3-minimal', 'vim-tiny', 'tcpdump', 'sqlite3']

/** Paths of the raw images. `v2a` is `v1` updated in place; `v2b` is a new file system of the changed tree. */
export interface ImageFamily {
  readonly v1: string
  readonly v2a: string
  readonly v2b: string
}

/** v1 as qcow2, with uncompressed and compressed clusters. */
export interface QcowFamily {
  readonly v1: string
  readonly v1Compressed: string
}

/** Returns the cache folder outside the repository: SLIPWAY_TEST_CACHE, or /var/cache/slipway-test. */
export function testCacheFolder(): string {
  const folder = process.env['SLIPWAY_TEST_CACHE'] ?? CACHE_DEFAULT
  mkdirSync(folder, { recursive: true })
  return folder
}

/** v1 as a compressed qcow2, and the kernel and initial RAM disk that boot it with its whole disk as the root file system. */
export interface BootImage {
  readonly disk: string
  readonly kernel: string
  readonly initrd: string
}

/** Creates a file or folder in the cache unless it is there; it appears only when it is complete. */
async function make(path: string, say: (line: string) => void, build: (part: string) => Promise<void>): Promise<string> {
  if (existsSync(path)) return path
  say(`creating ${path}`)
  const part = `${path}.part`
  rmSync(part, { recursive: true, force: true })
  await build(part)
  renameSync(part, path)
  return path
}

/** Returns the root file system of v1 as a folder. */
function makeFirstRoot(say: (line: string) => void): Promise<string> {
  return make(join(testCacheFolder(), 'root1'), say, async (part) => {
    await run('debootstrap', '--variant=minbase', `--include=${FIRST_PACKAGES.join(',')}`, RELEASE, part)
  })
}

function makeFirst(say: (line: string) => void): Promise<string> {
  return make(join(testCacheFolder(), 'v1.raw'), say, async (part) => makeFileSystem(await makeFirstRoot(say), part))
}

/** Returns v1 as an image that boots; creates what is missing of it. */
export async function bootImage(say: (line: string) => void): Promise<BootImage> {
  const raw = await makeFirst(say)
  const folder = join(await makeFirstRoot(say), 'boot')
  const find = (prefix: string): string => join(folder, readdirSync(folder).find((name) => name.startsWith(prefix)) ?? prefix)
  const disk = await make(join(testCacheFolder(), 'v1-compressed.qcow2'), say, (part) =>
    run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', '-c', raw, part).then(() => undefined),
  )
  return { disk, kernel: find('vmlinuz'), initrd: find('initrd') }
}

/**
 * Returns the raw images and creates missing ones. Files appear only when they are complete, so an interrupted build can be resumed. Throws
 * with the output of the program that failed (debootstrap, mke2fs, mount, apt-get).
 *
 * @example
 * const { v1, v2a } = await imageFamily((line) => console.error(line))
 */
export async function imageFamily(say: (line: string) => void): Promise<ImageFamily> {
  const folder = testCacheFolder()
  const secondRoot = join(folder, 'root2')
  const family = { v1: join(folder, 'v1.raw'), v2a: join(folder, 'v2a.raw'), v2b: join(folder, 'v2b.raw') }
  await makeFirst(say)
  await make(family.v2b, say, async (part) => {
    const firstRoot = await makeFirstRoot(say)
    await make(secondRoot, say, async (root) => {
      await run('cp', '-a', firstRoot, root)
      await upgrade(root)
    })
    await makeFileSystem(secondRoot, part)
  })
  await make(family.v2a, say, (part) => upgradeInPlace(family.v1, part, join(folder, 'mount')))
  return family
}

/** Returns the qcow2 conversions and creates missing ones, including the raw images. */
export async function qcowFamily(say: (line: string) => void): Promise<QcowFamily> {
  const raw = await imageFamily(say)
  const folder = testCacheFolder()
  const convert = async (from: string, name: string, ...options: string[]): Promise<string> => {
    const path = join(folder, name)
    if (existsSync(path)) return path
    say(`creating ${path}`)
    await run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', ...options, from, `${path}.part`)
    renameSync(`${path}.part`, path)
    return path
  }
  return {
    v1: await convert(raw.v1, 'v1.qcow2'),
    v1Compressed: await convert(raw.v1, 'v1-compressed.qcow2', '-c'),
  }
}

async function makeFileSystem(root: string, path: string): Promise<void> {
  await run('truncate', '-s', String(IMAGE_BYTES), path)
  await run('mke2fs', '-q', '-t', 'ext4', '-d', root, path)
}

/** Installs the packages of the second version without starting services. */
async function upgrade(root: string): Promise<void> {
  writeFileSync(join(root, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  if (existsSync('/etc/resolv.conf')) copyFileSync('/etc/resolv.conf', join(root, 'etc/resolv.conf'))
  await run('chroot', root, 'apt-get', '-q', 'update')
  await run('chroot', root, 'apt-get', '-q', 'install', '-y', '--no-install-recommends', ...SECOND_PACKAGES)
  await run('sh', '-c', 'rm -rf "$1"/var/lib/apt/lists/*', 'sh', root)
}

async function upgradeInPlace(from: string, to: string, mountPoint: string): Promise<void> {
  await run('cp', '--sparse=always', from, to)
  mkdirSync(mountPoint, { recursive: true })
  await run('mount', '-o', 'loop', to, mountPoint)
  try {
    await upgrade(mountPoint)
  } finally {
    await run('umount', mountPoint)
  }
}
