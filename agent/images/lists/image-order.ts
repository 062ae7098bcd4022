// Orders of the catalogue: the images sorted by one member. An order is sorted in the background when it is first used, and then kept up to date: a
// change of an image moves one entry. A page starts with a binary search, so its cost does not depend on how many pages came before it.

import type { Image } from '../../../protocol/images/image.ts'
import type { ImageSort } from '../../../protocol/images/image-list.ts'
import { createLoopBudget } from '../../contract/loop-budget.ts'
import type { LoopBudget } from '../../contract/loop-budget.ts'
import type { Clock } from '../../contract/runtime.ts'
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
   * Whether an order is sorted, so that a walk along it costs only its steps. If not, begins to sort it in the background. Without a clock, sorts it
   * at once.
   */
  isSorted(sort: ImageSort): boolean
  /**
   * Calls `visit` for each image after a place, or for all without one, ascending or descending, until it returns false. A call costs less than a
   * step of an iterator, and a list may test every image of the store. The table must not change meanwhile.
   */
  walk(sort: ImageSort, isDescending: boolean, after: Place | undefined, visit: (stored: Stored) => boolean): void
}

/** Entries that are sorted at once. Sorted stretches of this length are then merged. */
const STRETCH = 2048

/** A change of the table while an order is sorted. */
type Change<Stored> = readonly [before: Stored | undefined, after: Stored | undefined]

/** Creates the orders of a table. `all` returns its images in any order. */
export function createImageOrders<Stored extends Listed>(all: () => Iterable<Stored>, clock?: Pick<Clock, 'monotonicMs' | 'sleep'>): ImageOrders<Stored> {
  const orders = new Map<ImageSort, Entry<Stored>[]>()
  /** Orders that are being sorted, with the changes since that began. */
  const begun = new Map<ImageSort, Change<Stored>[]>()
  const begin = async (sort: ImageSort, timer: Pick<Clock, 'monotonicMs' | 'sleep'>): Promise<void> => {
    const changes: Change<Stored>[] = []
    begun.set(sort, changes)
    // After the request that needs the order.
    await timer.sleep(0)
    const budget = createLoopBudget(timer)
    changes.length = 0
    const entries = await sortInTurns([...all()], sort, budget)
    for (const [before, after] of changes) {
      applyChange(entries, sort, [before, after])
      const pause = budget.spend()
      if (pause) await pause
    }
    begun.delete(sort)
    if (!orders.has(sort)) orders.set(sort, entries)
  }
  const note = (change: Change<Stored>): void => {
    for (const [sort, entries] of orders) applyChange(entries, sort, change)
    for (const changes of begun.values()) changes.push(change)
  }
  const orderOf = (sort: ImageSort): Entry<Stored>[] => {
    const known = orders.get(sort)
    if (known) return known
    const entries = Array.from(all(), (stored) => entryOf(sort, stored)).toSorted(comparePlaces)
    orders.set(sort, entries)
    return entries
  }
  return {
    all,
    put: (before, stored) => note([before, stored]),
    remove: (stored) => note([stored, undefined]),
    isSorted(sort) {
      if (orders.has(sort)) return true
      if (!clock) return orderOf(sort).length >= 0
      if (!begun.has(sort)) void begin(sort, clock)
      return false
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

/** Applies a change of the table to an order. */
function applyChange<Stored extends Listed>(entries: Entry<Stored>[], sort: ImageSort, [before, after]: Change<Stored>): void {
  const entry = after && entryOf(sort, after)
  const old = before && entryOf(sort, before)
  const isSame = old !== undefined && old.key === entry?.key
  if (old && !isSame) entries.splice(firstFrom(entries, old), 1)
  if (entry) entries.splice(firstFrom(entries, entry), isSame ? 1 : 0, entry)
}

/** Sorts images by one member and lets other work run meanwhile. */
async function sortInTurns<Stored extends Listed>(all: readonly Stored[], sort: ImageSort, budget: LoopBudget): Promise<Entry<Stored>[]> {
  let runs: Entry<Stored>[][] = []
  for (let at = 0; at < all.length; at += STRETCH) {
    runs.push(
      all
        .slice(at, at + STRETCH)
        .map((stored) => entryOf(sort, stored))
        .toSorted(comparePlaces),
    )
    await budget.spend()
  }
  while (runs.length > 1) {
    const merged: Entry<Stored>[][] = []
    for (let at = 0; at < runs.length; at += 2) merged.push(await merge(runs[at] ?? [], runs[at + 1] ?? [], budget))
    runs = merged
  }
  return runs[0] ?? []
}

async function merge<Stored>(left: readonly Entry<Stored>[], right: readonly Entry<Stored>[], budget: LoopBudget): Promise<Entry<Stored>[]> {
  const merged: Entry<Stored>[] = []
  for (let i = 0, j = 0; i < left.length || j < right.length;) {
    const [a, b] = [left[i], right[j]]
    if (a && (!b || comparePlaces(a, b) <= 0)) {
      merged.push(a)
      i++
    } else if (b) {
      merged.push(b)
      j++
    }
    if (merged.length % STRETCH === 0) await budget.spend()
  }
  return merged
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
