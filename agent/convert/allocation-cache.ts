// Keeps the allocation of images that were converted lately: QEMU reads an image over HTTP in thousands of small ranges, and each would read all its
// tables again.

import type { Allocation } from './allocation.ts'

/** Memory of all kept allocations in bytes. */
const KEPT_BYTES_MAX = 8 * 1024 * 1024

export interface AllocationCache {
  /** Returns the allocation of the content with this key; reads it if it is not kept. */
  find(key: string, read: () => Promise<Allocation>): Promise<Allocation>
}

/** Creates an empty cache; the least recently used allocations go first. */
export function createAllocationCache(): AllocationCache {
  const kept = new Map<string, Allocation>()
  let total = 0
  return {
    async find(key, read) {
      const found = kept.get(key) ?? (await read())
      if (kept.delete(key)) total -= found.memoryBytes
      if (found.memoryBytes > KEPT_BYTES_MAX) return found
      kept.set(key, found)
      total += found.memoryBytes
      for (const [oldest, { memoryBytes }] of kept) {
        if (total <= KEPT_BYTES_MAX) break
        kept.delete(oldest)
        total -= memoryBytes
      }
      return found
    },
  }
}
