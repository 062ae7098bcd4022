// A file in memory that remembers what was done to it.

import type { DiskFile } from '../../../agent/contract/disk.ts'

export interface MemoryDiskFile {
  readonly file: DiskFile
  /** Writes and fsyncs so far. */
  readonly steps: string[]
  /** Reads so far: position and bytes asked for. */
  readonly reads: [position: number, bytes: number][]
  bytes(): Buffer
}

/** Creates a file with these bytes. It refuses to read before its beginning, as a disk does. */
export function createMemoryDiskFile(bytes: Buffer): MemoryDiskFile {
  let content = bytes
  const steps: string[] = []
  const reads: [number, number][] = []
  const file: DiskFile = {
    async read(into, position) {
      reads.push([position, into.length])
      if (position < 0) throw new RangeError(`cannot read at ${position}`)
      // The bytes arrive later: whoever does not wait for them has none.
      await Promise.resolve()
      return content.copy(into, 0, position, position + into.length)
    },
    async write(parts, position) {
      steps.push(`write ${parts.reduce((sum, part) => sum + part.length, 0)} at ${position}`)
      content = Buffer.concat([content.subarray(0, position), ...parts])
    },
    async sync() {
      steps.push('sync')
    },
    async truncate(length) {
      content = content.subarray(0, length)
    },
    length: async () => content.length,
    async close() {},
    async [Symbol.asyncDispose]() {},
  }
  return { file, steps, reads, bytes: () => content }
}
