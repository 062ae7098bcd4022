// In-memory table of all images of the store, by id. Locks serialize the changes of each image.

import { createInOrderByKey } from '../contract/in-order.ts'
import type { StoredImage } from './image-file.ts'
import { createImageOrders } from './lists/image-order.ts'
import type { ImageOrders } from './lists/image-order.ts'

export interface ImageTable {
  get(id: string): StoredImage | undefined
  /** Returns all images, newest first. */
  all(): readonly StoredImage[]
  /** Returns the ids of the images with a name, in any status. */
  named(name: string): Iterable<string>
  /** The images sorted by one member, for lists. */
  readonly orders: Pick<ImageOrders<StoredImage>, 'walk' | 'all'>
  put(stored: StoredImage): void
  remove(id: string): void
  /** Runs a function while holding the lock of an image. Waiting callers run in order. */
  locked<T>(id: string, run: () => Promise<T>): Promise<T>
  /** Iterates over all images, unordered. Cheaper than `all` after a change. */
  each(): Iterable<StoredImage>
  /** Returns a counter that increases with every change of any image. */
  version(): number
  /** Returns a counter that increases when an image is added or removed. */
  revision(): number
}

/** Creates an empty table. Calls `changed` after every change of any image. */
export function createImageTable(changed: () => void = () => {}): ImageTable {
  const images = new Map<string, StoredImage>()
  const names = new Map<string, Set<string>>()
  const orders = createImageOrders(() => images.values())
  const locks = createInOrderByKey()
  let sorted: readonly StoredImage[] | undefined
  let revision = 0
  let version = 0
  const note = (): void => {
    sorted = undefined
    version++
    changed()
  }
  const sortedAll = (): StoredImage[] => {
    const all: StoredImage[] = []
    orders.walk('createdAt', true, undefined, (stored) => all.push(stored) > 0)
    return all
  }
  const forgetName = ({ image: { id, name } }: StoredImage): void => {
    const ids = names.get(name)
    ids?.delete(id)
    if (ids?.size === 0) names.delete(name)
  }
  return {
    get: (id) => images.get(id),
    all: () => (sorted ??= sortedAll()),
    named: (name) => names.get(name) ?? [],
    orders,
    put(stored) {
      const before = images.get(stored.image.id)
      if (!before) revision++
      images.set(stored.image.id, stored)
      orders.put(before, stored)
      if (before?.image.name !== stored.image.name) {
        if (before) forgetName(before)
        names.set(stored.image.name, (names.get(stored.image.name) ?? new Set()).add(stored.image.id))
      }
      note()
    },
    remove(id) {
      const before = images.get(id)
      if (before) {
        images.delete(id)
        revision++
        orders.remove(before)
        forgetName(before)
      }
      note()
    },
    locked: (id, run) => locks.run(id, run),
    each: () => images.values(),
    version: () => version,
    revision: () => revision,
  }
}
