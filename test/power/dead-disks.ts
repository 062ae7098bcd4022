// Removes recorded disks whose process was killed. Their mounts answer every access with ENOTCONN, and mkfs.btrfs fails while one is mounted
// anywhere on the machine.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '../../protocol/errors.ts'
import { run } from '../support/images/small-image.ts'

interface Mount {
  readonly source: string
  readonly path: string
  readonly type: string
}

/** Unmounts the recorded disks of killed test runs and releases their loop devices. Does not touch disks that are in use. */
export async function removeDeadDisks(): Promise<void> {
  for (const { path } of mounts().filter(({ type, path: fuse }) => type === 'fuse.log-disk' && isDead(fuse))) {
    for (const device of loopDevicesIn(path)) {
      for (const mounted of mounts().filter(({ source }) => source === device)) await run('umount', '--lazy', mounted.path)
      // An unmounted device may have been released already.
      await run('losetup', '--detach', device).catch(() => '')
    }
    await run('umount', '--lazy', path)
  }
}

function mounts(): Mount[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [source = '', path = '', type = ''] = line.split(' ')
      return { source, path, type }
    })
}

function isDead(path: string): boolean {
  try {
    statSync(path)
    return false
  } catch (error) {
    return errorCode(error) === 'ENOTCONN'
  }
}

/** Returns the loop devices that are backed by a file in a folder. */
function loopDevicesIn(folder: string): string[] {
  const backingFile = (name: string): string => join('/sys/block', name, 'loop/backing_file')
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop') && existsSync(backingFile(name)) && readFileSync(backingFile(name), 'utf8').startsWith(`${folder}/`))
    .map((name) => `/dev/${name}`)
}
