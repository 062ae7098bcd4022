// A disk whose n-th writing operation fails, and all after it, as when a disk fills up or dies. A failed write leaves half
// of its bytes behind, as a crash may.

import type { Disk, DiskFile } from '../../../agent/contract/disk.ts'

export interface FailingDisk extends Disk {
  /** Writing operations so far. */
  readonly operations: number
  /** From the n-th writing operation from now on (1 is the next) everything that writes fails; undefined heals the disk. */
  failAfter(operations: number | undefined, code?: string): void
}

/** Wraps a disk. */
export function createFailingDisk(disk: Disk): FailingDisk {
  let operations = 0
  let failsFrom: number | undefined
  let failureCode = 'EIO'

  const isFailing = (): boolean => {
    operations++
    return failsFrom !== undefined && operations >= failsFrom
  }
  const failure = (what: string): Error => Object.assign(new Error(`${failureCode}: told to fail, ${what}`), { code: failureCode })
  const guard = async <Result>(what: string, run: () => Promise<Result>): Promise<Result> => {
    if (isFailing()) throw failure(what)
    return run()
  }

  const wrap = (file: DiskFile): DiskFile => ({
    read: (into, position) => file.read(into, position),
    async write(parts, position) {
      if (!isFailing()) return file.write(parts, position)
      const bytes = Buffer.concat(parts)
      await file.write([bytes.subarray(0, bytes.byteLength >> 1)], position)
      throw failure('write')
    },
    sync: () => guard('fdatasync', () => file.sync()),
    truncate: (length) => guard('ftruncate', () => file.truncate(length)),
    length: () => file.length(),
    close: () => file.close(),
    [Symbol.asyncDispose]: () => file.close(),
  })

  return {
    get operations() {
      return operations
    },
    failAfter(count, code = 'EIO') {
      failsFrom = count === undefined ? undefined : operations + count
      failureCode = code
    },
    ...disk,
    openRead: async (path) => wrap(await disk.openRead(path)),
    openWrite: async (path, mode) => (mode === 'create' ? wrap(await guard('open', () => disk.openWrite(path, mode))) : wrap(await disk.openWrite(path, mode))),
    writeFileAtomic: (path, bytes) => guard('write', () => disk.writeFileAtomic(path, bytes)),
    rename: (from, to) => guard('rename', () => disk.rename(from, to)),
    remove: (path) => guard('unlink', () => disk.remove(path)),
    removeTree: (path) => guard('unlink', () => disk.removeTree(path)),
    makeFolder: (path) => guard('mkdir', () => disk.makeFolder(path)),
    syncFolder: (path) => guard('fsync', () => disk.syncFolder(path)),
  }
}
