// The guest disk of a raw image or an ISO: the file itself. Its zeros are those that the store does not hold.

import type { GuestDisk, SourceFile } from '../guest-disk.ts'

/** Returns the disk of a raw file. */
export function createRawDisk(file: SourceFile): GuestDisk {
  return {
    length: file.length,
    async *extents(from, signal) {
      if (from >= file.length) return
      for await (const { start, end, isZero } of file.runs(from)) {
        signal?.throwIfAborted()
        yield isZero ? { kind: 'zero', start, end } : { kind: 'data', start, end, at: start }
      }
    },
  }
}
