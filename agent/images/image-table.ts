// In-memory table of all images of the store, by id. Locks serialize the changes of each image.

import { imageCursorSchema } from '../../protocol/image.ts'
import type { Image, ImageFilter } from '../../protocol/image.ts'
import { PAGE_LIMIT_DEFAULT } from '../../protocol/page.ts'
import type { Page } from '../../protocol/page.ts'
import { problem } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import { createInOrderByKey } from '../contract/in-order.ts'
import type { StoredImage } from './image-file.ts'

export interface ImageTable {
  get(id: string): StoredImage | undefined
  /** Returns all images, newest first. */
  all(): readonly StoredImage[]
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
  const locks = createInOrderByKey()
  let sorted: readonly StoredImage[] | undefined
  let revision = 0
  let version = 0
  const note = (): void => {
    sorted = undefined
    version++
    changed()
  }
  return {
    get: (id) => images.get(id),
    all: () => (sorted ??= [...images.values()].toSorted((a, b) => compareNewestFirst(a.image, b.image))),
    put(stored) {
      if (!images.has(stored.image.id)) revision++
      images.set(stored.image.id, stored)
      note()
    },
    remove(id) {
      if (images.delete(id)) revision++
      note()
    },
    locked: (id, run) => locks.run(id, run),
    each: () => images.values(),
    version: () => version,
    revision: () => revision,
  }
}

/** Returns one page of images after the cursor, in the given order. Images in the recycle bin are listed only with `status=deleted`. */
export function pageOfImages(
  images: readonly StoredImage[],
  filter: ImageFilter & { readonly isSeen?: ((image: Image) => boolean) | undefined },
  page: { readonly limit?: number | undefined; readonly cursor?: string | undefined },
): Page<Image> {
  const limit = page.limit ?? PAGE_LIMIT_DEFAULT
  const after = page.cursor === undefined ? undefined : parseCursor(page.cursor)
  const items: Image[] = []
  for (const { image } of images) {
    if (after && compareNewestFirst(image, after) <= 0) continue
    if (!matches(image, filter) || filter.isSeen?.(image) === false) continue
    const last = items.at(-1)
    if (items.length === limit && last) return { items, next: formatCursor(last) }
    items.push(image)
  }
  return { items, next: null }
}

function matches(image: Image, filter: ImageFilter): boolean {
  if (filter.status === undefined ? image.status === 'deleted' : image.status !== filter.status) return false
  if (filter.owner !== undefined && image.owner !== filter.owner) return false
  if (filter.name !== undefined && image.name !== filter.name) return false
  if (filter.kind !== undefined && image.kind !== filter.kind) return false
  return filter.format === undefined || image.format === filter.format
}

type Place = Pick<Image, 'createdAt' | 'id'>

function compareNewestFirst(a: Place, b: Place): number {
  const timeA = Date.parse(a.createdAt)
  const timeB = Date.parse(b.createdAt)
  if (timeA !== timeB) return timeB - timeA
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0
}

function formatCursor(place: Place): string {
  return `${Date.parse(place.createdAt)}-${place.id}`
}

function parseCursor(cursor: string): Place {
  const text = imageCursorSchema.safeParse(cursor)
  if (!text.success) throw problem('invalid-input', 'The cursor was not issued by this list.', { action: 'Start again without a cursor.' })
  const [ms = '', id = ''] = text.data.split('-')
  return { createdAt: formatTime(Number(ms)), id }
}
