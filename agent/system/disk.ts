// The real disk, on node:fs. Everything durable in the agent goes through here (docs/format.md, "Write order").

import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, rename, rm, statfs, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { hasCode } from '../../protocol/errors.ts'
import type { Disk, DiskFile, FileStat } from '../contract/disk.ts'
import { syncFolder } from '../contract/sync-folder.ts'

/** Suffix of files that are not complete yet. Files with it that a crash left are removed at the next start. */
export const TEMPORARY_SUFFIX = '.tmp'

/** Returns the disk of this machine. */
export function createDisk(): Disk {
  let temporaryCount = 0
  const temporaryPath = (path: string): string => join(dirname(path), `.${basename(path)}.${process.pid}.${temporaryCount++}${TEMPORARY_SUFFIX}`)
  return {
    openRead: async (path) => wrap(await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)),
    async openWrite(path, mode) {
      const create = mode === 'create' ? constants.O_CREAT | constants.O_EXCL : 0
      return wrap(await open(path, constants.O_RDWR | constants.O_NOFOLLOW | create, 0o640))
    },
    readFile,
    writeFileAtomic: (path, bytes) => replaceFile(path, temporaryPath(path), bytes),
    async rename(from, to) {
      await rename(from, to)
      await syncFolder(dirname(to))
      if (dirname(from) !== dirname(to)) await syncFolder(dirname(from))
    },
    remove,
    async removeTree(path) {
      await rm(path, { recursive: true, force: true })
      await syncFolder(dirname(path))
    },
    makeFolder,
    list,
    stat,
    syncFolder,
    async space(path) {
      const found = await statfs(path)
      return { totalBytes: found.blocks * found.bsize, freeBytes: found.bavail * found.bsize }
    },
  }
}

async function readFile(path: string, lengthMax: number): Promise<Uint8Array<ArrayBuffer>> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const { size } = await file.stat()
    if (size > lengthMax) throw new RangeError(`${path} is ${size} bytes long, the limit is ${lengthMax}`)
    const bytes = new Uint8Array(size)
    const filled = await fill(file, bytes, 0)
    return bytes.subarray(0, filled)
  } finally {
    await file.close()
  }
}

async function replaceFile(path: string, temporary: string, bytes: Uint8Array | string): Promise<void> {
  try {
    const file = await open(temporary, 'wx', 0o640)
    try {
      await writeAll(file, [typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes], 0)
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    // The first error is the one that counts; a temporary file that stays is removed at the next start.
    await unlink(temporary).catch(() => {})
    throw error
  }
  await syncFolder(dirname(path))
}

async function remove(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
    return
  }
  await syncFolder(dirname(path))
}

async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (first === undefined) return
  // mkdir returns the topmost folder it created: every one from there down is new in its parent.
  for (let folder = path; folder.length >= first.length; folder = dirname(folder)) await syncFolder(dirname(folder))
}

async function list(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw error
  }
}

async function stat(path: string): Promise<FileStat | undefined> {
  try {
    const found = await lstat(path)
    const kind: FileStat['kind'] = found.isFile() ? 'file' : found.isDirectory() ? 'folder' : found.isSymbolicLink() ? 'link' : 'other'
    return { kind, length: found.size, modifiedMs: found.mtimeMs, inode: found.ino, changedMs: found.ctimeMs }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
}

function wrap(file: FileHandle): DiskFile {
  return {
    read: (into, position) => fill(file, into, position),
    write: (parts, position) => writeAll(file, parts, position),
    sync: () => file.datasync(),
    truncate: (length) => file.truncate(length),
    length: async () => (await file.stat()).size,
    close: () => file.close(),
    [Symbol.asyncDispose]: () => file.close(),
  }
}

async function fill(file: FileHandle, into: Uint8Array, position: number): Promise<number> {
  let filled = 0
  while (filled < into.byteLength) {
    const { bytesRead } = await file.read(into, filled, into.byteLength - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}

async function writeAll(file: FileHandle, parts: readonly Uint8Array[], position: number): Promise<void> {
  let at = position
  for (const part of parts) {
    let written = 0
    while (written < part.byteLength) {
      const { bytesWritten } = await file.write(part, written, part.byteLength - written, at + written)
      if (bytesWritten === 0) throw new Error('the disk wrote no bytes and reported no error')
      written += bytesWritten
    }
    at += part.byteLength
  }
}
