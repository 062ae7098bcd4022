// Orders of the catalogue: the images sorted by one member. An order is sorted when it is first used, and then kept up to date: a change of an
// image moves one entry. A page starts with a binary search, so its cost does not depend on how many pages came before it.

import type { Image } from '../../../protocol/image.ts'
import type { ImageSort } from '../../../protocol/image-list.ts'
import { comparePlaces, sortKey } from './sort-keys.ts'
import type { Place } from './sort-keys.ts'

/** An image as the catalogue keeps it. */
export interface Listed {
  readonly image: Image
}

interface Entry<Stored> extends Place {
  readonly stored: Stored
}

export interface ImageOrders<Stored extends Listed> {
  /** Adds an image, or replaces the one with its id. */
  put(before: Stored | undefined, stored: Stored): void
  remove(stored: Stored): void
  /** Iterates over all images, unordered. */
  all(): Iterable<Stored>
  /**
   * Calls `visit` for each image after a place, or for all without one, ascending or descending, until it returns false. A call costs less than a
   * step of an iterator, and a list may test every image of the store. The table must not change meanwhile.
   */
  walk(sort: ImageSort, isDescending: boolean, after: Place | undefined, visit: (stored: Stored) => boolean): void
}

/** Creates the orders of a table. `all` returns its images in any order. */
export function createImageOrders<Stored extends Listed>(all: () => Iterable<Stored>): ImageOrders<Stored> {
  const orders = new Map<ImageSort, Entry<Stored>[]>()
  const orderOf = (sort: ImageSort): Entry<Stored>[] => {
    const known = orders.get(sort)
    if (known) return known
    const entries = Array.from(all(), (stored) => entryOf(sort, stored)).toSorted(comparePlaces)
    orders.set(sort, entries)
    return entries
  }
  return {
    all,
    put(before, stored) {
      for (const [sort, entries] of orders) {
        const entry = entryOf(sort, stored)
        const old = before && entryOf(sort, before)
        const isSame = old?.key === entry.key
        if (old && !isSame) entries.splice(firstFrom(entries, old), 1)
        entries.splice(firstFrom(entries, entry), isSame ? 1 : 0, entry)
      }
    },
    remove(stored) {
      for (const [sort, entries] of orders) entries.splice(firstFrom(entries, entryOf(sort, stored)), 1)
    },
    walk(sort, isDescending, after, visit) {
      const entries = orderOf(sort)
      let at = after ? firstFrom(entries, after) : isDescending ? entries.length : 0
      if (isDescending) at--
      else {
        const first = entries[at]
        // The image at the cursor itself was on the previous page.
        if (after && first && comparePlaces(first, after) === 0) at++
      }
      for (const step = isDescending ? -1 : 1; at >= 0 && at < entries.length; at += step) {
        const entry = entries[at]
        if (entry && !visit(entry.stored)) return
      }
    },
  }
}

function entryOf<Stored extends Listed>(sort: ImageSort, stored: Stored): Entry<Stored> {
  return { key: sortKey(sort, stored.image), id: stored.image.id, stored }
}

/** Returns the position of the first entry that does not come before a place. */
function firstFrom(entries: readonly Place[], place: Place): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const entry = entries[middle]
    if (entry && comparePlaces(entry, place) < 0) low = middle + 1
    else high = middle
  }
  return low
}
