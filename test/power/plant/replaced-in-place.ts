// Planted defect: a file that is to be replaced is overwritten, and only then synced.

import { open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Disk } from '../../../agent/contract/disk.ts'
import { plantDisk } from './plant-disk.ts'

export function spoil(disk: Disk): Disk {
  return {
    ...disk,
    async writeFileAtomic(path, bytes) {
      const file = await open(path, 'w', 0o640)
      await file.writeFile(bytes)
      await file.datasync()
      await file.close()
      await disk.syncFolder(dirname(path))
    },
  }
}

plantDisk(import.meta.path)
