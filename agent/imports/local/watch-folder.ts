// Reports changes in a folder: by inotify where the kernel sees every change, by polling on file systems that other machines write to.

import { statfs } from 'node:fs/promises'
import { watch } from 'chokidar'

/** f_type of statfs(2) of file systems whose changes on other machines raise no inotify event: NFS, SMB, CIFS, FUSE, 9p, Ceph, GFS2, OCFS2, Lustre. */
const SHARED_TYPES: ReadonlySet<number> = new Set([
  0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x00c36400, 0x01161970, 0x7461636f, 0x0bd00bd0,
])
/** How often such a file system is polled, in milliseconds. */
const POLLING_MS = 5_000

/** Calls back after changes in a folder, not in its subfolders, until disposed. `onError` is told why changes may go unnoticed. */
export async function watchFolder(path: string, onChange: () => void, onError: (error: unknown) => void): Promise<AsyncDisposable> {
  const { type } = await statfs(path)
  const watcher = watch(path, {
    depth: 0,
    ignoreInitial: true,
    followSymlinks: false,
    ignorePermissionErrors: true,
    persistent: false,
    atomic: false,
    backend: SHARED_TYPES.has(type) ? 'polling' : 'native',
    pollingInterval: POLLING_MS,
    pollingBinaryInterval: POLLING_MS,
  })
  watcher.on('all', onChange)
  // Changes before the first look of the watcher are not reported.
  watcher.on('ready', onChange)
  watcher.on('error', onError)
  return { [Symbol.asyncDispose]: () => watcher.close() }
}
