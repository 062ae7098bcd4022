// A small file system of its own for a test: an ext4 image on a loop device, and what can happen to it while an agent uses
// it. Needs root and loop devices, as Debian's packages test themselves with.

import { appendFileSync, mkdirSync } from 'node:fs'
import { hasTool, requireThat, requireTool } from '../require.ts'
import type { TestFunction } from '../require.ts'
import { run } from '../images/small-image.ts'

/**
 * The file system is mounted below `folder` and shown at `path` by a bind mount, which can be made read-only or taken
 * away while files are open in it.
 */
export interface LoopMount extends AsyncDisposable {
  readonly path: string
  /** Covers the path with the same file system, read-only. `restore` takes that back. */
  makeReadOnly(): Promise<void>
  /** Takes the file system away as a dropped network mount goes: the path is an empty folder of another file system. */
  takeAway(): Promise<void>
  /** As it was before. */
  restore(): Promise<void>
}

/** `test`, or a test that is skipped where no file system can be mounted. */
export async function requireLoopMount(): Promise<TestFunction> {
  if (!hasTool('mke2fs', 'e2fsprogs')) return requireTool('mke2fs', 'e2fsprogs')
  return requireThat(await canMount(), 'no file system can be mounted here: root and loop devices are needed')
}

let can: Promise<boolean> | undefined

function canMount(): Promise<boolean> {
  can ??= (async () => {
    if (process.getuid?.() !== 0) return false
    try {
      // Finds a free loop device, and fails where the kernel or the container gives none.
      await run('losetup', '-f')
      return true
    } catch {
      return false
    }
  })()
  return can
}

/** Makes a file system of this length in bytes and shows it at `path`. */
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

/** Writes a file until its disk takes nothing more. */
export function fillDisk(path: string): void {
  for (let bytes = 1024 * 1024; bytes >= 1;) {
    try {
      appendFileSync(path, new Uint8Array(bytes))
    } catch {
      bytes = Math.floor(bytes / 2)
    }
  }
}
