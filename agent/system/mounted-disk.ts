// A disk that tells a mount path that went away from a file that is not there. When a network mount drops, what is left is
// an empty folder of another file system: without this every file would read as removed, which gc and scrub would believe,
// and what is made would be acknowledged on the wrong disk.

import { join } from 'node:path'
import { hasCode } from '../../protocol/errors.ts'
import type { Disk, DiskFile } from '../contract/disk.ts'

/** The file system of the store is not at its mount path. Reads as the error of a mount that lost its server. */
export class MountGone extends Error {
  override readonly name = 'MountGone'
  readonly code = 'ENOTCONN'

  constructor(mount: string, cause?: unknown) {
    super(`${mount} does not hold the store any more: its file system is not mounted`, { cause })
  }
}

/** Longest file that is compared, in bytes. */
const MARK_BYTES_MAX = 64 * 1024

/**
 * Guards everything below a mount path; other paths pass. `markName` is a file in it that never changes. A file that seems
 * to be missing is believed only while the mark is there, and nothing is made or removed without it: MountGone is thrown.
 */
export async function guardMount(disk: Disk, mount: string, markName: string): Promise<Disk> {
  const markPath = join(mount, markName)
  const mark = await disk.readFile(markPath, MARK_BYTES_MAX)
  let seen = await disk.stat(markPath)

  const isThere = async (): Promise<boolean> => {
    const now = await disk.stat(markPath)
    if (now?.kind !== 'file') return false
    if (now.length === seen?.length && now.modifiedMs === seen.modifiedMs) return true
    // Touched, or the mark of another store: only its bytes tell.
    if (Buffer.compare(await disk.readFile(markPath, MARK_BYTES_MAX), mark) !== 0) return false
    seen = now
    return true
  }
  const requireMount = async (cause?: unknown): Promise<void> => {
    if (!(await isThere())) throw new MountGone(mount, cause)
  }
  const isBelow = (path: string): boolean => path === mount || path.startsWith(`${mount}/`)

  /** Runs what only looks; what it does not find is doubted. */
  const look = async <T>(path: string, run: () => Promise<T>, isAbsence: (found: T) => boolean = () => false): Promise<T> => {
    if (!isBelow(path)) return run()
    let found: T
    try {
      found = await run()
    } catch (error) {
      if (hasCode(error, 'ENOENT')) await requireMount(error)
      throw error
    }
    if (isAbsence(found)) await requireMount()
    return found
  }
  /** Runs what makes or removes a name. The mount may go at any moment: it counts only when it was there before and after. */
  const change = async <T>(path: string, run: () => Promise<T>): Promise<T> => {
    if (!isBelow(path)) return run()
    await requireMount()
    const result = await look(path, run)
    await requireMount()
    return result
  }
  const create = async (path: string): Promise<DiskFile> => {
    let file: DiskFile | undefined
    try {
      return await change(path, async () => (file = await disk.openWrite(path, 'create')))
    } catch (error) {
      await file?.close().catch(() => {})
      throw error
    }
  }

  return {
    openRead: (path) => look(path, () => disk.openRead(path)),
    openWrite: (path, mode) => (mode === 'create' ? create(path) : look(path, () => disk.openWrite(path, mode))),
    readFile: (path, lengthMax) => look(path, () => disk.readFile(path, lengthMax)),
    writeFileAtomic: (path, bytes) => change(path, () => disk.writeFileAtomic(path, bytes)),
    rename: (from, to) => change(to, () => disk.rename(from, to)),
    remove: (path) => change(path, () => disk.remove(path)),
    removeTree: (path) => change(path, () => disk.removeTree(path)),
    makeFolder: (path) => change(path, () => disk.makeFolder(path)),
    list: (path) =>
      look(
        path,
        () => disk.list(path),
        (names) => names.length === 0,
      ),
    stat: (path) =>
      look(
        path,
        () => disk.stat(path),
        (found) => found === undefined,
      ),
    syncFolder: (path) => look(path, () => disk.syncFolder(path)),
    space: (path) => disk.space(path),
  }
}
