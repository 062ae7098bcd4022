// Pages of images: a walk along one order, from the place of the cursor, until the page is full. Images that are still uploaded are in no order;
// they are few, and are merged into the walk.

import type { Image } from '../../../protocol/images/image.ts'
import { IMAGE_ORDER_DEFAULT } from '../../../protocol/images/image-list.ts'
import type { ImageFilter, ImageOrder } from '../../../protocol/images/image-list.ts'
import { PAGE_LIMIT_DEFAULT } from '../../../protocol/page.ts'
import type { Page } from '../../../protocol/page.ts'
import { imageTest } from './filter.ts'
import type { ImageOrders, Listed } from './image-order.ts'
import { comparePlaces, formatCursor, parseCursor, parseOrder, sortKey } from './sort-keys.ts'
import type { Place } from './sort-keys.ts'

/** Most matches that are sorted for one page. With more of them, a walk along the order finds a page soon. */
const FEW_MAX = 2000

/** Matches in a sample of a list, and those of them by which a page is exceeded. */
const SAMPLE = 1000
const SAMPLE_MARGIN = 8

/** Which page of a list: its order, its length, and the cursor of the previous one. */
export interface ImagePage {
  readonly sort?: ImageOrder | undefined
  readonly limit?: number | undefined
  readonly cursor?: string | undefined
}

export interface PageSources {
  readonly orders: Pick<ImageOrders<Listed>, 'walk' | 'all' | 'isSorted'>
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
  const isAfter = (image: Image): boolean => passes(image) && !(after && compare(placeOf(image), after) <= 0)
  const few =
    (isFiltered(filter) ? fewMatches(orders.all(), isAfter) : undefined) ??
    (orders.isSorted(sort) ? undefined : firstMatches(orders.all(), { isMatch: isAfter, placeOf, compare, count: limit + 1 }))
  if (few) {
    const found = [...few, ...extra].map((image) => ({ image, place: placeOf(image) })).toSorted((a, b) => compare(a.place, b.place))
    const last = found[limit - 1]
    return { items: found.slice(0, limit).map(({ image }) => image), next: found.length > limit && last ? formatCursor(order, last.place) : null }
  }
  const items: Image[] = []
  let next: string | null = null
  let at = 0
  /** Adds an image to the page. Returns false if the page is full, so that the image is on the next one. */
  const add = (image: Image): boolean => {
    const last = items.at(-1)
    if (items.length === limit && last) {
      next = formatCursor(order, placeOf(last))
      return false
    }
    items.push(image)
    return true
  }
  /** Adds the other images that come before an image, or all that are left. */
  const addOthers = (image?: Image): boolean => {
    for (let other = extra[at]; other && (!image || compare(placeOf(other), placeOf(image)) < 0); other = extra[++at]) if (!add(other)) return false
    return true
  }
  orders.walk(sort, isDescending, after, ({ image }) => !passes(image) || ((extra.length === at || addOthers(image)) && add(image)))
  if (next === null) addOthers()
  return { items, next }
}

function isFiltered({ status: _status, ...members }: ImageFilter): boolean {
  return Object.values(members).some((value) => value !== undefined)
}

/**
 * Returns all matches if they are few, else undefined. Tests the images in the order of the table, whose objects lie close together in memory: a
 * walk along another order that finds nothing takes several times longer.
 */
function fewMatches(all: Iterable<Listed>, isMatch: (image: Image) => boolean): Image[] | undefined {
  const found: Image[] = []
  for (const { image } of all) if (isMatch(image) && found.push(image) > FEW_MAX) return undefined
  return found
}

interface Selection {
  readonly isMatch: (image: Image) => boolean
  readonly placeOf: (image: Image) => Place
  readonly compare: (a: Place, b: Place) => number
  /** How many matches to return. */
  readonly count: number
}

/**
 * Returns the first matches of an order that is not sorted yet. A sample of the matches tells up to which place about twice as many lie as are wanted,
 * so that only these are sorted.
 */
function firstMatches(all: Iterable<Listed>, { isMatch, placeOf, compare, count }: Selection): Image[] {
  const found: { readonly image: Image; readonly place: Place }[] = []
  for (const { image } of all) if (isMatch(image)) found.push({ image, place: placeOf(image) })
  const step = Math.max(1, Math.floor(found.length / SAMPLE))
  const sample = found.filter((_one, i) => i % step === 0).toSorted((a, b) => compare(a.place, b.place))
  const bound = sample[Math.ceil((2 * count) / step) + SAMPLE_MARGIN]?.place
  const near = bound ? found.filter(({ place }) => compare(place, bound) <= 0) : found
  return (near.length < count ? found : near)
    .toSorted((a, b) => compare(a.place, b.place))
    .slice(0, count)
    .map(({ image }) => image)
}
