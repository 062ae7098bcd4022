// A mounted file system whose disk logs every write and every flush (log-disk.c), and the mounting of disk states made from that log.

import { existsSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { hasTool, requirePackage, requireThat, requireTool } from '../support/require.ts'
import type { TestFunction } from '../support/require.ts'
import { run } from '../support/images/small-image.ts'
import { until } from '../support/until.ts'
import { removeDeadDisks } from './dead-disks.ts'

export const FILE_SYSTEMS = ['ext4', 'xfs', 'btrfs'] as const
export type FileSystem = (typeof FILE_SYSTEMS)[number]

/** Length of the disk in bytes: enough for one workload, and for mkfs.xfs, which needs 300 MB. */
const DISK_BYTES = 512 * 1024 * 1024

const MAKE: Readonly<Record<FileSystem, readonly string[]>> = {
  // No initialisation in the background, so that the log contains only the writes of the workload.
  ext4: ['mkfs.ext4', '-q', '-F', '-m', '0', '-E', 'lazy_itable_init=0,lazy_journal_init=0'],
  xfs: ['mkfs.xfs', '-q', '-K'],
  btrfs: ['mkfs.btrfs', '-q', '-f', '-K'],
}

const MOUNT_OPTIONS: Readonly<Record<FileSystem, string>> = {
  ext4: 'nodiscard',
  // States of one disk have the same UUID and are mounted at the same time.
  xfs: 'nouuid,nodiscard',
  btrfs: 'nodiscard',
}

const PACKAGES: Readonly<Record<FileSystem, string>> = { ext4: 'e2fsprogs', xfs: 'xfsprogs', btrfs: 'btrfs-progs' }

/** A disk that is being recorded. Disposing unmounts it and keeps its files. */
export interface RecordedDisk extends AsyncDisposable {
  /** The process that serves the disk. */
  readonly pid: number
  /** Where the file system is mounted. */
  readonly path: string
  /** The disk as mkfs left it, before the first entry of the log. */
  readonly base: string
  readonly log: string
  /** Returns the length of the log in bytes: every change of the disk so far is before it. */
  position(): number
}

/** `test`, or a test that is skipped where such a disk cannot be mounted. */
export function requireRecordedDisk(fileSystem: FileSystem): TestFunction {
  if (process.getuid?.() !== 0 || !existsSync('/dev/loop-control') || !existsSync('/dev/fuse'))
    return requireThat(false, 'power cuts need root, loop devices and /dev/fuse')
  if (!hasTool('gcc', 'gcc')) return requireTool('gcc', 'gcc')
  if (!hasTool('pkg-config', 'pkg-config')) return requireTool('pkg-config', 'pkg-config')
  const hasLibrary = Bun.spawnSync(['pkg-config', '--exists', 'fuse3']).success
  if (!hasLibrary) return requirePackage(false, 'libfuse3', 'libfuse3-dev')
  return requireTool(`mkfs.${fileSystem}`, PACKAGES[fileSystem])
}

/** Creates a file system in a file of `folder`, mounts it at `path` and records every change of its disk from then on. */
export async function recordDisk(folder: string, path: string, fileSystem: FileSystem): Promise<RecordedDisk> {
  const [base, backing, log] = [join(folder, 'base'), join(folder, 'backing'), join(folder, 'log')]
  const [fuse, program] = [join(folder, 'fuse'), join(folder, 'log-disk')]
  await buildLogDisk(program)
  await removeDeadDisks()
  await run('truncate', '-s', String(DISK_BYTES), base)
  await run(...(MAKE[fileSystem] as [string, ...string[]]), base)
  await run('cp', '--sparse=always', base, backing)
  mkdirSync(fuse)

  await using stack = new AsyncDisposableStack()
  const child = Bun.spawn([program, backing, log, fuse], { stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' })
  stack.defer(async () => {
    await run('fusermount3', '-u', '-z', fuse)
    await child.exited
  })
  await until('the logging file system is mounted', () => {
    if (child.exitCode !== null) throw new Error(`log-disk ended with ${child.exitCode}`)
    return existsSync(join(fuse, 'disk'))
  })
  stack.use(await mountDisk(join(fuse, 'disk'), fileSystem, path))
  const owned = stack.move()
  return { pid: child.pid, path, base, log, position: () => statSync(log).size, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** The file system refuses to mount a disk state. Acknowledged data is lost then, but not because of the agent. */
export class DiskStateUnmountable extends Error {
  override readonly name = 'DiskStateUnmountable'
}

/** Mounts the file system of a disk file at a path. Throws DiskStateUnmountable. */
export async function mountDisk(file: string, fileSystem: FileSystem, path: string): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  const device = (await run('losetup', '--find', '--show', file)).trim()
  stack.defer(async () => void (await run('losetup', '--detach', device)))
  if (fileSystem === 'btrfs') {
    // btrfs remembers devices by the UUID of their file system, which all states of one disk share. It does not forget a device that another
    // mount namespace (of a container that was started meanwhile) still has; later states then get a temporary UUID.
    stack.defer(async () => void (await run('btrfs', 'device', 'scan', '--forget', device).catch(() => '')))
  }
  try {
    await run('mount', '-t', fileSystem, '-o', MOUNT_OPTIONS[fileSystem], device, path)
  } catch (error) {
    throw new DiskStateUnmountable(`${fileSystem} cannot be mounted: ${String(error)}`, { cause: error })
  }
  stack.defer(() => unmount(path))
  const owned = stack.move()
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Unmounts a path once no process has files open there. The files of a killed process may be closed after its end. */
async function unmount(path: string): Promise<void> {
  await until(`${path} is not in use`, () =>
    run('umount', path).then(
      () => true,
      (error: unknown) => {
        if (!String(error).includes('busy')) throw error
        return false
      },
    ),
  )
}

async function buildLogDisk(program: string): Promise<void> {
  const flags = (await run('pkg-config', '--cflags', '--libs', 'fuse3')).trim().split(/\s+/)
  await run('gcc', '-O2', '-Wall', '-Wextra', '-Werror', '-o', program, join(import.meta.dir, 'log-disk.c'), ...flags)
}
