// The real disk, with a list of what was done to it: each change of a file or folder and each sync, in order, with paths below a folder.

import { relative } from 'node:path'
import type { Disk, DiskFile } from '../../../agent/contract/disk.ts'
import { createDisk } from '../../../agent/system/disk.ts'

export interface RecordedDisk extends Disk {
  /** Such as `write 16 at 0 of packs/00/0.pack`. Reads are not listed. */
  readonly steps: string[]
}

/** Creates a disk that lists what happens below `root`. A step is listed when it has ended, or with `failed` behind it. */
export function createRecordedDisk(root: string): RecordedDisk {
  const disk = createDisk()
  const steps: string[] = []
  const below = (path: string): string => relative(root, path) || '.'
  const note = async <Result>(step: string, run: Promise<Result>): Promise<Result> => {
    try {
      const result = await run
      steps.push(step)
      return result
    } catch (error) {
      steps.push(`${step} failed`)
      throw error
    }
  }
  const watch = (file: DiskFile, path: string): DiskFile => ({
    ...file,
    write: (parts, position) =>
      note(`write ${parts.reduce((sum, part) => sum + part.byteLength, 0)} at ${position} of ${below(path)}`, file.write(parts, position)),
    sync: () => note(`sync ${below(path)}`, file.sync()),
    truncate: (length) => note(`truncate ${below(path)} to ${length}`, file.truncate(length)),
    close: () => note(`close ${below(path)}`, file.close()),
    [Symbol.asyncDispose]: () => note(`close ${below(path)}`, file.close()),
  })
  return {
    ...disk,
    steps,
    openWrite: async (path, mode) => watch(await note(`open ${mode} ${below(path)}`, disk.openWrite(path, mode)), path),
    writeFileAtomic: (path, bytes) => note(`replace ${below(path)}`, disk.writeFileAtomic(path, bytes)),
    rename: (from, to) => note(`rename ${below(from)} to ${below(to)}`, disk.rename(from, to)),
    remove: (path) => note(`remove ${below(path)}`, disk.remove(path)),
    removeTree: (path) => note(`remove tree ${below(path)}`, disk.removeTree(path)),
    makeFolder: (path) => note(`folder ${below(path)}`, disk.makeFolder(path)),
    syncFolder: (path) => note(`sync folder ${below(path)}`, disk.syncFolder(path)),
  }
}
