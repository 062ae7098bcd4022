// An open file of a disk with fault injection.

import type { DiskFile } from '../../../agent/contract/disk.ts'
import { SECTOR_BYTES } from './durable-tree.ts'
import type { FileNode } from './durable-tree.ts'
import { failureOf } from './fault-gate.ts'
import type { FaultGate } from './fault-gate.ts'

interface FaultyFileParts {
  readonly gate: FaultGate
  /** The real file. */
  readonly file: DiskFile
  readonly node: FileNode
  readonly path: string
}

/** Returns a file whose operations fail as planned, and whose unsynced changes are kept apart from what is on stable storage. */
export function createFaultyFile({ gate, file, node, path }: FaultyFileParts): DiskFile {
  const write = async (parts: readonly Uint8Array[], at: number): Promise<void> => {
    const bytes = Buffer.concat(parts)
    const fault = gate.step(true)
    const isPart = fault === 'short' || fault === 'torn' || fault === 'kill' || fault === 'power'
    const done = fault === undefined || fault === 'late' ? bytes : isPart ? bytes.subarray(0, Math.floor(bytes.length / 2)) : Buffer.alloc(0)
    if (done.length > 0) {
      await file.write([done], at)
      node.pending.push({ kind: 'write', at, bytes: done })
    }
    if (fault === 'torn' && bytes.length > SECTOR_BYTES) {
      // The end is written, but the middle is not.
      const end = bytes.subarray(-SECTOR_BYTES)
      await file.write([end], at + bytes.length - end.length)
      node.pending.push({ kind: 'write', at: at + bytes.length - end.length, bytes: end })
    }
    if (fault !== undefined) throw failureOf(fault, path)
  }
  const close = async (): Promise<void> => {
    // The file is closed even if closing fails or the process has crashed.
    await file.close()
    await gate.whole(path, false, async () => {})
  }
  return {
    read: (into, at) => gate.whole(path, false, () => file.read(into, at)),
    write,
    async sync() {
      const taken = new Set(node.pending)
      const fault = gate.step(true)
      if (fault !== undefined && fault !== 'late' && !gate.isDead) {
        // A failed fsync marks the pages clean: they remain in the cache, but a later fsync does not write them.
        node.pending = []
      }
      if (fault === undefined || fault === 'late') {
        await gate.reachPlatter(path)
        for (const change of node.pending) if (taken.has(change)) node.durable.apply(change)
        node.pending = node.pending.filter((change) => !taken.has(change))
      }
      if (fault !== undefined) throw failureOf(fault, path)
    },
    truncate: (length) =>
      gate.whole(path, false, async () => {
        await file.truncate(length)
        node.pending.push({ kind: 'truncate', length })
      }),
    length: () => gate.whole(path, false, () => file.length()),
    close,
    [Symbol.asyncDispose]: close,
  }
}
