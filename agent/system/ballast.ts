// Ballast: small files on the mount path that are deleted when the disk is full, so that it can be cleaned. Deleting an image
// rewrites its image.json, which takes a block on most file systems; freeing a pack copies its live slices first.

import { join } from 'node:path'
import { isDiskFull } from '../contract/failures.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'

/** For small writes: enough for hundreds of deletions. */
export const BALLAST_FILE = '.ballast'
const BALLAST_BYTES = 1024 * 1024
/** For gc: the live slices of the emptiest packs fit here, and removing those packs frees more. */
export const GC_BALLAST_FILE = '.ballast-gc'
const GC_BALLAST_BYTES = 8 * 1024 * 1024
const PARTS = [
  { name: BALLAST_FILE, length: BALLAST_BYTES },
  { name: GC_BALLAST_FILE, length: GC_BALLAST_BYTES },
] as const
/** Ballast is created when this many times its length is free. */
const REFILL_FREE_FACTOR = 4
/** How often missing ballast is created again, in milliseconds. */
const REFILL_LOOK_MS = 30_000
const RANDOM_BYTES_MAX = 65_536

/** Deletes the ballast for small writes. It holds no data, so that is safe even without the lease. */
export function dropBallast(disk: Disk, mount: string): Promise<void> {
  return disk.remove(join(mount, BALLAST_FILE))
}

export interface BallastDeps {
  readonly disk: Disk
  readonly clock: Pick<Clock, 'every'>
  readonly log: Log
  readonly mount: string
}

export interface Ballast extends Disposable {
  /** The same disk; an atomic write that fails because it is full is retried without the ballast. */
  readonly disk: Disk
  /** Deletes the ballast for gc. */
  makeRoom(): Promise<void>
}

/** Creates ballast when there is room for it; a store on a full disk opens without it. */
export async function openBallast({ disk, clock, log, mount }: BallastDeps): Promise<Ballast> {
  const refill = async (): Promise<void> => {
    try {
      for (const { name, length } of PARTS) {
        if ((await disk.stat(join(mount, name)))?.length === length) continue
        if ((await disk.space(mount)).freeBytes < length * REFILL_FREE_FACTOR) return
        await disk.writeFileAtomic(join(mount, name), randomBytes(length))
      }
    } catch (error) {
      // Without ballast a full disk is harder to clean; nothing else depends on it. The timer retries.
      log.warn('ballast could not be created', { error })
    }
  }
  await refill()
  let refilling: Promise<void> | undefined
  const timer = clock.every(REFILL_LOOK_MS, () => {
    refilling ??= refill().finally(() => (refilling = undefined))
  })

  return {
    disk: {
      ...disk,
      async writeFileAtomic(target, bytes) {
        try {
          await disk.writeFileAtomic(target, bytes)
        } catch (error) {
          if (!isDiskFull(error)) throw error
          log.warn('the disk of the store is full: its ballast is deleted so that images can be deleted')
          await dropBallast(disk, mount)
          await disk.writeFileAtomic(target, bytes)
        }
      },
    },
    async makeRoom() {
      log.warn('the disk of the store is full: its ballast is deleted so that gc can free packs')
      await disk.remove(join(mount, GC_BALLAST_FILE))
    },
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  }
}

/** Returns random bytes: zeros would take no space on a file system that compresses. */
function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at += RANDOM_BYTES_MAX) crypto.getRandomValues(bytes.subarray(at, Math.min(length, at + RANDOM_BYTES_MAX)))
  return bytes
}
