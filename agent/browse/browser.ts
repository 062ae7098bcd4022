// Lists and opens files of the mount path. Every part of a path is opened below the folder before it without following links, so that no
// folder can be replaced by a link between check and use.

import { constants } from 'node:fs'
import { lstat, open, readdir, realpath, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { basename, join, relative, sep } from 'node:path'
import { errorCode, hasCode } from '../../protocol/errors.ts'
import type { FileEntry } from '../../protocol/file.ts'
import type { Page } from '../../protocol/page.ts'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import type { BrowsedFile, FileBrowser } from '../contract/browse.ts'
import { parseRelativePath } from './relative-path.ts'

/** Most entries of one folder that are sorted and paged. */
const ENTRIES_MAX = 200_000
/** Bytes per read. */
const PIECE_BYTES = 256 * 1024

/** Creates the browser of a mount path. */
export function createFileBrowser({ mount }: { readonly mount: string }): FileBrowser {
  return {
    async list(path, { limit, cursor, withheld = [], isSeen = () => true }): Promise<Page<FileEntry>> {
      const { real, root } = await resolveInside(mount, path)
      const parts = relative(root, real).split(sep).filter(Boolean)
      const [top = ''] = parts
      if (withheld.includes(top)) throw problem('forbidden', `Only operators may list the folder ${top}.`)
      if (parts.some((_part, i) => !isSeen(parts.slice(0, i + 1)))) throw noSuchFile(path)
      await using folder = await openBelow(root, real, constants.O_DIRECTORY, path)
      const names = await readdir(descriptorPath(folder))
      if (names.length > ENTRIES_MAX)
        throw problem('limit-reached', `The folder has more than ${ENTRIES_MAX} entries.`, { action: 'List it on the node itself.' })
      const rest = names.filter((name) => (cursor === undefined || name > cursor) && isSeen([...parts, name])).toSorted((a, b) => (a < b ? -1 : 1))
      const page = rest.slice(0, limit)
      const items = await Promise.all(page.map((name) => describe(root, join(descriptorPath(folder), name), name)))
      const last = page.at(-1)
      // Omits entries that were removed in the meantime.
      return { items: items.filter((item) => item !== undefined), next: rest.length > limit && last !== undefined ? last : null }
    },

    async open(path): Promise<BrowsedFile> {
      const { real, root } = await resolveInside(mount, path)
      // O_NONBLOCK: opening a FIFO that has no writer would block forever.
      const file = await openBelow(root, real, constants.O_NONBLOCK, path)
      try {
        const found = await file.stat({ bigint: true })
        if (!found.isFile()) throw problem('not-found', `${quote(path)} is not a file.`, { action: 'Request content only for entries whose kind is file.' })
        const { ino, size, ctimeNs, mtimeNs } = found
        return {
          name: basename(real),
          length: Number(size),
          modifiedMs: Number(found.mtimeMs),
          etag: `"${[ino, size, mtimeNs, ctimeNs].map((part) => part.toString(36)).join('-')}"`,
          read: (start, end) => readPieces(file, start, end),
          [Symbol.asyncDispose]: () => file.close(),
        }
      } catch (error) {
        await file.close()
        throw error
      }
    },
  }
}

/** Resolves the links of a path. Throws when it leads out of the mount path. */
async function resolveInside(mount: string, path: string): Promise<{ readonly real: string; readonly root: string }> {
  const parts = parseRelativePath(path)
  try {
    const root = await resolveRoot(mount)
    const real = await realpath(join(root, ...parts))
    if (!isInside(root, real)) throw problem('outside-mount-path', `${quote(path)} leads out of the mount path.`)
    return { real, root }
  } catch (error) {
    throw refusalOf(error, path)
  }
}

/** Resolves the links of the mount path. Throws ProblemError `store-unavailable` when it does not exist. */
async function resolveRoot(mount: string): Promise<string> {
  try {
    return await realpath(mount)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) throw problem('store-unavailable', 'The mount path of the store does not exist.', {}, { cause: error })
    throw error
  }
}

