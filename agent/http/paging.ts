// Pages of lists that are in memory.

import type { Page, PageQuery } from '../../protocol/page.ts'

/** Returns a page of a list that is sorted by key. The cursor is the key of the last item of the previous page. */
export function pageOf<Item>(items: readonly Item[], keyOf: (item: Item) => string, { limit, cursor }: PageQuery): Page<Item> {
  const rest = cursor === undefined ? items : items.filter((item) => keyOf(item) > cursor)
  const page = rest.slice(0, limit)
  const last = page.at(-1)
  return { items: page, next: rest.length > limit && last !== undefined ? keyOf(last) : null }
}
