// A disk that records the order of its writes, fsyncs, renames and removals. What makes bytes durable takes a few turns of the event loop, so a
// caller that does not wait for it is seen.

import { basename } from 'node:path'
import type { Disk, DiskFile } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'

/** Turns of the event loop that an fsync, a rename or a removal takes at least. */
const TURNS = 5

export interface OrderedDisk extends Disk {
  /**
   * Operations by the names of their files, in order: an fsync when it has ended (`sync a`, `sync folder b`), all others when they start
   * (`write a`, `rename a b`, `remove a`, `close a`). `overlap` stands before one that started while another was in progress.
   */
  readonly operations: string[]
  /** Number of operations that have started and not ended. */
  inProgress(): number
  /** Returns the operations since the last call. Throws if one is in progress, which its caller should have awaited. */
  take(): string[]
}

/** Creates the disk over the real one. */
export function createOrderedDisk(): OrderedDisk {
  const real = createDisk()
  const operations: string[] = []
  let running = 0

  const slowly = async <Result>(run: () => Promise<Result>): Promise<Result> => {
    if (running > 0) operations.push('overlap')
    running++
    try {
      for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve))
      return await run()
    } finally {
      running--
    }
  }
  const noted = <Result>(operation: string, run: () => Promise<Result>): Promise<Result> => {
    operations.push(operation)
    return slowly(run)
  }
  const afterwards = async (operation: string, run: () => Promise<void>): Promise<void> => {
    await slowly(run)
    operations.push(operation)
  }
  const observed = (file: DiskFile, name: string): DiskFile => ({
    ...file,
    write: (parts, position) => noted(`write ${name}`, () => file.write(parts, position)),
    sync: () => afterwards(`sync ${name}`, () => file.sync()),
    truncate: (length) => noted(`truncate ${name}`, () => file.truncate(length)),
    close: () => noted(`close ${name}`, () => file.close()),
    [Symbol.asyncDispose]: () => noted(`close ${name}`, () => file.close()),
  })
  return {
    ...real,
    operations,
    inProgress: () => running,
    take() {
      if (running > 0) throw new Error(`${running} operations are in progress after ${operations.join(', ')}`)
      return operations.splice(0)
    },
    openWrite: async (path, mode) => observed(await real.openWrite(path, mode), basename(path)),
    rename: (from, to) => noted(`rename ${basename(from)} ${basename(to)}`, () => real.rename(from, to)),
    remove: (path) => noted(`remove ${basename(path)}`, () => real.remove(path)),
    removeTree: (path) => noted(`remove ${basename(path)}`, () => real.removeTree(path)),
    writeFileAtomic: (path, bytes) => noted(`replace ${basename(path)}`, () => real.writeFileAtomic(path, bytes)),
    syncFolder: (path) => afterwards(`sync folder ${basename(path)}`, () => real.syncFolder(path)),
  }
}
