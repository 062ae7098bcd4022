// Skips the fdatasync of some files.

import type { Disk } from '../../../agent/contract/disk.ts'

/** Returns a disk that does not sync the files whose path matches. */
export function withoutSyncOf(disk: Disk, pattern: RegExp): Disk {
  return {
    ...disk,
    async openWrite(path, mode) {
      const file = await disk.openWrite(path, mode)
      return pattern.test(path) ? { ...file, sync: async () => {} } : file
    },
  }
}
