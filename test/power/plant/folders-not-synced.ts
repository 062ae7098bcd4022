// Planted defect: no folder is fsynced, so that new, renamed and removed names are durable only when another operation writes them.

import { mkdir, open, rename, rm, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Disk } from '../../../agent/contract/disk.ts'
import { plantDisk } from './plant-disk.ts'

export function spoil(disk: Disk): Disk {
  let count = 0
  return {
    ...disk,
    async writeFileAtomic(path, bytes) {
      const temporary = join(dirname(path), `.planted.${process.pid}.${count++}.tmp`)
      const file = await open(temporary, 'wx', 0o640)
      await file.writeFile(bytes)
      await file.datasync()
      await file.close()
      await rename(temporary, path)
    },
    rename,
    async remove(path) {
      await unlink(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
      })
    },
    removeTree: (path) => rm(path, { recursive: true, force: true }),
    async makeFolder(path) {
      await mkdir(path, { recursive: true })
    },
    syncFolder: async () => {},
  }
}

plantDisk(import.meta.path)
