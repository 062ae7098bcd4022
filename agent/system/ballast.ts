// Ballast: small files on the mount path that are given up when the disk is full, so that it can be cleaned. To delete an image
// its image.json is written anew, which takes a block on most file systems; to free a pack what lives in it is copied first.

import { join } from 'node:path'
import { isDiskFull } from '../contract/failures.ts'
import type { Disk } from '../contract/disk.ts'
import type { Clock, Log } from '../contract/runtime.ts'

/** For small writes: enough for hundreds of deletions. */
export const BALLAST_FILE = '.ballast'
const BALLAST_BYTES = 1024 * 1024
/** For gc: the emptiest packs find room here, and make more of it when they go. */
export const GC_BALLAST_FILE = '.ballast-gc'
const GC_BALLAST_BYTES = 8 * 1024 * 1024
const PARTS = [
  { name: BALLAST_FILE, length: BALLAST_BYTES },
  { name: GC_BALLAST_FILE, length: GC_BALLAST_BYTES },
] as const
/** Ballast is taken in where so many times its length is free. */
const REFILL_FREE_FACTOR = 4
const REFILL_LOOK_MS = 30_000
const RANDOM_BYTES_MAX = 65_536

/** Gives the ballast for small writes up. It holds nothing, so whoever needs room may, also before the store is theirs. */
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
  /** The same disk, whose small atomic writes work once more when it is full. */
  readonly disk: Disk
  /** Gives up what is kept for gc. */
  makeRoom(): Promise<void>
}

/** Takes ballast in where there is room for it; a store on a full disk opens without. */
export async function openBallast({ disk, clock, log, mount }: BallastDeps): Promise<Ballast> {
  const refill = async (): Promise<void> => {
    try {
      for (const { name, length } of PARTS) {
        if ((await disk.stat(join(mount, name)))?.length === length) continue
        if ((await disk.space(mount)).freeBytes < length * REFILL_FREE_FACTOR) return
        await disk.writeFileAtomic(join(mount, name), randomBytes(length))
      }
    } catch (error) {
      // Without ballast only a full disk is harder to clean; the next look tries again.
      log.warn('ballast could not be taken in', { error })
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
          log.warn('the disk of the store is full: ballast is given up so that images can be deleted')
          await dropBallast(disk, mount)
          await disk.writeFileAtomic(target, bytes)
        }
      },
    },
    async makeRoom() {
      log.warn('the disk of the store is full: ballast is given up so that gc can free packs')
      await disk.remove(join(mount, GC_BALLAST_FILE))
    },
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  }
}

/** Zeros would take no place on a file system that compresses. */
function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at += RANDOM_BYTES_MAX) crypto.getRandomValues(bytes.subarray(at, Math.min(length, at + RANDOM_BYTES_MAX)))
  return bytes
}
