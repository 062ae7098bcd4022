// A disk that distinguishes a mount path that went away from a file that does not exist. When a network mount drops, an empty folder of another
// file system remains. Without this check every file would count as removed, which gc and scrub would believe, and new files would be
// acknowledged on the wrong disk.

import { join } from 'node:path'
import { hasCode } from '../../protocol/errors.ts'
import type { Disk, DiskFile } from '../contract/disk.ts'

/** The file system of the store is not at its mount path. Has the code of a mount that lost its server. */
export class MountGone extends Error {
  override readonly name = 'MountGone'
  readonly code = 'ENOTCONN'

  constructor(mount: string, cause?: unknown) {
    super(`${mount} no longer holds the store: its file system is not mounted`, { cause })
  }
}

/** Longest mark file in bytes. */
const MARK_BYTES_MAX = 64 * 1024

/**
 * Returns a disk that guards everything below a mount path; other paths pass. `markName` is a file in the mount path that never changes. A
 * missing file is believed only while the mark is present, and nothing is created or removed without it: MountGone is thrown instead.
 */
export async function guardMount(disk: Disk, mount: string, markName: string): Promise<Disk> {
  const { look, change } = createGuard(mount, await readMark(disk, mount, markName))
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
    space: (path) => look(path, () => disk.space(path)),
  }
}

/** Throws MountGone when the store is not at its mount path. */
type RequireMount = (cause?: unknown) => Promise<void>

/** Reads the mark as it is now and returns the check that it is still the same file. */
async function readMark(disk: Disk, mount: string, markName: string): Promise<RequireMount> {
  const path = join(mount, markName)
  const mark = await disk.readFile(path, MARK_BYTES_MAX)
  let seen = await disk.stat(path)
  const isPresent = async (): Promise<boolean> => {
    const now = await disk.stat(path)
    if (now?.kind !== 'file') return false
    if (now.length === seen?.length && now.modifiedMs === seen.modifiedMs) return true
    // Touched, or the mark of another store: its bytes decide.
    if (Buffer.compare(await disk.readFile(path, MARK_BYTES_MAX), mark) !== 0) return false
    seen = now
    return true
  }
  return async (cause) => {
    if (!(await isPresent())) throw new MountGone(mount, cause)
  }
}

interface Guard {
  /** Runs an operation that reads. When it finds nothing, the mark is checked before the absence is believed. */
  look<T>(path: string, run: () => Promise<T>, isAbsence?: (found: T) => boolean): Promise<T>
  /** Runs an operation that creates or removes a name. The mount may drop at any moment, so the mark is checked before and after. */
  change<T>(path: string, run: () => Promise<T>): Promise<T>
}

function createGuard(mount: string, requireMount: RequireMount): Guard {
  const isBelow = (path: string): boolean => path === mount || path.startsWith(`${mount}/`)
  const guard: Guard = {
    async look(path, run, isAbsence = () => false) {
      if (!isBelow(path)) return run()
      let found
      try {
        found = await run()
      } catch (error) {
        if (hasCode(error, 'ENOENT')) await requireMount(error)
        throw error
      }
      if (isAbsence(found)) await requireMount()
      return found
    },
    async change(path, run) {
      if (!isBelow(path)) return run()
      await requireMount()
      const result = await guard.look(path, run)
      await requireMount()
      return result
    },
  }
  return guard
}
