// Number and sizes of the images of stores, kept for each store until its rows change: a page of a list shows the sums of all its images.

import type { Fingerprint } from '../../../protocol/images/fingerprint.ts'
import type { BotDatabase } from '../../system/database.ts'

/** Sums of images; lengths in bytes. */
export interface ImageSums {
  readonly images: number
  readonly length: number
  readonly stored: number
}

interface StoreSums {
  readonly all: ImageSums
  /** Those that everybody sees. */
  readonly open: ImageSums
}

export const NO_SUMS: ImageSums = { images: 0, length: 0, stored: 0 }

/**
 * Returns a function that sums up the images of stores outside their recycle bins: all those of `wholeKeys`, and those that everybody sees of the other `keys`.
 */
export function createImageSums(database: BotDatabase): (keys: readonly number[], wholeKeys: readonly number[]) => ImageSums {
  const prints = database.query<Fingerprint & { key: number }, []>('SELECT key, high, low, images FROM catalogue_stores')
  const read = database.query<ImageSums & { isOpen: number }, { key: number }>(
    `SELECT is_open AS isOpen, count(*) AS images, sum(length) AS length, coalesce(sum(stored_size), 0) AS stored
     FROM catalogue_images WHERE store = $key AND status <> 'deleted' GROUP BY is_open`,
  )
  const sumsOf = (key: number): StoreSums => {
    const groups = read.all({ key })
    return { all: groups.reduce(add, NO_SUMS), open: groups.filter(({ isOpen }) => isOpen === 1).reduce(add, NO_SUMS) }
  }
  let kept = new Map<string, StoreSums>()
  // Rows and fingerprints change together, so both must be read before another process changes them.
  return database.transaction((keys: readonly number[], wholeKeys: readonly number[]) => {
    const wanted = new Set(keys)
    const whole = new Set(wholeKeys)
    const now = new Map<string, StoreSums>()
    let total = NO_SUMS
    for (const { key, high, low, images } of prints.all()) {
      const version = `${key} ${high} ${low} ${images}`
      const known = kept.get(version)
      if (!wanted.has(key)) {
        if (known) now.set(version, known)
        continue
      }
      const sums = known ?? sumsOf(key)
      now.set(version, sums)
      total = add(total, whole.has(key) ? sums.all : sums.open)
    }
    kept = now
    return total
  })
}

function add(a: ImageSums, b: ImageSums): ImageSums {
  return { images: a.images + b.images, length: a.length + b.length, stored: a.stored + b.stored }
}
