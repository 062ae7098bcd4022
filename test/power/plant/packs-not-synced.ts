// Planted defect: packs are written and not fdatasynced.

import type { Disk } from '../../../agent/contract/disk.ts'
import { plantDisk } from './plant-disk.ts'
import { withoutSyncOf } from './unsynced-files.ts'

export function spoil(disk: Disk): Disk {
  return withoutSyncOf(disk, /\.pack$/)
}

plantDisk(import.meta.path)