/** Opens a path part by part, each relative to the open folder before it, without following links. */
async function openBelow(root: string, real: string, flags: number, path: string): Promise<FileHandle> {
  const parts = relative(root, real).split(sep).filter(Boolean)
  const last = parts.pop()
  let folder = await openPart(root, constants.O_DIRECTORY | (last === undefined ? flags : 0), path)
  for (const part of parts) folder = await openNext(folder, part, constants.O_DIRECTORY, path)
  return last === undefined ? folder : openNext(folder, last, flags, path)
}

async function openNext(folder: FileHandle, part: string, flags: number, path: string): Promise<FileHandle> {
  try {
    // openat(2) through proc(5): Node has no function for it.
    return await openPart(join(descriptorPath(folder), part), flags | constants.O_NOFOLLOW, path)
  } finally {
    await folder.close()
  }
}

async function openPart(file: string, flags: number, path: string): Promise<FileHandle> {
  try {
    return await open(file, constants.O_RDONLY | flags)
  } catch (error) {
    throw refusalOf(error, path)
  }
}

function descriptorPath(file: FileHandle): string {
  return `/proc/self/fd/${file.fd}`
}

function isInside(root: string, path: string): boolean {
  return path === root || path.startsWith(root === sep ? root : root + sep)
}

/** Returns one entry of a folder; undefined when it was removed. */
async function describe(root: string, path: string, name: string): Promise<FileEntry | undefined> {
  try {
    const found = await lstat(path)
    const entry = { name, length: found.size, modifiedAt: formatTime(found.mtimeMs) }
    if (found.isFile()) return { ...entry, kind: 'file' }
    if (found.isDirectory()) return { ...entry, kind: 'folder', length: 0 }
    if (!found.isSymbolicLink()) return { ...entry, kind: 'other', length: 0 }
    return (await describeTarget(root, path, name)) ?? { ...entry, kind: 'other', length: 0 }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** Returns the entry of a link's target; undefined when the link is broken or leads out of the mount path. */
async function describeTarget(root: string, path: string, name: string): Promise<FileEntry | undefined> {
  try {
    const target = await realpath(path)
    if (!isInside(root, target)) return undefined
    const found = await stat(target)
    const kind = found.isFile() ? 'file' : found.isDirectory() ? 'folder' : 'other'
    return { name, kind, length: kind === 'file' ? found.size : 0, modifiedAt: formatTime(found.mtimeMs) }
  } catch {
    // The link is broken or circular, or its target is not accessible: the caller lists it as `other`.
    return undefined
  }
}

async function* readPieces(file: FileHandle, start: number, end: number): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end;) {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, end - at))
    const { bytesRead } = await file.read(piece, 0, piece.byteLength, at)
    if (bytesRead === 0) throw new Error(`the file ended at ${at} bytes while ${end} were announced`)
    yield piece.subarray(0, bytesRead)
    at += bytesRead
  }
}

/** Returns the problem for an error of the file system. */
function refusalOf(error: unknown, path: string): unknown {
  switch (errorCode(error) ?? '') {
    case 'ENOENT':
    case 'ENAMETOOLONG':
      return noSuchFile(path)
    case 'ENOTDIR':
      return problem('not-found', `${quote(path)} is not a folder.`, { action: 'Request its content instead.' })
    case 'ELOOP':
      return problem('outside-mount-path', `${quote(path)} is a link that cannot be followed.`)
    case 'EACCES':
    case 'EPERM':
      return problem('forbidden', `The agent may not read ${quote(path)}.`, { action: 'Check the owner and mode of the file.' })
    case 'ENXIO':
      return problem('not-found', `${quote(path)} is not a file.`)
    default:
      return error
  }
}

function noSuchFile(path: string): ProblemError {
  return problem('not-found', `There is no file ${quote(path)} in the mount path.`, { action: 'List its parent folder.' })
}

function quote(path: string): string {
  return JSON.stringify(path === '' ? '/' : path)
}
