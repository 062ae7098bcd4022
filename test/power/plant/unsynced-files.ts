// Files whose fdatasync is left out.

import type { Disk } from '../../../agent/contract/disk.ts'

/** A disk that does not sync the files whose path matches. */
export function withoutSyncOf(disk: Disk, pattern: RegExp): Disk {
  return {
    ...disk,
    async openWrite(path, mode) {
      const file = await disk.openWrite(path, mode)
      return pattern.test(path) ? { ...file, sync: async () => {} } : file
    },
  }
}
