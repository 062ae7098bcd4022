// A small ext4 file system on a loop device for a test, which can become read-only or disappear while an agent uses it. Needs root and loop devices.

import { appendFileSync, mkdirSync } from 'node:fs'
import { hasTool, requireThat, requireTool } from '../require.ts'
import type { TestFunction } from '../require.ts'
import { run } from '../images/small-image.ts'

/**
 * A file system mounted below `folder` and bind-mounted at `path`. The bind mount can be made read-only or detached while files are open in
 * it.
 */
export interface LoopMount extends AsyncDisposable {
  readonly path: string
  /** Mounts the same file system read-only over the path. `restore` reverts it. */
  makeReadOnly(): Promise<void>
  /** Detaches the file system like a lost network mount: the path becomes an empty folder of another file system. */
  takeAway(): Promise<void>
  /** Reverts `makeReadOnly` and `takeAway`. */
  restore(): Promise<void>
}

/** Returns `test`, or a skipped test if file systems cannot be mounted. */
export async function requireLoopMount(): Promise<TestFunction> {
  if (!hasTool('mke2fs', 'e2fsprogs')) return requireTool('mke2fs', 'e2fsprogs')
  return requireThat(await canMount(), 'no file system can be mounted here: root and loop devices are needed')
}

let can: Promise<boolean> | undefined

function canMount(): Promise<boolean> {
  can ??= (async () => {
    if (process.getuid?.() !== 0) return false
    try {
      // Finds a free loop device. Fails if the kernel or the container provides none.
      await run('losetup', '-f')
      return true
    } catch {
      return false
    }
  })()
  return can
}

/** Creates a file system of `bytes` bytes and mounts it at `path`. */
export async function mountLoop(folder: string, path: string, bytes: number): Promise<LoopMount> {
  const file = `${folder}/loop.ext4`
  const below = `${folder}/loop`
  mkdirSync(below, { recursive: true })
  mkdirSync(path, { recursive: true })
  await run('truncate', '-s', String(bytes), file)
  await run('mke2fs', '-q', '-t', 'ext4', '-m', '0', file)
  await run('mount', '-o', 'loop', file, below)
  await run('mount', '--bind', below, path)
  let state: 'there' | 'read-only' | 'away' = 'there'
  const restore = async (): Promise<void> => {
    if (state === 'read-only') await run('umount', '-l', path)
    if (state === 'away') await run('mount', '--bind', below, path)
    state = 'there'
  }
  return {
    path,
    restore,
    async makeReadOnly() {
      await run('mount', '--bind', below, path)
      await run('mount', '-o', 'remount,ro,bind', path)
      state = 'read-only'
    },
    async takeAway() {
      await run('umount', '-l', path)
      state = 'away'
    },
    async [Symbol.asyncDispose]() {
      await restore()
      await run('umount', '-l', path)
      await run('umount', '-l', below)
    },
  }
}

/** Appends to a file until its disk is full. */
export function fillDisk(path: string): void {
  for (let bytes = 1024 * 1024; bytes >= 1;) {
    try {
      appendFileSync(path, new Uint8Array(bytes))
    } catch {
      bytes = Math.floor(bytes / 2)
    }
  }
}
