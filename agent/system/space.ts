// Space above the reserve: free bytes of the mount path's file system less the reserve and less what running
// transfers were promised. Promises are kept in memory: after a restart each transfer asks again.

import type { Disk } from '../contract/disk.ts'
import type { Clock } from '../contract/runtime.ts'
import type { Space, SpaceState } from '../contract/space.ts'

/** How long a result of `isBelowReserve` is cached, in milliseconds: it is called for each piece of a body. */
const BELOW_RESERVE_CACHE_MS = 1000

/** Fraction of the free space that one account can be promised. */
const ACCOUNT_SHARE = 0.5

export interface SpaceDeps {
  readonly disk: Pick<Disk, 'space'>
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** Folder whose file system is measured. */
  readonly mount: string
  /** Bytes that stay free; an operator may change them while the agent runs. */
  readonly reservedBytes: () => number
}

/** Creates the account of a store's space. */
export function createSpace({ disk, clock, mount, reservedBytes }: SpaceDeps): Space {
  const promises = new Map<string, { readonly bytes: number; readonly account: string | undefined }>()
  let cached: { readonly atMs: number; readonly isBelow: boolean } | undefined

  /** Returns the bytes promised to all accounts or to one, without those of `exceptKey`. */
  const promised = (exceptKey?: string, account?: string): number => {
    let sum = 0
    for (const [key, promise] of promises) if (key !== exceptKey && (account === undefined || promise.account === account)) sum += promise.bytes
    return sum
  }

  const state = async (): Promise<SpaceState> => {
    const { totalBytes, freeBytes } = await disk.space(mount)
    const promisedBytes = promised()
    return { totalBytes, freeBytes, reservedBytes: reservedBytes(), promisedBytes, availableBytes: Math.max(0, freeBytes - reservedBytes() - promisedBytes) }
  }

  return {
    state,

    async promise(key, bytes) {
      if (bytes <= 0) {
        promises.delete(key)
        return true
      }
      const { freeBytes } = await disk.space(mount)
      // No await between this check and the entry, so two transfers are never promised the same bytes.
      if (bytes > freeBytes - reservedBytes() - promised(key)) return false
      promises.set(key, { bytes, account: undefined })
      return true
    },

    async promiseShare({ key, account, bytes, fitting }) {
      if (bytes <= 0 && fitting <= 0) {
        promises.delete(key)
        return true
      }
      const { freeBytes } = await disk.space(mount)
      const roomBytes = freeBytes - reservedBytes() - promised(key)
      const formerBytes = promises.get(key)?.bytes ?? 0
      // A promise holds even if other transfers have written more than there was space for.
      if (fitting > Math.max(roomBytes, formerBytes)) return false
      const ownBytes = promised(key, account)
      const shareBytes = Math.floor((roomBytes + ownBytes) * ACCOUNT_SHARE) - ownBytes
      const granted = Math.min(bytes, Math.max(0, shareBytes, formerBytes))
      if (granted > 0) promises.set(key, { bytes: granted, account })
      else promises.delete(key)
      return true
    },

    async isBelowReserve() {
      const now = clock.monotonicMs()
      if (cached && now - cached.atMs < BELOW_RESERVE_CACHE_MS) return cached.isBelow
      const { freeBytes } = await disk.space(mount)
      cached = { atMs: now, isBelow: freeBytes < reservedBytes() }
      return cached.isBelow
    },
  }
}
