// A disk whose n-th write operation and all later ones fail, like a disk that is full or defective. A failed write leaves half of its bytes, as a
// crash may.

import type { Disk, DiskFile } from '../../../agent/contract/disk.ts'

export interface FailingDisk extends Disk {
  /** Number of write operations so far. */
  readonly operations: number
  /** Makes all write operations fail, starting with the n-th from now (1 is the next). With undefined, none fails. */
  failAfter(operations: number | undefined, code?: string): void
}

/** Wraps a disk. Write operations succeed until `failAfter`. */
export function createFailingDisk(disk: Disk): FailingDisk {
  let operations = 0
  let failsFrom: number | undefined
  let failureCode = 'EIO'

  const isFailing = (): boolean => {
    operations++
    return failsFrom !== undefined && operations >= failsFrom
  }
  const failure = (what: string): Error => Object.assign(new Error(`${failureCode}: simulated failure of ${what}`), { code: failureCode })
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
