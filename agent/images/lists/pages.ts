// Pages of images: a walk along one order, from the place of the cursor, until the page is full. Images that are still uploaded are in no order;
// they are few, and are merged into the walk.

import type { Image } from '../../../protocol/image.ts'
import { IMAGE_ORDER_DEFAULT } from '../../../protocol/image-list.ts'
import type { ImageFilter, ImageOrder } from '../../../protocol/image-list.ts'
import { PAGE_LIMIT_DEFAULT } from '../../../protocol/page.ts'
import type { Page } from '../../../protocol/page.ts'
import { imageTest } from './filter.ts'
import type { ImageOrders, Listed } from './image-order.ts'
import { comparePlaces, formatCursor, parseCursor, parseOrder, sortKey } from './sort-keys.ts'
import type { Place } from './sort-keys.ts'

/** Which page of a list: its order, its length, and the cursor of the previous one. */
export interface ImagePage {
  readonly sort?: ImageOrder | undefined
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
}

export interface PageSources {
  readonly orders: Pick<ImageOrders<Listed>, 'walk'>
  /** Images that are in no order. None has the id of an ordered one. */
  readonly others: Iterable<Image>
  /** Images for which it is false are left out as if they did not exist. Default: all are seen. */
  readonly isSeen?: ((image: Image) => boolean) | undefined
}

/** Returns a page of the images that pass a filter. Throws ProblemError `invalid-input` for a cursor of another list. */
export function pageOfImages({ orders, others, isSeen = () => true }: PageSources, filter: ImageFilter, page: ImagePage): Page<Image> {
  const order = page.sort ?? IMAGE_ORDER_DEFAULT
  const limit = page.limit ?? PAGE_LIMIT_DEFAULT
  const { sort, isDescending } = parseOrder(order)
  const after = page.cursor === undefined ? undefined : parseCursor(order, page.cursor)
  const placeOf = (image: Image): Place => ({ key: sortKey(sort, image), id: image.id })
  const sign = isDescending ? -1 : 1
  const compare = (a: Place, b: Place): number => comparePlaces(a, b) * sign
  const isMatch = imageTest(filter)
  const passes = (image: Image): boolean => isMatch(image) && isSeen(image)

  const extra = [...others].filter((image) => passes(image) && !(after && compare(placeOf(image), after) <= 0))
  extra.sort((a, b) => compare(placeOf(a), placeOf(b)))
  const items: Image[] = []
  for (const image of merged(orders.walk(sort, isDescending, after), extra, (a, b) => compare(placeOf(a), placeOf(b)))) {
    if (!passes(image)) continue
    const last = items.at(-1)
    if (items.length === limit && last) return { items, next: formatCursor(order, placeOf(last)) }
    items.push(image)
  }
  return { items, next: null }
}

/** Merges the images of an order with others that are sorted in the same way. */
function* merged(ordered: Iterable<Listed>, others: readonly Image[], compare: (a: Image, b: Image) => number): Generator<Image> {
  let at = 0
  for (const { image } of ordered) {
    for (let other = others[at]; other && compare(other, image) < 0; other = others[++at]) yield other
    yield image
  }
  yield* others.slice(at)
}
